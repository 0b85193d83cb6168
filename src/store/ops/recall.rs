//! Reads the grants of a repeated lease call.

use deadpool_redis::redis::Cmd;

use super::Op;
use super::lease::{LeaseReply, recalled};
use crate::store::reply::{BadReply, Reply};

/// Owner and `request_id` of the first call.
pub struct RecallOp(pub String);

impl Op for RecallOp {
    const SCRIPT: &'static str = "recall";
    type Outcome = LeaseReply;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(&self.0);
    }

    fn outcome(&self, reply: Reply) -> Result<LeaseReply, BadReply> {
        recalled(reply)
    }
}

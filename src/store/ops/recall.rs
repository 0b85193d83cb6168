//! The grants of a repeated lease call.

use deadpool_redis::redis::Cmd;

use super::Op;
use super::lease::{Granted, recalled};
use crate::store::reply::{BadReply, Reply};

/// Owner and `request_id`.
pub struct RecallOp<'a>(pub &'a str);

impl Op for RecallOp<'_> {
    const SCRIPT: &'static str = "recall";
    type Outcome = Granted;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.0);
    }

    fn outcome(&self, reply: Reply) -> Result<Granted, BadReply> {
        recalled(reply)
    }
}

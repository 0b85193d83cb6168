//! Compares counters with sizes, at one moment.

use deadpool_redis::redis::Cmd;

use super::verify::{Verified, verified};
use super::{Absent, Op};
use crate::store::reply::{BadReply, Reply};

pub struct VerifyCountsOp;

impl Op for VerifyCountsOp {
    const SCRIPT: &'static str = "verify_counts";
    type Outcome = Result<Verified, Absent>;

    fn args(&self, _: &mut Cmd) {}

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        verified(&mut reply)
    }
}

//! Takes back leases that ran out, makes due tasks ready, drops what retention and bounds no longer cover.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::Millis;
use crate::store::reply::{BadReply, Reply};

pub struct SweepOp<'a> {
    pub replica: &'a str,
    /// Of each kind.
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    pub now: Millis,
    /// When the next is due; not in the future when there was more than `limit`.
    pub next_at: Option<Millis>,
    pub expired: u64,
    pub came_due: u64,
    /// More unique keys or marks of requests than `limit` have had their time.
    pub more_lapsed: bool,
    /// Tasks moved, or dead letters went.
    pub moved: bool,
    /// As in [`super::Settles`].
    pub freed: u64,
}

impl Op for SweepOp<'_> {
    const SCRIPT: &'static str = "sweep";
    type Outcome = Result<Swept, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.replica).arg(self.limit);
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "swept" => Ok(Ok(Swept {
                now: reply.millis()?,
                next_at: reply.some_millis()?,
                expired: reply.number()?,
                came_due: reply.number()?,
                more_lapsed: reply.flag()?,
                moved: reply.flag()?,
                freed: reply.number()?,
            })),
            "absent" => Ok(Err(Absent)),
            _ => Err(BadReply("a sweep's word")),
        }
    }
}

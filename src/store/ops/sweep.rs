//! Moves due tasks and expired leases, and drops records that retention and bounds no longer cover.

use std::sync::Arc;

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::Millis;
use crate::store::reply::{BadReply, Reply};

pub struct SweepOp {
    pub replica: Arc<str>,
    /// Entries of each kind that one call moves at most.
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    pub now: Millis,
    /// When the next entry is due; not in the future if more than `limit` were due.
    pub next_at: Option<Millis>,
    pub expired: u64,
    pub came_due: u64,
    /// More than `limit` unique keys or request marks have lapsed.
    pub more_lapsed: bool,
    /// A task changed its state, or dead letters were dropped.
    pub moved: bool,
    /// Gates that reopened; see [`super::Settles`].
    pub freed: u64,
}

impl Op for SweepOp {
    const SCRIPT: &'static str = "sweep";
    type Outcome = Result<Swept, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(&*self.replica).arg(self.limit);
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

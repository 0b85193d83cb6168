//! Deletes finished tasks before their retention ends.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::TaskState;
use crate::store::reply::{BadReply, Reply};

pub struct DiscardOp {
    /// `Completed` or `Cancelled`; `None`: both.
    pub only: Option<TaskState>,
    /// Number of the oldest tasks to skip, which an earlier call kept.
    pub skip: u64,
    /// Entries to read.
    pub limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discarded {
    pub purged: u64,
    /// The last entry that was read; `None` at the end.
    pub skip: Option<u64>,
}

impl Op for DiscardOp {
    const SCRIPT: &'static str = "discard";
    type Outcome = Result<Discarded, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.only.map_or("", TaskState::word))
            .arg(self.skip)
            .arg(self.limit);
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "discarded" => {
                let purged = reply.number()?;
                let (skip, more) = (reply.number()?, reply.flag()?);
                Ok(Ok(Discarded {
                    purged,
                    skip: more.then_some(skip),
                }))
            }
            "absent" => Ok(Err(Absent)),
            _ => Err(BadReply("a discard's word")),
        }
    }
}

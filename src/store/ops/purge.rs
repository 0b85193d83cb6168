//! Deletes tasks, and requests the cancellation of leased ones.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::{TaskId, TaskState};
use crate::store::reply::{BadReply, Reply};

/// Distinct ids: at most `SCRIPT_ITEMS_MAX` and a batch of a scan.
pub struct PurgeOp<'a> {
    /// Skips tasks that are in another state by now. Finished tasks are always skipped.
    pub only: Option<TaskState>,
    pub ids: &'a [TaskId],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    pub purged: u64,
    /// Leased tasks that become cancelled when their current lease ends.
    pub cancel_requested: u64,
}

impl Op for PurgeOp<'_> {
    const SCRIPT: &'static str = "purge";
    type Outcome = Result<Purged, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.only.map_or("", TaskState::word));
        for id in self.ids {
            cmd.arg(id.as_bytes());
        }
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "purged" => Ok(Ok(Purged {
                purged: reply.number()?,
                cancel_requested: reply.number()?,
            })),
            "absent" => Ok(Err(Absent)),
            _ => Err(BadReply("a purge's word")),
        }
    }
}

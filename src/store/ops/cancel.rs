//! Cancels waiting tasks, and requests the cancellation of leased ones.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op, state};
use crate::domain::change::{Cancelled, NotChanged};
use crate::domain::{TaskId, TaskState};
use crate::store::reply::{BadReply, Reply};

/// Distinct ids: at most `SCRIPT_ITEMS_MAX` and a batch of a scan.
pub struct CancelOp<'a> {
    /// Skips tasks that are in another state by now.
    pub only: Option<TaskState>,
    pub ids: &'a [TaskId],
}

impl Op for CancelOp<'_> {
    const SCRIPT: &'static str = "cancel";
    /// One per id.
    type Outcome = Result<Vec<Result<Cancelled, NotChanged>>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.only.map_or("", TaskState::word));
        for id in self.ids {
            cmd.arg(id.as_bytes());
        }
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "seen" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("a cancel's word")),
        }
        let mut answers = Vec::new();
        while !reply.is_empty() {
            let mut item = reply.array()?;
            answers.push(match item.text()?.as_str() {
                "cancelled" => Ok(Cancelled::Done),
                "requested" => Ok(Cancelled::Requested),
                "refused" => Err(NotChanged::State(state(&item.text()?)?)),
                "unknown" => Err(NotChanged::Unknown),
                _ => return Err(BadReply("what became of a task")),
            });
        }
        Ok(Ok(answers))
    }
}

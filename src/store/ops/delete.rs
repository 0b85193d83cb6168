//! Deletes a queue with all its tasks.

use deadpool_redis::redis::Cmd;

use super::Op;
use crate::store::reply::{BadReply, Reply};

pub struct DeleteOp {
    pub what: What,
    /// Lanes that the call clears at most.
    pub lanes: usize,
}

/// The queues that may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A queue with only finished tasks.
    Empty,
    /// A queue with all its tasks.
    Filled,
    /// Only the remains of an earlier call, never a queue that was created since.
    Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The queue was deleted with this many tasks.
    Done { tasks: u64 },
    /// The queue has tasks and was not deleted.
    Filled { tasks: u64 },
    /// There is no queue.
    Absent,
}

/// The outcome of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteStep {
    pub deleted: Deleted,
    /// Some lanes are left: call again.
    pub again: bool,
}

impl Op for DeleteOp {
    const SCRIPT: &'static str = "delete";
    type Outcome = DeleteStep;

    fn args(&self, cmd: &mut Cmd) {
        let what = match self.what {
            What::Empty => "empty",
            What::Filled => "filled",
            What::Rest => "rest",
        };
        cmd.arg(what).arg(self.lanes);
    }

    fn outcome(&self, mut reply: Reply) -> Result<DeleteStep, BadReply> {
        let word = reply.text()?;
        let (tasks, again) = (reply.number()?, reply.flag()?);
        let deleted = match word.as_str() {
            "deleted" => Deleted::Done { tasks },
            "filled" => Deleted::Filled { tasks },
            "absent" => Deleted::Absent,
            _ => return Err(BadReply("a delete's word")),
        };
        Ok(DeleteStep { deleted, again })
    }
}

//! A queue goes, with all that it holds.

use deadpool_redis::redis::Cmd;

use super::Op;
use crate::store::reply::{BadReply, Reply};

pub struct DeleteOp {
    pub what: What,
    /// How many lanes to clear in this call.
    pub lanes: usize,
}

/// What may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The queue, if it has no task but finished ones.
    Empty,
    /// The queue with all its tasks.
    Filled,
    /// Only what an earlier call left over: never a queue that was made since.
    Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The queue is gone; so many tasks went with it.
    Done { tasks: u64 },
    /// It has tasks, and was left alone.
    Filled { tasks: u64 },
    /// There was no queue, or is none any more.
    Absent,
}

/// What came of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteStep {
    pub deleted: Deleted,
    /// Lanes of it are left: call again.
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

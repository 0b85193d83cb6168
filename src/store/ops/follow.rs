//! Notes that reads wait for the end of tasks.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::TaskId;
use crate::store::reply::{BadReply, Reply};

/// Tasks, each with the rest of the wait in ms. At most `SCRIPT_ITEMS_MAX`.
pub struct FollowOp<'a>(pub &'a [(TaskId, u64)]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// Not finished. A message will be published at its end.
    Waiting,
    /// Completed, cancelled or dead.
    Ended,
    /// No such task.
    Gone,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// A task is due or a lease has expired, and no sweep has moved it yet.
    pub sweep_is_due: bool,
    /// One per task.
    pub tasks: Vec<Followed>,
}

impl Op for FollowOp<'_> {
    const SCRIPT: &'static str = "follow";
    type Outcome = Result<Told, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        for (id, ms) in self.0 {
            cmd.arg(id.as_bytes()).arg(*ms);
        }
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "followed" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("a follow's word")),
        }
        reply.millis()?;
        let sweep_is_due = reply.flag()?;
        let told = |_| {
            Ok(match reply.text()?.as_str() {
                "waiting" => Followed::Waiting,
                "ended" => Followed::Ended,
                "gone" => Followed::Gone,
                _ => return Err(BadReply("waiting, ended or gone")),
            })
        };
        let tasks = self.0.iter().map(told).collect::<Result<_, _>>()?;
        Ok(Ok(Told { sweep_is_due, tasks }))
    }
}

//! Changes the priority or due time of a waiting task.

use deadpool_redis::redis::Cmd;

use super::{Op, state};
use crate::domain::change::{Change, Changed, NotChanged, When};
use crate::domain::{Priority, TaskId};
use crate::store::reply::{BadReply, Reply};

pub struct PatchOp<'a> {
    pub replica: &'a str,
    pub id: TaskId,
    pub change: Change,
}

impl Op for PatchOp<'_> {
    const SCRIPT: &'static str = "patch";
    type Outcome = Result<Changed, NotChanged>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.replica).arg(self.id.as_bytes());
        match self.change.priority {
            Some(priority) => cmd.arg(priority.get()),
            None => cmd.arg(""),
        };
        match self.change.when {
            When::AsItWas => cmd.arg(""),
            When::Now => cmd.arg(0),
            When::At(at) => cmd.arg(at.get()),
        };
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        Ok(match reply.text()?.as_str() {
            "patched" => Ok(Changed {
                id: self.id,
                state: state(&reply.text()?)?,
                priority: Priority::new(reply.number()?).ok_or(BadReply("a priority"))?,
                ready_at: reply.millis()?,
            }),
            "refused" => Err(NotChanged::State(state(&reply.text()?)?)),
            "unknown" | "absent" => Err(NotChanged::Unknown),
            _ => return Err(BadReply("a patch's word")),
        })
    }
}

//! Finds tasks: [`super::list`] with a filter, for pages and for bulk work.

use deadpool_redis::redis::Cmd;

use super::list::{ListOp, Listed};
use super::{Absent, Op};
use crate::domain::TaskState;
use crate::store::reply::{BadReply, Reply};

/// The states to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    One(TaskState),
    /// Scheduled, ready and leased.
    Unfinished,
    /// Scheduled, ready, leased and dead.
    Live,
}

impl States {
    pub fn word(self) -> &'static str {
        match self {
            Self::One(state) => state.word(),
            Self::Unfinished => "unfinished",
            Self::Live => "live",
        }
    }
}

pub struct SelectOp<'a> {
    pub states: States,
    pub name: Option<&'a str>,
    pub group: Option<&'a str>,
    /// The found tasks may be deleted before the next call, so no batch of a scan is cut. The limit may be
    /// exceeded by one batch that is larger.
    pub deletes: bool,
    pub limit: usize,
    /// Empty for the first page.
    pub cursor: &'a [u8],
}

impl Op for SelectOp<'_> {
    const SCRIPT: &'static str = ListOp::SCRIPT;
    type Outcome = Result<Listed, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.states.word()).arg(self.limit).arg(self.cursor);
        cmd.arg(self.name.unwrap_or_default());
        cmd.arg(self.group.unwrap_or_default());
        cmd.arg(u8::from(self.deletes));
    }

    fn outcome(&self, reply: Reply) -> Result<Self::Outcome, BadReply> {
        let list = ListOp {
            state: TaskState::Ready,
            limit: self.limit,
            cursor: &[],
        };
        list.outcome(reply)
    }
}

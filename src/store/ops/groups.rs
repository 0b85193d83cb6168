//! Lists the groups of a queue with their states, page by page.

use deadpool_redis::redis::Cmd;

use super::names::{Standings, gate, ready, standings};
use super::{Absent, Op};
use crate::domain::standing::GroupStanding;
use crate::store::reply::{BadReply, Reply};

pub struct GroupsOp<'a> {
    /// Entries at most.
    pub limit: usize,
    /// Empty for the first page.
    pub cursor: &'a [u8],
}

impl Op for GroupsOp<'_> {
    const SCRIPT: &'static str = "groups";
    type Outcome = Result<Standings<GroupStanding>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.limit).arg(self.cursor);
    }

    fn outcome(&self, reply: Reply) -> Result<Self::Outcome, BadReply> {
        standings(reply, "grouped", |row| {
            Ok(GroupStanding {
                group: Some(row.text()?).filter(|group| !group.is_empty()),
                ready: ready(row)?,
                leased: row.some_number()?,
                weight: row.decimal()?,
                gate: gate(row)?,
            })
        })
    }
}

//! Finds dead letters, page by page.

use bytes::Bytes;
use deadpool_redis::redis::{Cmd, ToRedisArgs};

use super::{Absent, Op};
use crate::domain::dead::DeadFilter;
use crate::domain::{Millis, Priority, TaskId};
use crate::store::reply::{BadReply, Reply};

pub struct DeadOp<'a> {
    pub filter: &'a DeadFilter,
    /// Only the dead letter with this id.
    pub only: Option<TaskId>,
    pub newest_first: bool,
    /// Entries that the call reads at most, which bounds its cost.
    pub look: usize,
    /// Entries that the call returns at most.
    pub limit: usize,
    /// The last entry of the previous page.
    pub behind: Option<Place>,
    /// Return the records, which a replay needs.
    pub records: bool,
}

/// The position of an entry among the dead letters, even if the entry is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub died_at: Millis,
    pub id: TaskId,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadPage {
    pub now: Millis,
    pub looked: usize,
    /// The last entry that was read; `None` at the end.
    pub next: Option<Place>,
    pub letters: Vec<DeadLetter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub place: Place,
    /// Empty unless requested.
    pub record: Bytes,
    /// The last attempt; present with the record.
    pub priority: Priority,
    /// Bytes of a payload in the second hash.
    pub apart_bytes: usize,
}

impl Op for DeadOp<'_> {
    const SCRIPT: &'static str = "dead";
    type Outcome = Result<DeadPage, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        let filter = self.filter;
        or_empty(cmd, self.only.as_ref().map(|id| &id.as_bytes()[..]));
        cmd.arg(u8::from(self.newest_first))
            .arg(self.look)
            .arg(self.limit);
        or_empty(cmd, self.behind.map(|place| place.died_at.get()));
        or_empty(cmd, self.behind.as_ref().map(|place| &place.id.as_bytes()[..]));
        or_empty(cmd, filter.died_after.map(Millis::get));
        or_empty(cmd, filter.died_before.map(Millis::get));
        or_empty(cmd, filter.name.as_ref().map(|name| name.as_str()));
        or_empty(cmd, filter.group.as_ref().map(|group| group.as_str()));
        or_empty(cmd, filter.reason.map(|reason| reason.word()));
        or_empty(cmd, filter.error_type.as_deref());
        or_empty(cmd, filter.error.as_deref());
        cmd.arg(u8::from(self.records));
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "dead" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("a look's word")),
        }
        let (now, looked) = (reply.millis()?, reply.small()?);
        let next = match (reply.some_millis()?, reply.bytes()?) {
            (Some(died_at), id) => Some(Place {
                died_at,
                id: TaskId::from_slice(&id).map_err(|_| BadReply("a task id"))?,
            }),
            (None, _) => None,
        };
        let mut letters = Vec::new();
        while !reply.is_empty() {
            let id = reply.id()?;
            letters.push(DeadLetter {
                place: Place {
                    died_at: reply.millis()?,
                    id,
                },
                record: reply.bytes()?,
                priority: Priority::new(reply.number()?).ok_or(BadReply("a priority"))?,
                apart_bytes: reply.small()?,
            });
        }
        Ok(Ok(DeadPage {
            now,
            looked,
            next,
            letters,
        }))
    }
}

fn or_empty<T: ToRedisArgs>(cmd: &mut Cmd, value: Option<T>) {
    match value {
        Some(value) => cmd.arg(value),
        None => cmd.arg(""),
    };
}

//! Replays dead letters: creates the new tasks and removes the dead letters in one step.

use bytes::Bytes;
use deadpool_redis::redis::Cmd;

use super::dead::DeadLetter;
use super::{Absent, Op, full_of};
use crate::domain::dead::Replay;
use crate::domain::full::Full;
use crate::domain::queue::Policy;
use crate::domain::unique::{OnDuplicate, Unique};
use crate::domain::{Millis, NewTask, Start, TaskId};
use crate::store::record::{self, INLINE_PAYLOAD_MAX};
use crate::store::reply::{BadReply, Reply};

/// At least one item, at most `SCRIPT_ITEMS_MAX`.
pub struct ReplayOp<'a> {
    pub replica: &'a str,
    /// An earlier try had an unknown outcome: the reply includes what it moved.
    pub again: bool,
    /// The options of all items, as passed to [`Item::new`].
    pub replay: &'a Replay,
    pub items: &'a [Item],
}

/// A dead letter and its new task.
pub struct Item {
    old: TaskId,
    task: NewTask,
    /// The record without its tick.
    record: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    pub now: Millis,
    /// Tasks that became ready at once.
    pub ready: u64,
    pub items: Vec<Moved>,
}

/// The outcome of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// Replayed. The due time; `None` if the new task is ready.
    Moved(Option<Millis>),
    /// It is not a dead letter any more.
    Gone,
    /// This task holds its unique key. It stays a dead letter.
    Taken(TaskId),
    /// The queue has reached its bound of unfinished tasks. It stays a dead letter.
    Full(Full),
}

impl Item {
    /// Creates the new task with all its attempts. Payload, name, group, headers, trace context, lease
    /// length, retry policy and unique key stay unless `replay` changes them. The new task does not expire.
    /// `id` is created before the first try, so that a retry cannot double the task.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn new(letter: &DeadLetter, id: TaskId, start: Start, replay: &Replay) -> Result<Self, BadReply> {
        let old = record::read(letter.record.clone(), Bytes::new())?;
        let mut meta = old.meta;
        meta.replayed_from = Some(letter.place.id);
        let unique = old.unique_key.zip(old.unique_scope).map(|(key, scope)| Unique {
            key,
            scope,
            on_duplicate: OnDuplicate::default(),
        });
        let task = NewTask {
            id,
            name: old.name,
            group: old.group,
            payload: replay.payload.clone().unwrap_or(old.payload),
            priority: replay.priority.unwrap_or(letter.priority),
            start,
            // With the old expiry it would die at once.
            expiry: None,
            retry: None,
            max_attempts: None,
            lease_ms: None,
            unique,
            repeat_mark: None,
            meta,
        };
        let policy = Policy {
            max_attempts: replay.max_attempts.unwrap_or(old.max_attempts),
            lease_ms: old.lease_ms,
            retry: old.retry,
        };
        // The script moves a large payload inside Redis.
        let record = if replay.payload.is_none() && letter.apart_bytes > 0 {
            record::head(&task, policy, true)
        } else {
            record::write(&task, policy).0
        };
        Ok(Self {
            old: letter.place.id,
            task,
            record,
        })
    }

    /// Returns the id of the new task.
    pub fn id(&self) -> TaskId {
        self.task.id
    }
}

impl Op for ReplayOp<'_> {
    const SCRIPT: &'static str = "replay";
    type Outcome = Result<Replayed, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        let payload = self.replay.payload.as_ref().map(|payload| payload.bytes());
        let apart = payload.filter(|payload| payload.len() > INLINE_PAYLOAD_MAX);
        cmd.arg(self.replica).arg(u8::from(self.again));
        cmd.arg(apart.map_or(&b""[..], |payload| payload));
        cmd.arg(self.items.len());
        for item in self.items {
            let task = &item.task;
            cmd.arg(item.old.as_bytes()).arg(task.id.as_bytes());
            cmd.arg(task.priority.get()).arg(task.name.as_str());
            cmd.arg(task.group.as_ref().map_or("", |group| group.as_str()));
            match task.start {
                Start::Now => cmd.arg(""),
                Start::After(ms) => cmd.arg(format!("+{ms}")),
                Start::At(at) => cmd.arg(format!("@{}", at.get())),
            };
            cmd.arg(&item.record[..]);
        }
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "replayed" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("a replay's word")),
        }
        let (now, ready) = (reply.millis()?, reply.number()?);
        let mut items = Vec::new();
        while !reply.is_empty() {
            let mut item = reply.array()?;
            items.push(match item.text()?.as_str() {
                "moved" => Moved::Moved(item.some_millis()?),
                "gone" => Moved::Gone,
                "taken" => Moved::Taken(item.id()?),
                "full" => Moved::Full(full_of(&item.text()?)?),
                _ => return Err(BadReply("what became of a dead letter")),
            });
        }
        Ok(Ok(Replayed { now, ready, items }))
    }
}

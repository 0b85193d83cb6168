//! Dead letters: listed, replayed and purged page by page, so that no call blocks Redis.

use data_encoding::BASE64URL_NOPAD;

use super::pauses::Pauses;
use super::{BadCursor, Engine, Failure, Page};
use crate::domain::dead::DeadFilter;
use crate::domain::task::TaskView;
use crate::domain::{Millis, QueueName, TaskId, TaskState, limits};
use crate::store::QueueKeys;
use crate::store::ops::dead::{DeadLetter, DeadOp, DeadPage, Place};
use crate::store::ops::show::ShowOp;

mod bulk;
mod purge;
mod replay;

pub use bulk::{Bulk, Handled};
pub use replay::{NotBegun, NotReplayed, Pace};

/// Entries that one script call looks at, and entries that one moves or deletes: less than a millisecond of
/// Redis's time.
const LOOK: usize = 100;
const MOVE: usize = 16;
/// Tasks read at a time for a page, which ends early at [`PAGE_BYTES_MAX`] because a payload may have 1 MiB.
const SHOW: usize = 32;
const PAGE_BYTES_MAX: usize = 8 << 20;

/// The order of a list: newest first for people, oldest first for bulk work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadOrder {
    NewestFirst,
    OldestFirst,
}

impl Engine {
    /// Lists the dead letters that match, page by page. A page looks at up to `PAGE_SCAN_MAX` entries, so it
    /// may be short or empty although a cursor follows.
    ///
    /// # Errors
    /// As [`Failure`] lists. The inner error: a cursor that no list wrote.
    pub async fn dead_letters(
        &self,
        queue: &QueueName,
        filter: &DeadFilter,
        order: DeadOrder,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Result<Page<TaskView>, BadCursor>, Failure> {
        let keys = QueueKeys::new(queue);
        let limit = limit.clamp(1, limits::PAGE_MAX);
        let Some(mut from) = cursor.map_or(Some(None), |cursor| page_cursor(cursor).map(Some)) else {
            return Ok(Err(BadCursor));
        };
        let mut items = Vec::new();
        let (mut looked, mut bytes, mut pauses) = (0, 0, Pauses::default());
        loop {
            pauses.before_step().await;
            let op = DeadOp {
                filter: &as_of(filter, from.map(|(_, began)| began)),
                only: None,
                newest_first: order == DeadOrder::NewestFirst,
                look: LOOK.min(limits::PAGE_SCAN_MAX - looked),
                limit: (limit - items.len()).min(SHOW),
                behind: from.map(|(place, _)| place),
                records: false,
            };
            let page = self.look(&keys, &op).await?;
            let began = from.map_or(page.now, |(_, began)| began);
            from = page.next.map(|place| (place, began));
            looked += page.looked.max(1);
            for task in self.shown(&keys, &page.letters).await? {
                bytes += task.payload.bytes().len();
                items.push(task);
            }
            let full = items.len() >= limit || bytes >= PAGE_BYTES_MAX || looked >= limits::PAGE_SCAN_MAX;
            if from.is_none() || full {
                break;
            }
        }
        let next_cursor = from.map(|(place, began)| {
            let mut bytes = place_bytes(b'd', place);
            bytes.extend_from_slice(&began.get().to_be_bytes());
            BASE64URL_NOPAD.encode(&bytes)
        });
        Ok(Ok(Page { items, next_cursor }))
    }

    /// Returns one dead letter; `None` if there is none with this id.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn dead_letter(&self, queue: &QueueName, id: TaskId) -> Result<Option<TaskView>, Failure> {
        let shown = self.store().call(&QueueKeys::new(queue), &ShowOp(&[id])).await?;
        let task = shown.map_err(|_| Failure::QueueUnknown)?.pop().flatten();
        Ok(task.filter(|task| task.state == TaskState::Dead))
    }

    async fn look(&self, keys: &QueueKeys, op: &DeadOp<'_>) -> Result<DeadPage, Failure> {
        self.store()
            .call(keys, op)
            .await?
            .map_err(|_| Failure::QueueUnknown)
    }

    /// Reads the tasks of these entries, without those that another call has removed meanwhile.
    async fn shown(&self, keys: &QueueKeys, letters: &[DeadLetter]) -> Result<Vec<TaskView>, Failure> {
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<TaskId> = letters.iter().map(|letter| letter.place.id).collect();
        let shown = self.store().call(keys, &ShowOp(&ids)).await?.unwrap_or_default();
        let dead = |task: &TaskView| task.state == TaskState::Dead;
        Ok(shown.into_iter().flatten().filter(dead).collect())
    }
}

/// Writes a place as part of a cursor. The letter names the kind of call that the cursor continues.
fn place_bytes(letter: u8, place: Place) -> Vec<u8> {
    let mut bytes = vec![letter];
    bytes.extend_from_slice(&place.died_at.get().to_be_bytes());
    bytes.extend_from_slice(place.id.as_bytes());
    bytes
}

/// Reads the place that the cursor of a page names, and the time of its first page.
fn page_cursor(cursor: &str) -> Option<(Place, Millis)> {
    let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
    let (place, rest) = read_place(b'd', &bytes)?;
    let (began, rest) = read_millis(rest)?;
    rest.is_empty().then_some((place, began))
}

/// A walk skips tasks that died after it began, so it ends however fast tasks die.
fn as_of(filter: &DeadFilter, began: Option<Millis>) -> DeadFilter {
    let end = began.map(|began| began.plus(1));
    DeadFilter {
        died_before: filter.died_before.into_iter().chain(end).min(),
        ..filter.clone()
    }
}

fn read_place(letter: u8, bytes: &[u8]) -> Option<(Place, &[u8])> {
    let rest = bytes.strip_prefix(&[letter])?;
    let (died_at, rest) = read_millis(rest)?;
    let (id, rest) = rest.split_at_checked(TaskId::BYTES)?;
    Some((
        Place {
            died_at,
            id: TaskId::from_slice(id).ok()?,
        },
        rest,
    ))
}

fn read_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// Returns an instant in the form that scripts compare.
fn read_millis(bytes: &[u8]) -> Option<(Millis, &[u8])> {
    let (ms, rest) = read_u64(bytes)?;
    let at = Some(Millis::new(ms)).filter(|at| *at <= Millis::MAX)?;
    Some((at, rest))
}

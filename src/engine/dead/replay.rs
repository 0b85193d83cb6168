//! Replays dead letters. One step creates the new task and removes the dead letter.

use super::bulk::{Bulk, Handled, Walk};
use crate::domain::dead::{DeadFilter, Replay};
use crate::domain::full::Full;
use crate::domain::{Millis, QueueName, Start, TaskId, limits};
use crate::engine::commit::Command;
use crate::engine::commit::Routes;
use crate::engine::{Engine, Failure};
use crate::store::ops::dead::{DeadLetter, DeadOp};
use crate::store::ops::replay::{Item, Moved, ReplayOp};
use crate::store::{QueueKeys, StoreError, conn};

/// The rate at which replayed tasks become ready, in tasks per 1,000 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(u64);

impl Pace {
    /// At a lower rate a thousand tasks would be scheduled too far ahead.
    pub const MIN_PER_SECOND: f64 = 0.001;
    /// A higher rate is the same as "at once".
    pub const MAX_PER_SECOND: f64 = 100_000.0;

    /// Returns `None` beyond the bounds.
    pub fn per_second(rate: f64) -> Option<Self> {
        let within = (Self::MIN_PER_SECOND..=Self::MAX_PER_SECOND).contains(&rate);
        // The cast is exact between 1 and 10^8.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        within.then(|| Self((rate * 1000.0).round() as u64))
    }

    /// Returns the time between two tasks.
    fn gap_us(self) -> u64 {
        1_000_000_000 / self.0
    }
}

/// The reason why a dead letter was not replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReplayed {
    /// There is no such dead letter.
    Unknown,
    /// Another task holds its unique key. It stays a dead letter.
    Duplicate { holder: TaskId },
    /// The queue has reached its bound of unfinished tasks. It stays a dead letter.
    Full(Full),
}

/// The reason why a bulk replay did not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotBegun {
    BadCursor,
    /// At this rate the last task would be scheduled too far ahead.
    TooFarAhead,
}

impl Engine {
    /// Creates a new task from a dead letter. Returns its id.
    ///
    /// # Errors
    /// As [`Failure`] lists. After [`Failure::Unknown`] it may have happened; a second call never does it
    /// twice.
    pub async fn replay_dead_letter(
        &self,
        queue: &QueueName,
        id: TaskId,
        replay: &Replay,
    ) -> Result<Result<TaskId, NotReplayed>, Failure> {
        let keys = QueueKeys::new(queue);
        let op = DeadOp {
            filter: &DeadFilter::default(),
            only: Some(id),
            newest_first: true,
            look: 1,
            limit: 1,
            behind: None,
            records: true,
        };
        let letters = self.look(&keys, &op).await?.letters;
        if letters.is_empty() {
            return Ok(Err(NotReplayed::Unknown));
        }
        let items = items(&letters, replay, |_| start(replay))?;
        Ok(match self.move_all(queue, &keys, replay, &items).await?.first() {
            Some(Moved::Moved(_)) => Ok(items[0].id()),
            Some(Moved::Full(full)) => Err(NotReplayed::Full(*full)),
            Some(Moved::Taken(holder)) => Err(NotReplayed::Duplicate { holder: *holder }),
            Some(Moved::Gone) | None => Err(NotReplayed::Unknown),
        })
    }

    /// Creates new tasks from the matching dead letters. One step creates the task and removes the dead
    /// letter, so interrupted, repeated and concurrent calls lose nothing and double nothing.
    ///
    /// # Errors
    /// As [`Failure`] lists, if nothing was handled before. The inner error: why it did not begin.
    pub async fn replay_dead_letters(
        &self,
        queue: &QueueName,
        bulk: &Bulk,
        replay: &Replay,
        pace: Option<Pace>,
    ) -> Result<Result<Handled, NotBegun>, Failure> {
        let keys = QueueKeys::new(queue);
        let Ok(mut walk) = Walk::new(self, keys.clone(), bulk, !bulk.dry_run) else {
            return Ok(Err(NotBegun::BadCursor));
        };
        let mut handled = Handled::default();
        loop {
            let letters = match walk.next().await {
                Ok(Some(letters)) => letters,
                Ok(None) => return Ok(Ok(walk.end(handled))),
                Err(failure) => return walk.stop(handled, failure).map(Ok),
            };
            if bulk.dry_run {
                handled.matched += letters.len() as u64;
                walk.handled_page();
                continue;
            }
            if let Some(pace) = pace
                && handled.matched == 0
            {
                let begins = walk.now.plus(replay.delay_ms).get() * 1000;
                walk.slot_us = walk.slot_us.max(begins);
                let last = walk
                    .slot_us
                    .saturating_add(pace.gap_us() * limits::BULK_TASKS_MAX as u64);
                if Millis::new(last / 1000).since(walk.now) > limits::DELAY_MS_MAX {
                    return Ok(Err(NotBegun::TooFarAhead));
                }
            }
            for some in chunks(&letters, replay) {
                let (first_us, gap_us) = (walk.slot_us, pace.map(Pace::gap_us));
                let slot = |n: usize| match gap_us {
                    Some(gap_us) => Start::At(Millis::new((first_us + gap_us * n as u64) / 1000)),
                    None => start(replay),
                };
                let moved = match items(some, replay, slot) {
                    Ok(items) => self.move_all(queue, &keys, replay, &items).await,
                    Err(failure) => Err(failure),
                };
                match moved {
                    Ok(moved) => {
                        let moved = moved
                            .iter()
                            .filter(|item| matches!(item, Moved::Moved(_)))
                            .count() as u64;
                        handled.matched += some.len() as u64;
                        handled.done += moved;
                        handled.skipped += some.len() as u64 - moved;
                    }
                    Err(failure) => return walk.stop(handled, failure).map(Ok),
                }
                walk.slot_us = first_us + gap_us.unwrap_or(0) * some.len() as u64;
                walk.handled(some.last().expect("a chunk is not empty").place);
            }
            walk.handled_page();
        }
    }

    /// Sends one script call, and sends it again after an unknown outcome. The ids of the new tasks stay the
    /// same, so a second try doubles nothing.
    async fn move_all(
        &self,
        queue: &QueueName,
        keys: &QueueKeys,
        replay: &Replay,
        items: &[Item],
    ) -> Result<Vec<Moved>, Failure> {
        let _news = News {
            routes: &self.inner.routes,
            queue,
            tasks: items.len(),
        };
        let mut op = ReplayOp {
            replica: &self.settings().replica,
            again: false,
            replay,
            items,
        };
        let mut answer = self.store().call(keys, &op).await;
        if matches!(answer, Err(StoreError::Unknown(_))) {
            op.again = true;
            answer = self.store().call(keys, &op).await;
        }
        let replayed = match answer {
            Ok(replayed) => replayed.map_err(|_| Failure::QueueUnknown)?,
            // The second try was not applied, but the first may have been.
            Err(StoreError::NotApplied(_)) if op.again => return Err(Failure::Unknown),
            Err(error) => return Err(error.into()),
        };
        Ok(replayed.items)
    }
}

fn start(replay: &Replay) -> Start {
    match replay.delay_ms {
        0 => Start::Now,
        ms => Start::After(ms),
    }
}

/// Creates the new tasks, with new ids. `start` returns when the n-th may run.
fn items(
    letters: &[DeadLetter],
    replay: &Replay,
    start: impl Fn(usize) -> Start,
) -> Result<Vec<Item>, Failure> {
    let item = |(n, letter)| {
        Item::new(letter, TaskId::new(Millis::local()), start(n), replay)
            .map_err(|bad| conn::bad_reply("dead", &bad).into())
    };
    letters.iter().enumerate().map(item).collect()
}

/// Cuts entries into script calls by the bytes of their payloads. Each call has at least one entry.
fn chunks<'a>(letters: &'a [DeadLetter], replay: &Replay) -> Vec<&'a [DeadLetter]> {
    let given = replay.payload.as_ref().map(|payload| payload.bytes().len());
    let size = |letter: &DeadLetter| given.unwrap_or(letter.apart_bytes);
    let (mut chunks, mut rest) = (Vec::new(), letters);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|letter| {
            bytes += size(letter);
            bytes <= limits::SCRIPT_BYTES_MAX
        });
        let (chunk, more) = rest.split_at(fits.count().max(1));
        chunks.push(chunk);
        rest = more;
    }
    chunks
}

/// Wakes waiters and starts a sweep when it is dropped, so that it also happens if the caller left before the
/// reply.
struct News<'a> {
    routes: &'a Routes,
    queue: &'a QueueName,
    tasks: usize,
}

impl Drop for News<'_> {
    fn drop(&mut self) {
        self.routes
            .hint(self.queue, Command::Hint(self.queue.clone(), self.tasks));
        self.routes.hint(self.queue, Command::Sweep(self.queue.clone()));
        self.routes.hint(self.queue, Command::Changed(self.queue.clone()));
    }
}

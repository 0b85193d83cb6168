//! Work on many dead letters: at most a thousand a call, oldest first, as of the start of the first call.

use data_encoding::BASE64URL_NOPAD;

use super::{LOOK, MOVE, as_of, place_bytes, read_millis, read_place, read_u64};
use crate::domain::dead::DeadFilter;
use crate::domain::{Millis, limits};
use crate::engine::pauses::Pauses;
use crate::engine::{BadCursor, Engine, Failure};
use crate::store::QueueKeys;
use crate::store::ops::dead::{DeadLetter, DeadOp, Place};

/// Which dead letters a call is to handle.
#[derive(Debug, Clone, Default)]
pub struct Bulk {
    pub filter: DeadFilter,
    /// 1..=[`limits::BULK_TASKS_MAX`] that match.
    pub limit: usize,
    /// Count, and change nothing.
    pub dry_run: bool,
    /// Where an earlier call of the same work ended.
    pub cursor: Option<String>,
}

/// How far a call got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handled {
    pub matched: u64,
    /// Replayed or purged.
    pub done: u64,
    /// Met, and somebody else's before they could be done.
    pub skipped: u64,
    /// Where to go on; `None` at the end.
    pub next_cursor: Option<String>,
    /// Why it ended before its time; what is counted was done nevertheless.
    pub stopped: Option<Failure>,
}

/// A walk through the dead letters that match, as of its beginning.
pub(super) struct Walk<'a> {
    engine: &'a Engine,
    keys: QueueKeys,
    filter: DeadFilter,
    limit: usize,
    records: bool,
    looked: usize,
    met: usize,
    pauses: Pauses,
    /// When it began, on Redis's clock; known from the first look on.
    began: Option<Millis>,
    pub(super) now: Millis,
    /// The last entry looked at.
    behind: Option<Place>,
    /// The last entry of which everything up to it is handled: where another call may go on.
    handled: Option<Place>,
    /// Nothing is left to look at.
    ended: bool,
    /// From when on the next replayed task may run, in µs: for paced work that goes on in another call.
    pub(super) slot_us: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        keys: QueueKeys,
        bulk: &Bulk,
        records: bool,
    ) -> Result<Self, BadCursor> {
        let mut walk = Self {
            engine,
            keys,
            filter: bulk.filter.clone(),
            limit: bulk.limit.clamp(1, limits::BULK_TASKS_MAX),
            records,
            looked: 0,
            met: 0,
            pauses: Pauses::default(),
            began: None,
            now: Millis::default(),
            behind: None,
            handled: None,
            ended: false,
            slot_us: 0,
        };
        if let Some(cursor) = &bulk.cursor {
            let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| BadCursor)?;
            walk.read(&bytes).ok_or(BadCursor)?;
        }
        Ok(walk)
    }

    fn read(&mut self, bytes: &[u8]) -> Option<()> {
        let (place, rest) = read_place(b'b', bytes)?;
        let (began, rest) = read_millis(rest)?;
        let (slot_us, rest) = read_u64(rest)?;
        (self.behind, self.handled) = (Some(place), Some(place));
        (self.began, self.slot_us) = (Some(began), slot_us);
        rest.is_empty().then_some(())
    }

    /// Everything up to this entry is handled.
    pub(super) fn handled(&mut self, place: Place) {
        self.handled = Some(place);
    }

    /// Everything looked at is handled.
    pub(super) fn handled_page(&mut self) {
        self.handled = self.behind;
    }

    /// Where to go on.
    fn cursor(&self) -> Option<String> {
        let mut bytes = place_bytes(b'b', self.handled?);
        bytes.extend_from_slice(&self.began?.get().to_be_bytes());
        bytes.extend_from_slice(&self.slot_us.to_be_bytes());
        Some(BASE64URL_NOPAD.encode(&bytes))
    }

    /// The end of a call that did what it could.
    pub(super) fn end(&self, handled: Handled) -> Handled {
        Handled {
            next_cursor: if self.ended { None } else { self.cursor() },
            ..handled
        }
    }

    /// The end of a call that failed: its failure alone when it had done nothing yet.
    pub(super) fn stop(&self, handled: Handled, failure: Failure) -> Result<Handled, Failure> {
        if handled.matched == 0 {
            return Err(failure);
        }
        Ok(Handled {
            next_cursor: self.cursor(),
            stopped: Some(failure),
            ..handled
        })
    }

    /// Some more that match, maybe none; `None` when this call may look at no more, or nothing is left.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<DeadLetter>>, Failure> {
        if self.ended || self.met >= self.limit || self.looked >= limits::PAGE_SCAN_MAX {
            return Ok(None);
        }
        let finds_all = self.filter == DeadFilter::default();
        let look = if finds_all { MOVE } else { LOOK };
        let op = DeadOp {
            filter: &as_of(&self.filter, self.began),
            only: None,
            newest_first: false,
            // What is not moved need not be looked at.
            look: look.min(limits::PAGE_SCAN_MAX - self.looked),
            limit: (self.limit - self.met).min(MOVE),
            behind: self.behind,
            records: self.records,
        };
        self.pauses.before_step().await;
        let page = self.engine.look(&self.keys, &op).await?;
        self.now = page.now;
        self.began.get_or_insert(page.now);
        self.looked += page.looked;
        self.met += page.letters.len();
        self.ended = page.next.is_none();
        let last = page.letters.last().map(|letter| letter.place);
        self.behind = page.next.or(last).or(self.behind);
        Ok(Some(page.letters))
    }
}

//! Bulk work on dead letters: at most a thousand per call, oldest first, as of the start of the first call.

use data_encoding::BASE64URL_NOPAD;

use super::{LOOK, MOVE, as_of, place_bytes, read_millis, read_place, read_u64};
use crate::domain::dead::DeadFilter;
use crate::domain::{Millis, limits};
use crate::engine::pauses::Pauses;
use crate::engine::{BadCursor, Engine, Failure};
use crate::store::QueueKeys;
use crate::store::ops::dead::{DeadLetter, DeadOp, Place};

/// The dead letters that a call handles.
#[derive(Debug, Clone, Default)]
pub struct Bulk {
    pub filter: DeadFilter,
    /// 1..=[`limits::BULK_TASKS_MAX`] matching dead letters.
    pub limit: usize,
    /// Count only.
    pub dry_run: bool,
    /// The cursor of an earlier call of the same work.
    pub cursor: Option<String>,
}

/// The progress of a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handled {
    pub matched: u64,
    /// Dead letters that were replayed or purged.
    pub done: u64,
    /// Dead letters that another caller removed first, or whose unique key another task holds.
    pub skipped: u64,
    /// Cursor of the next call; `None` at the end.
    pub next_cursor: Option<String>,
    /// The failure that ended the call early. The counted dead letters were handled nevertheless.
    pub stopped: Option<Failure>,
}

/// A walk through the matching dead letters, as of its beginning.
pub(super) struct Walk<'a> {
    engine: &'a Engine,
    keys: QueueKeys,
    filter: DeadFilter,
    limit: usize,
    records: bool,
    looked: usize,
    met: usize,
    pauses: Pauses,
    /// The beginning by Redis's clock, known from the first look on.
    began: Option<Millis>,
    pub(super) now: Millis,
    /// The last entry that was looked at.
    behind: Option<Place>,
    /// The last entry up to which everything is handled. Another call continues after it.
    handled: Option<Place>,
    /// No entry is left to look at.
    ended: bool,
    /// The earliest time of the next replayed task, in µs, so that another call can continue the pace.
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

    /// Notes that everything up to this entry is handled.
    pub(super) fn handled(&mut self, place: Place) {
        self.handled = Some(place);
    }

    /// Notes that every entry that was looked at is handled.
    pub(super) fn handled_page(&mut self) {
        self.handled = self.behind;
    }

    /// Returns the cursor of the next call.
    fn cursor(&self) -> Option<String> {
        let mut bytes = place_bytes(b'b', self.handled?);
        bytes.extend_from_slice(&self.began?.get().to_be_bytes());
        bytes.extend_from_slice(&self.slot_us.to_be_bytes());
        Some(BASE64URL_NOPAD.encode(&bytes))
    }

    /// Ends a call that did what it could.
    pub(super) fn end(&self, handled: Handled) -> Handled {
        Handled {
            next_cursor: if self.ended { None } else { self.cursor() },
            ..handled
        }
    }

    /// Ends a call that failed. If it has handled nothing yet, the failure alone is its outcome.
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

    /// Returns more matching entries, perhaps none; `None` if this call may look at no more, or nothing is
    /// left.
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
            // A call that moves nothing needs no record.
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

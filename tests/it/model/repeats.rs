//! Requests that may be repeated: the same body is answered with the same tasks, another is refused.

use std::collections::BTreeMap;

use leaseq::domain::idempotency::{Digest, RepeatMark};
use leaseq::domain::queue::defaults;
use leaseq::domain::task::{Enqueued, Made, NotEnqueued};
use leaseq::domain::{Millis, NewTask, TaskId};

use super::queue::Queue;

#[derive(Debug, Clone, Default)]
pub struct Repeats {
    /// With which body each request came, and until when that is known.
    bodies: BTreeMap<Digest, (Digest, Millis)>,
    /// The response for each of its tasks.
    told: BTreeMap<(Digest, Option<u16>), (TaskId, Made, Millis)>,
}

impl Queue {
    /// Returns the response for a repeated enqueue; `None` for a first one.
    pub(super) fn repeat(&self, new: &NewTask) -> Option<Result<Enqueued, NotEnqueued>> {
        let RepeatMark { request, index, body } = new.repeat_mark?;
        let known = self
            .repeats
            .bodies
            .get(&request)
            .filter(|(_, until)| *until > self.now);
        if known.is_some_and(|(known, _)| *known != body) {
            return Some(Err(NotEnqueued::Mismatch));
        }
        let told = self
            .repeats
            .told
            .get(&(request, index))
            .filter(|told| told.2 > self.now);
        told.map(|(id, made, _)| Ok(self.existing(*id, *made, true)))
    }

    /// Only what was not refused is remembered.
    pub(super) fn remember(&mut self, new: &NewTask, told: &Enqueued) {
        let Some(RepeatMark { request, index, body }) = new.repeat_mark else {
            return;
        };
        let until = self
            .now
            .plus(self.config.idempotency_ms.unwrap_or(defaults::IDEMPOTENCY_MS));
        let known = self.repeats.bodies.entry(request).or_insert((body, until));
        if known.1 <= self.now {
            *known = (body, until);
        }
        self.repeats
            .told
            .insert((request, index), (told.id, told.made, until));
    }
}

//! The options of a replay.

use bytes::Bytes;

use crate::domain::Priority;
use crate::domain::dead::Replay;
use crate::domain::limits::{ATTEMPTS_MAX, DELAY_MS_MAX, PAYLOAD_BYTES_MAX, PRIORITY_MAX};
use crate::domain::task::Json;
use crate::http::field::{Any, Field, Integer, Object, Seconds, Wrong};
use crate::http::problem::Code;

pub(super) const MAX_ATTEMPTS: Field<Integer> = Field::new(
    "max_attempts",
    Integer {
        min: 1,
        max: ATTEMPTS_MAX as u64,
    },
    "Attempts of the new task. Default: as many as the dead letter had.",
);
pub(super) const DELAY: Field<Seconds> = Field::new(
    "delay_seconds",
    Seconds {
        min_ms: 0,
        max_ms: DELAY_MS_MAX,
    },
    "Seconds after the replay before which the new task is not ready.",
)
.or("0");
pub(super) const PRIORITY: Field<Integer> = Field::new(
    "priority",
    Integer {
        min: 0,
        max: PRIORITY_MAX as u64,
    },
    "Priority, higher first. Default: that of the dead letter.",
);
pub(super) const PAYLOAD: Field<Any> = Field::new(
    "payload",
    Any {
        bytes_max: PAYLOAD_BYTES_MAX,
        too_large: Code::PayloadTooLarge,
    },
    "Payload for the worker. Default: that of the dead letter. Null counts as absent.",
);

/// Reads the options from an object whose shape contains them.
pub(super) fn read(object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> Replay {
    let max_attempts = object.take(&MAX_ATTEMPTS, wrong);
    let payload = object.take(&PAYLOAD, wrong);
    Replay {
        max_attempts: max_attempts.and_then(|n| u16::try_from(n).ok()),
        delay_ms: object.take(&DELAY, wrong).unwrap_or(0),
        priority: object.take(&PRIORITY, wrong).and_then(Priority::new),
        // The payload is a slice of the body, not a copy.
        payload: payload.map(|text| Json::from_checked(body.slice_ref(text.get().as_bytes()))),
    }
}

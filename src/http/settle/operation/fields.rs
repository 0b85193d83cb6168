//! The fields of each operation: what bodies may say, and the schemas of that.

use std::slice::from_ref;

use crate::domain::limits::{
    DELAY_MS_MAX, ERROR_TYPE_BYTES_MAX, LEASE_MS_MAX, LEASE_MS_MIN, PROGRESS_BYTES_MAX, RESULT_BYTES_MAX,
};
use crate::domain::settle::Hold;
use crate::http::field::{Any, Field, Flag, Label, Seconds, Word, shape};
use crate::http::problem::Code;
use crate::http::settle::error::{ErrorKind, Text};
use crate::http::settle::retry_after::RetryAfterKind;

/// The operations that end or prolong a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Verb {
    Ack,
    Nack,
    Extend,
    Release,
}

static WORDS: [(&str, Verb); 4] = [
    ("ack", Verb::Ack),
    ("nack", Verb::Nack),
    ("extend", Verb::Extend),
    ("release", Verb::Release),
];

const fn op(words: &'static [(&'static str, Verb)]) -> Field<Word<Verb>> {
    Field::required("op", Word { words }, "The operation.")
}

pub(super) const OP: Field<Word<Verb>> = op(&WORDS);
// One word each, so that the schema of an operation tells it from the others.
const OP_ACK: Field<Word<Verb>> = op(from_ref(&WORDS[0]));
const OP_NACK: Field<Word<Verb>> = op(from_ref(&WORDS[1]));
const OP_EXTEND: Field<Word<Verb>> = op(from_ref(&WORDS[2]));
const OP_RELEASE: Field<Word<Verb>> = op(from_ref(&WORDS[3]));
pub(super) const LEASE_ID: Field<Text> = Field::required("lease_id", Text, "Lease to settle.");
pub(super) const RESULT: Field<Any> = Field::new(
    "result",
    Any {
        bytes_max: RESULT_BYTES_MAX,
        too_large: Code::ResultTooLarge,
    },
    "Result of the task, kept for its retention.",
);
pub(super) const ERROR: Field<ErrorKind> = Field::new("error", ErrorKind, "Error, as a text or an object.");
pub(super) const RETRY: Field<Flag> = Field::new(
    "retry",
    Flag,
    "`false` sends the task straight to the dead letters.",
)
.or("true");
pub(super) const DELAY: Field<Seconds> = Field::new(
    "delay_seconds",
    Seconds {
        min_ms: 0,
        max_ms: DELAY_MS_MAX,
    },
    "Seconds until the next attempt. Default: the backoff of the retry policy.",
);
pub(super) const LEASE: Field<Seconds> = Field::new(
    "lease_seconds",
    Seconds {
        min_ms: LEASE_MS_MIN,
        max_ms: LEASE_MS_MAX,
    },
    "New length of the lease, counted from now. Default: the length with which it was granted.",
);
pub(super) const PROGRESS: Field<Any> = Field::new(
    "progress",
    Any {
        bytes_max: PROGRESS_BYTES_MAX,
        too_large: Code::ValidationFailed,
    },
    "Progress, shown with the task.",
);
pub(super) const RETRY_AFTER: Field<RetryAfterKind> = Field::new(
    "retry_after",
    RetryAfterKind,
    "Seconds or an HTTP date, at most 24 hours ahead, as in the `Retry-After` of an upstream. Without it, the task is ready at once.",
);
pub(super) const HOLD: Field<Word<Hold>> = Field::new(
    "hold",
    Word {
        words: &[
            ("none", Hold::None),
            ("name", Hold::Name),
            ("group", Hold::Group),
            ("queue", Hold::Queue),
        ],
    },
    "Also hold siblings until then: all tasks of its name, of its group, or of the queue. Only with `retry_after`.",
)
.or("\"none\"");
pub(super) const REASON: Field<Label> = Field::new(
    "reason",
    Label {
        bytes_max: ERROR_TYPE_BYTES_MAX,
    },
    "Reason for people who read the task.",
);

shape! {
    /// The task is done.
    AckRequest: RESULT
}
shape! {
    /// The attempt failed.
    NackRequest: ERROR, RETRY, DELAY
}
shape! {
    /// The worker needs more time.
    ExtendRequest: LEASE, PROGRESS
}
shape! {
    /// The worker gives the task back without spending the attempt.
    ReleaseRequest: RETRY_AFTER, HOLD, REASON
}
shape! {
    /// An ack among other operations.
    AckOperation: OP_ACK, LEASE_ID, RESULT
}
shape! {
    /// A nack among other operations.
    NackOperation: OP_NACK, LEASE_ID, ERROR, RETRY, DELAY
}
shape! {
    /// An extend among other operations.
    ExtendOperation: OP_EXTEND, LEASE_ID, LEASE, PROGRESS
}
shape! {
    /// A release among other operations.
    ReleaseOperation: OP_RELEASE, LEASE_ID, RETRY_AFTER, HOLD, REASON
}
shape! {
    /// An operation whose `op` cannot be read.
    AnyOperation: OP, LEASE_ID, RESULT, ERROR, RETRY, DELAY, LEASE, PROGRESS, RETRY_AFTER, HOLD, REASON
}

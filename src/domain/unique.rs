//! Unique tasks: a key that one task holds, so that no second one is made while it does.

use super::UniqueKey;

/// What a task says of its own uniqueness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    pub key: UniqueKey,
    pub scope: UniqueScope,
    pub on_duplicate: OnDuplicate,
}

/// How long the task holds its key. Only the holder's own end frees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueScope {
    /// So many milliseconds from acceptance, whatever becomes of the task.
    Ttl(u64),
    /// Until its first grant, or until it ends without one.
    UntilLeased,
    /// Until it is completed, cancelled, dead or purged.
    UntilFinished,
}

impl UniqueScope {
    pub const DEFAULT_TTL_MS: u64 = 3_600_000;
}

/// What becomes of an enqueue whose key another task holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDuplicate {
    /// It is answered with that task.
    #[default]
    Return,
    /// It is refused.
    Reject,
    /// That task gets the new payload and options, if it was never granted; else as [`Self::Return`].
    Replace,
}

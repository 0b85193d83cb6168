//! Unique tasks: one task holds a key, and no second one is created while it does.

use super::UniqueKey;

/// The uniqueness of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    pub key: UniqueKey,
    pub scope: UniqueScope,
    pub on_duplicate: OnDuplicate,
}

/// The time for which the task holds its key. Only the end of this task frees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueScope {
    /// This many milliseconds from acceptance, whatever happens to the task.
    Ttl(u64),
    /// Until its first grant, or until it ends without one.
    UntilLeased,
    /// Until it is completed, cancelled, dead or purged.
    UntilFinished,
}

impl UniqueScope {
    pub const DEFAULT_TTL_MS: u64 = 3_600_000;
}

/// The effect of an enqueue whose key another task holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDuplicate {
    /// The outcome names that task.
    #[default]
    Return,
    /// The enqueue is refused.
    Reject,
    /// If that task was never granted, it gets the new payload and options. Otherwise as [`Self::Return`].
    Replace,
}

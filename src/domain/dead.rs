//! Filters of dead letters, and the options of a replay.

use super::task::{DeadReason, Json};
use super::{Group, Millis, Priority, TaskName};

/// A filter of dead letters. All conditions that are set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadFilter {
    pub name: Option<TaskName>,
    pub group: Option<Group>,
    pub reason: Option<DeadReason>,
    /// The type of the last error, exactly.
    pub error_type: Option<String>,
    /// Text in the message of the last error, byte for byte.
    pub error: Option<String>,
    /// Died at this instant or later.
    pub died_after: Option<Millis>,
    /// Died before this instant.
    pub died_before: Option<Millis>,
}

impl DeadFilter {
    /// Returns whether the filter matches all dead letters.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The options of a replayed task. It takes everything else from the dead letter.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// 1..=[`super::limits::ATTEMPTS_MAX`].
    pub max_attempts: Option<u16>,
    /// 0..=[`super::limits::DELAY_MS_MAX`].
    pub delay_ms: u64,
    pub priority: Option<Priority>,
    pub payload: Option<Json>,
}

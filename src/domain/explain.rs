//! Reasons why a waiting task is not running.

use super::Millis;
use super::gate::Reason;

/// A waiting task, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// At least one reason, the most important first.
    pub reasons: Vec<WaitReason>,
    /// Tasks ahead of it in its lane (its name, group and priority). Present for ready tasks only.
    pub ahead: Option<Ahead>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// At most [`super::limits::AHEAD_MAX`].
    pub tasks: u64,
    /// There are more than were counted.
    pub at_least: bool,
}

/// One reason why a task waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// Its producer or an operator scheduled it.
    Scheduled { until: Millis },
    /// Its last attempt failed.
    RetryBackoff { until: Millis },
    /// A worker released it with a time to retry.
    Deferred { until: Millis },
    /// A gate blocks it: a limit, a hold or a breaker of the `queue`, its `name` or its `group`. `None`: an
    /// event opens the gate, such as the end of a lease.
    Shut {
        of: &'static str,
        reason: Reason,
        until: Option<Millis>,
    },
    /// No worker serves it: no lease call waits, and nothing of the queue was leased for as long as a lease
    /// call may wait.
    NoWorker,
    /// Other groups have their turns first.
    Turn { groups: u64 },
    /// Tasks of its group go first: those ahead of it in its lane, and the heads of `lanes` other lanes.
    Order { lanes: u64 },
    /// Nothing blocks it: the next lease call that accepts it gets it.
    Next,
}

impl WaitReason {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scheduled { .. } => "scheduled",
            Self::RetryBackoff { .. } => "retry_backoff",
            Self::Deferred { .. } => "deferred",
            Self::Shut { reason, .. } => reason.word(),
            Self::NoWorker => "no_worker",
            Self::Turn { .. } => "turn",
            Self::Order { .. } => "order",
            Self::Next => "next",
        }
    }

    /// Returns the earliest time at which it can run; `None` if that is unknown.
    pub const fn until(self) -> Option<Millis> {
        match self {
            Self::Scheduled { until } | Self::RetryBackoff { until } | Self::Deferred { until } => {
                Some(until)
            }
            Self::Shut { until, .. } => until,
            Self::NoWorker | Self::Turn { .. } | Self::Order { .. } | Self::Next => None,
        }
    }
}

//! Why a waiting task is not running.

use super::Millis;
use super::gate::Reason;

/// A waiting task, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// At least one; the one that matters most first.
    pub reasons: Vec<WaitReason>,
    /// Tasks of its lane (its name, group and priority) that come first: ready tasks only.
    pub ahead: Option<Ahead>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// At most [`super::limits::AHEAD_MAX`].
    pub tasks: u64,
    /// There are more.
    pub at_least: bool,
}

/// One of the things that a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// Its producer, or an operator, said when.
    Scheduled { until: Millis },
    /// Its last attempt failed.
    RetryBackoff { until: Millis },
    /// A worker gave it back and said when to try again.
    Deferred { until: Millis },
    /// A gate keeps it back: a limit, a hold or a breaker of the `queue`, its `name` or its `group`. `None`: until something happens, as
    /// a lease that ends.
    Shut {
        of: &'static str,
        reason: Reason,
        until: Option<Millis>,
    },
    /// No lease call waits for it, nothing of the queue is leased, and nothing was for as long as a lease call may wait.
    NoWorker,
    /// Other groups have their turn first.
    Turn { groups: u64 },
    /// Others of its group come first: those ahead of it in its lane, and the heads of `lanes` other lanes.
    Order { lanes: u64 },
    /// Nothing: the next lease call that may have it gets it.
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

    /// Not before; `None` where nobody can say.
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

//! Gates, which may block ready tasks, and the weights of groups.

use serde::{Deserialize, Serialize};

use super::Millis;

/// The cost of one turn of a group of weight 1, in the units of passes. Many small numbers divide it, so
/// usual shares are exact.
pub const TURN: u64 = 5040;

/// A finite number above zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Positive(f64);

/// Every finite number equals itself.
impl Eq for Positive {}

impl Positive {
    /// Returns `None` for numbers that are not finite or not above zero.
    pub fn new(number: f64) -> Option<Self> {
        (number.is_finite() && number > 0.0).then_some(Self(number))
    }

    pub fn get(self) -> f64 {
        self.0
    }

    /// Returns what one grant adds to the pass of a group with this weight: a whole number above zero.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss
    )]
    pub fn stride(self) -> u64 {
        ((TURN as f64 / self.0).round() as u64).max(1)
    }
}

/// Limits of a queue, a name or a group. All that are set must allow a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Grants per second in the long run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<Positive>,
    /// Grants that may follow at once after an idle time, at least 1. Present only with a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<Positive>,
    /// Tasks that may be leased at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_leased: Option<u64>,
}

impl Limits {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the settings with all defaults filled in.
    pub fn effective(&self) -> Self {
        Self {
            burst: self.burst().and_then(Positive::new),
            ..*self
        }
    }

    /// Returns the burst if only the rate is set: one second's worth, and at least 1.
    pub fn burst(&self) -> Option<f64> {
        let rate = self.rate_per_second?.get();
        Some(self.burst.map_or(rate.max(1.0), Positive::get))
    }
}

/// The circuit breaker of a name: it stops grants while attempts keep failing. [`Breaker::effective`] fills
/// in settings that are absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// Consecutive failed attempts that open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<u64>,
    /// The time for which it is open. Each failed probe doubles it, up to ten times its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_ms: Option<u64>,
    /// Probes at the same time while it is half-open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_open_max: Option<u64>,
    /// Successful probes that close it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<u64>,
}

impl Breaker {
    /// Returns the settings with all defaults filled in.
    pub fn effective(&self) -> Self {
        Self {
            failure_threshold: self.failure_threshold.or(Some(5)),
            reset_ms: self.reset_ms.or(Some(60_000)),
            half_open_max: self.half_open_max.or(Some(1)),
            success_threshold: self.success_threshold.or(Some(1)),
        }
    }
}

/// The state into which an operator puts a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Open for this many ms, or until an operator closes it.
    Open {
        ms: Option<u64>,
    },
    Closed,
}

/// The scope of a gate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Queue,
    Name(String),
    /// Empty for the tasks without a group.
    Group(String),
}

impl Scope {
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Name(_) => "name",
            Self::Group(_) => "group",
        }
    }
}

/// Reasons why ready tasks are not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Leases of the queue are paused.
    Paused,
    Held,
    RateLimited,
    ConcurrencyLimited,
    BreakerOpen,
}

impl Reason {
    pub const ALL: [Self; 5] = [
        Self::Paused,
        Self::Held,
        Self::RateLimited,
        Self::ConcurrencyLimited,
        Self::BreakerOpen,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Held => "held",
            Self::RateLimited => "rate_limited",
            Self::ConcurrencyLimited => "concurrency_limited",
            Self::BreakerOpen => "breaker_open",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}

/// Why a lease call got no task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyReason {
    Empty,
    /// Leases are paused, or a gate blocks the ready tasks.
    Shut(Reason),
}

impl EmptyReason {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Shut(reason) => reason.word(),
        }
    }
}

/// Why a gate blocks ready tasks, and when to look again; `None`: when an event opens it, such as the end of
/// a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shut {
    pub reason: Reason,
    pub look_at: Option<Millis>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_weights() {
        let stride = |weight| Positive::new(weight).unwrap().stride();
        assert_eq!(
            [1.0, 2.0, 3.0, 0.1, 100.0].map(stride),
            [5040, 2520, 1680, 50_400, 50]
        );
        assert_eq!(stride(f64::MAX), 1);
    }

    #[test]
    fn what_is_no_positive_number_is_none() {
        for number in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Positive::new(number), None);
        }
    }
}

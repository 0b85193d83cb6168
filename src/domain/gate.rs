//! What may keep a ready task from being granted, and what its group's turn is worth.

use serde::{Deserialize, Serialize};

use super::Millis;

/// What one turn of a group of weight 1 costs, in the units of passes. Many small numbers divide it, so that usual shares are exact.
pub const TURN: u64 = 5040;

/// A finite number above zero, as configs have them.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Positive(f64);

/// Of finite numbers each is equal to itself.
impl Eq for Positive {}

impl Positive {
    /// `None` for what is not finite or not above zero.
    pub fn new(number: f64) -> Option<Self> {
        (number.is_finite() && number > 0.0).then_some(Self(number))
    }

    pub fn get(self) -> f64 {
        self.0
    }

    /// As the weight of a group: what one grant adds to its pass, a whole number above zero.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss
    )]
    pub fn stride(self) -> u64 {
        ((TURN as f64 / self.0).round() as u64).max(1)
    }
}

/// Limits of a queue, a name or a group: all that are set must let a task through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Grants per second, on the long run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<Positive>,
    /// Grants that may come at once after a pause, at least 1; only with a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<Positive>,
    /// Tasks that may be leased at one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_leased: Option<u64>,
}

impl Limits {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What holds, with nothing left to defaults.
    pub fn effective(&self) -> Self {
        Self {
            burst: self.burst().and_then(Positive::new),
            ..*self
        }
    }

    /// What holds where only the rate is set: one second's worth, and at least 1.
    pub fn burst(&self) -> Option<f64> {
        let rate = self.rate_per_second?.get();
        Some(self.burst.map_or(rate.max(1.0), Positive::get))
    }
}

/// When the grants of a name stop because its attempts keep failing; what is not set is as [`Breaker::effective`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// Failed attempts one after the other that open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<u64>,
    /// How long it is open; twice as long each time that it opens again at once, up to ten times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_ms: Option<u64>,
    /// Grants at one time while it is half-open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_open_max: Option<u64>,
    /// Of these, successes that close it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<u64>,
}

impl Breaker {
    /// What holds, with nothing left to defaults.
    pub fn effective(&self) -> Self {
        Self {
            failure_threshold: self.failure_threshold.or(Some(5)),
            reset_ms: self.reset_ms.or(Some(60_000)),
            half_open_max: self.half_open_max.or(Some(1)),
            success_threshold: self.success_threshold.or(Some(1)),
        }
    }
}

/// What an operator makes of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// For so many ms, or until it is closed by hand.
    Open {
        ms: Option<u64>,
    },
    Closed,
}

/// What a gate is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Queue,
    Name(String),
    /// Empty: the tasks without a group.
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

/// Why ready tasks are not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing of the queue is granted.
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

/// Why a gate blocks ready tasks, and when to look again; `None`: when an event opens it, such as the end of a lease.
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

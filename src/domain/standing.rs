//! How the names and the groups of a queue stand: what waits there, and what keeps it back.

use super::gate::Limits;
use super::{Millis, TaskName};

/// Tasks that are ready, by the lanes that they are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    pub tasks: u64,
    /// There are more lanes than were counted.
    pub at_least: bool,
}

/// What limits and holds leave at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateStanding {
    /// As they hold, with nothing left to defaults.
    pub limits: Limits,
    /// Grants that may come at once, and fractions of the next one; only with a rate.
    pub tokens: Option<f64>,
    pub held_until: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// With so many failed attempts one after the other.
    Closed { failures: u64 },
    /// `None`: until it is closed by hand.
    Open { until: Option<Millis> },
    /// With so many probes under way, and so many that succeeded.
    HalfOpen { probes: u64, successes: u64 },
}

impl BreakerState {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half_open",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerStanding {
    pub state: BreakerState,
    /// `None`: it never was in another one, as far as anybody remembers.
    pub since: Option<Millis>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NameStanding {
    pub name: TaskName,
    pub ready: Ready,
    pub leased: u64,
    pub gate: GateStanding,
    /// `None`: the name has none, and none that an operator opened.
    pub breaker: Option<BreakerStanding>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GroupStanding {
    /// `None`: the tasks without a group, which form one.
    pub group: Option<String>,
    pub ready: Ready,
    /// `None` of the tasks without a group while so many names and groups have leased tasks that nobody adds them up.
    pub leased: Option<u64>,
    /// Turns beside a group of weight 1.
    pub weight: f64,
    pub gate: GateStanding,
}

//! The state of the names and groups of a queue: their tasks, and the gates that block them.

use super::gate::Limits;
use super::{Millis, TaskName};

/// Ready tasks, counted lane by lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    pub tasks: u64,
    /// There are more lanes than were counted.
    pub at_least: bool,
}

/// The state of limits and holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateStanding {
    /// The limits with all defaults filled in.
    pub limits: Limits,
    /// Grants that are possible at once, with fractions. Present only with a rate.
    pub tokens: Option<f64>,
    pub held_until: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Closed, with this many consecutive failed attempts.
    Closed { failures: u64 },
    /// `None`: open until an operator closes it.
    Open { until: Option<Millis> },
    /// Half-open, with the probes under way and the successful ones.
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
    /// `None`: no other state is remembered.
    pub since: Option<Millis>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NameStanding {
    pub name: TaskName,
    pub ready: Ready,
    pub leased: u64,
    pub gate: GateStanding,
    /// `None`: the name has no breaker, and no operator opened one.
    pub breaker: Option<BreakerStanding>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GroupStanding {
    /// `None` for the tasks without a group.
    pub group: Option<String>,
    pub ready: Ready,
    /// `None` for the tasks without a group if too many names and groups have leased tasks to add them up.
    pub leased: Option<u64>,
    /// Turns relative to a group of weight 1.
    pub weight: f64,
    pub gate: GateStanding,
}

//! The one seam where what the engine says becomes a problem. Exhaustive, so that a new failure asks here.

use super::problem::{Code, Problem};
use crate::domain::settle::NotSettled;
use crate::engine::Failure;

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::QueueUnknown => Code::QueueUnknown.problem(),
            Failure::QueuesFull => Code::QueuesFull.problem(),
            Failure::QueueFull => Code::QueueFull.problem(),
            Failure::NotApplied(why) => Code::StoreUnavailable.problem().caused_by(why),
            Failure::Unknown => Code::OutcomeUnknown
                .problem()
                .caused_by("no reply to a store call"),
            Failure::StoreFull => Code::StoreFull.problem(),
            Failure::Broken => Code::Internal
                .problem()
                .caused_by("an impossible reply of the store"),
            Failure::Overloaded => Code::Overloaded.problem(),
            Failure::Draining => Code::ShuttingDown.problem(),
        }
    }
}

impl From<NotSettled> for Problem {
    fn from(refused: NotSettled) -> Self {
        match refused {
            NotSettled::Lost => Code::LeaseLost.problem(),
            NotSettled::Unknown => Code::LeaseUnknown.problem(),
        }
    }
}

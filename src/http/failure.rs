//! The one seam where what the engine says becomes a problem. Exhaustive, so that a new failure asks here.

use super::problem::{Code, Problem};
use super::wire::state_or_gone;
use crate::domain::settle::NotSettled;
use crate::domain::task::NotEnqueued;
use crate::engine::Failure;

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::QueueUnknown => Code::QueueUnknown.problem(),
            Failure::QueuesFull => Code::QueuesFull.problem(),
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

impl From<NotEnqueued> for Problem {
    fn from(refused: NotEnqueued) -> Self {
        match refused {
            NotEnqueued::Duplicate { holder, state } => {
                let state = state_or_gone(state);
                Code::DuplicateTask.because(format!("the task {holder} holds the key; it is {state}"))
            }
            NotEnqueued::Mismatch => Code::IdempotencyMismatch.problem(),
            NotEnqueued::Full => Code::QueueFull.problem(),
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

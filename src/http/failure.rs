//! Turns failures of the engine into problems. The match is exhaustive, so a new failure does not compile
//! until it is added here.

use super::problem::{Code, Problem};
use super::wire::state_or_gone;
use crate::domain::full::Full;
use crate::domain::settle::NotSettled;
use crate::domain::task::NotEnqueued;
use crate::engine::Failure;

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::QueueUnknown => Code::QueueUnknown.problem(),
            Failure::QueuesFull => Code::QueuesFull.problem(),
            Failure::NotApplied(why) => Code::StoreUnavailable.problem().caused_by(why.to_string()),
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
            NotEnqueued::Full(full) => full.into(),
            NotEnqueued::Paused { ends_in_ms } => Code::QueuePaused.problem().retry_in(ends_in_ms),
        }
    }
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        let why = match full {
            Full::Names => return Code::NamesFull.problem(),
            Full::Tasks => "the unfinished tasks of the queue have reached its `max_tasks`",
            Full::Bytes => "with this task the unfinished tasks would exceed the queue's `max_bytes`",
            Full::DeadLetters => {
                "the queue's dead letters are full, and its `dead_letter.on_full` is `reject_enqueue`"
            }
        };
        Code::QueueFull.because(why)
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

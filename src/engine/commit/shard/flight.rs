//! Script calls under way, each with the callers that wait for its outcome.

use crate::domain::QueueName;
use crate::domain::settle::{Ack, Extend, Nack};
use crate::engine::failure::Failure;
use crate::store::ops::Op;
use crate::store::ops::release::Returned;
use crate::store::ops::sweep::SweepOp;
use crate::store::reply::Reply;
use crate::store::{Batch, QueueKeys, StoreError, conn};

mod enqueue;
mod lease;
mod settle;
mod sweep;

pub(super) use enqueue::EnqueueFlight;
pub(super) use lease::{LeaseFlight, RecallFlight};
pub(in crate::engine::commit) use settle::Kind;
pub(super) use settle::SettleFlight;

/// A script call that was sent, or is about to be.
pub(in crate::engine::commit) struct Flight {
    pub(in crate::engine::commit) queue: QueueName,
    pub(in crate::engine::commit) keys: QueueKeys,
    pub(in crate::engine::commit) call: Call,
}

/// The operation of a flight, kept until its reply is read.
pub(in crate::engine::commit) enum Call {
    Enqueue(EnqueueFlight),
    Ack(SettleFlight<Ack>),
    Nack(SettleFlight<Nack>),
    Extend(SettleFlight<Extend>),
    Return(SettleFlight<Returned>),
    Sweep(SweepOp),
    Lease(LeaseFlight),
    Recall(RecallFlight),
}

impl Flight {
    pub(in crate::engine::commit) fn push(&self, batch: &mut Batch) {
        match &self.call {
            Call::Enqueue(flight) => batch.push(&self.keys, &flight.op),
            Call::Ack(flight) => batch.push(&self.keys, &flight.op),
            Call::Nack(flight) => batch.push(&self.keys, &flight.op),
            Call::Extend(flight) => batch.push(&self.keys, &flight.op),
            Call::Return(flight) => batch.push(&self.keys, &flight.op),
            Call::Sweep(op) => batch.push(&self.keys, op),
            Call::Lease(flight) => batch.push(&self.keys, &flight.op),
            Call::Recall(flight) => batch.push(&self.keys, &flight.op),
        }
    }

    /// Returns the name of the script and the number of callers' items in the call, for the metrics.
    pub(in crate::engine::commit) fn measure(&self) -> (&'static str, usize) {
        fn of<O: Op>(_: &O, items: usize) -> (&'static str, usize) {
            (O::SCRIPT, items)
        }
        match &self.call {
            Call::Enqueue(flight) => of(&flight.op, flight.op.tasks.len()),
            Call::Ack(flight) => of(&flight.op, flight.len()),
            Call::Nack(flight) => of(&flight.op, flight.len()),
            Call::Extend(flight) => of(&flight.op, flight.len()),
            Call::Return(flight) => of(&flight.op, flight.len()),
            Call::Sweep(op) => of(op, 1),
            Call::Lease(flight) => of(&flight.op, flight.op.wishes.len()),
            Call::Recall(flight) => of(&flight.op, 1),
        }
    }
}

/// Reads the reply of a call with the operation that was sent.
fn outcome<O: Op>(op: &O, reply: Result<Reply, StoreError>) -> Result<O::Outcome, StoreError> {
    op.outcome(reply?).map_err(|bad| conn::bad_reply(O::SCRIPT, &bad))
}

/// The next step after a failed call.
enum Next {
    Retry,
    Fail(Failure),
}

/// Decides about a failed call. An unknown outcome is retried once. After it, "not applied" is no longer the
/// whole truth: the first try may have been applied.
fn after(error: &StoreError, again: bool) -> Next {
    match error {
        StoreError::Unknown(_) if !again => Next::Retry,
        StoreError::NotApplied(_) if again => Next::Fail(Failure::Unknown),
        error => Next::Fail(error.clone().into()),
    }
}

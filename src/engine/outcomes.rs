//! What a reply of the store means: for the call, and for the one who asked for an item of it.

use super::command::LeaseJob;
use super::failure::Failure;
use crate::domain::TaskId;
use crate::domain::settle::{NotSettled, Settled};
use crate::store::ops::ack::Acked;
use crate::store::ops::extend::Extended;
use crate::store::ops::lease::{Granted, LeaseOp, Wish};
use crate::store::ops::nack::Nacked;
use crate::store::ops::{Answer, Op};
use crate::store::reply::Reply;
use crate::store::{StoreError, conn};

pub(super) enum Next {
    Again,
    Fail(Failure),
}

/// What to do about a call that failed. Once an outcome was unknown, "not applied" is no longer the whole truth.
pub(super) fn after(error: &StoreError, again: bool) -> Next {
    match error {
        StoreError::Unknown(_) if !again => Next::Again,
        StoreError::NotApplied(_) if again => Next::Fail(Failure::Unknown),
        error => Next::Fail(error.clone().into()),
    }
}

pub(super) fn outcome<O: Op>(op: &O, answer: Result<Reply, StoreError>) -> Result<O::Outcome, StoreError> {
    op.outcome(answer?)
        .map_err(|bad| conn::bad_reply(O::SCRIPT, &bad))
}

pub(super) fn lease_outcome(
    jobs: &[LeaseJob],
    seed: u16,
    answer: Result<Reply, StoreError>,
) -> Result<Granted, StoreError> {
    let wishes: Vec<Wish> = jobs.iter().map(|job| job.wish.clone()).collect();
    let op = LeaseOp {
        replica: "",
        tell_me: false,
        look: false,
        bytes_max: 0,
        seed,
        names: &[],
        wishes: &wishes,
        not_after: None,
    };
    outcome(&op, answer)
}

pub(super) fn told<A>(answer: Answer<A>, read: impl FnOnce(A) -> Settled) -> Result<Settled, NotSettled> {
    match answer {
        Answer::Done(done) => Ok(read(done)),
        Answer::Lost => Err(NotSettled::Lost),
        Answer::Unknown => Err(NotSettled::Unknown),
    }
}

pub(super) fn acked(id: TaskId, acked: Acked) -> Settled {
    Settled::Acked {
        id,
        late: acked == Acked::Late,
        already: acked == Acked::Already,
    }
}

pub(super) fn nacked(id: TaskId, done: Nacked) -> Settled {
    Settled::Nacked {
        id,
        state: done.state,
        attempt: done.attempt,
        attempts_left: done.attempts_left,
        next_attempt_at: done.next_at,
        already: done.already,
    }
}

pub(super) fn extended(id: TaskId, done: Extended) -> Settled {
    Settled::Extended {
        id,
        lease_expires_at: done.lease_expires_at,
        cancel_requested: done.cancel_requested,
    }
}

//! What callers hand to a committer, and what they get back.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::SettleOutcome;
use super::failure::Failure;
use super::lease::EmptyReason;
use super::pulse::Beat;
use crate::domain::settle::Settle;
use crate::domain::task::{Enqueued, NotEnqueued};
use crate::domain::{Lease, Millis, NewTask, QueueName, TaskName};
use crate::store::ops::lease::{Grant, Wish};

pub(super) enum Command {
    Enqueue(QueueName, EnqueueJob),
    Settle(QueueName, Vec<Settle>, oneshot::Sender<Vec<SettleOutcome>>),
    Lease(QueueName, LeaseJob),
    /// Wake me when the queue may have something; several queues share one watch.
    Watch(QueueName, Watch),
    /// Grants whose callers never got them, of one call; with its owner and `request_id`, if any.
    GiveBack(QueueName, Vec<Lease>, Option<String>),
    /// Tasks became ready, here or elsewhere.
    Hint(QueueName, usize),
    /// Something of the queue is due.
    Sweep(QueueName),
    /// The queue was made, or could not be.
    Made(QueueName, Result<(), Failure>),
    /// How many lease calls wait for the queue, and would take a task of this name?
    CountWaiting(QueueName, Option<TaskName>, oneshot::Sender<usize>),
    /// What was seen of queues since the last beat, and who waits.
    Beat(oneshot::Sender<Vec<(QueueName, Beat)>>),
    /// Something changed that no committer did.
    Changed(QueueName),
    /// The queue was deleted: what is known of it holds no more.
    Forget(QueueName),
    /// Answer those who wait, and let nobody wait any more.
    Drain,
    /// Send what was taken, then end.
    Stop,
}

/// At most one script call's worth of tasks: accepted together.
pub(super) struct EnqueueJob {
    pub(super) tasks: Vec<NewTask>,
    pub(super) bytes: usize,
    /// An earlier try had an unknown outcome.
    pub(super) again: bool,
    /// Where one is refused, none is accepted: it has a script call of its own.
    pub(super) all_or_none: bool,
    pub(super) reply: oneshot::Sender<Result<Vec<Result<Enqueued, NotEnqueued>>, Failure>>,
}

pub(super) struct LeaseJob {
    pub(super) wish: Wish,
    /// Of payloads that the caller can still take, at least one task's.
    pub(super) bytes_max: usize,
    pub(super) names: Vec<TaskName>,
    /// `None`: answer at once.
    pub(super) deadline: Option<Instant>,
    /// The request was granted before: answer with those grants.
    pub(super) recall: bool,
    pub(super) reply: oneshot::Sender<Result<Grants, Failure>>,
}

pub(super) struct Watch {
    pub(super) names: Vec<TaskName>,
    pub(super) deadline: Instant,
    /// Gets the queue that has something.
    pub(super) wake: mpsc::Sender<QueueName>,
}

/// Grants on their way from the store to a caller. Dropped unclaimed, they are given back:
/// the caller left, and the tasks must not wait for their leases to run out.
pub(super) struct Grants {
    pub(super) queue: QueueName,
    /// Of Redis, when it answered.
    pub(super) now: Millis,
    /// When Redis was asked, which is before its `now`: time that passed since may be time of the leases.
    pub(super) asked_at: Instant,
    pub(super) grants: Vec<Grant>,
    /// Owner and `request_id` of the call, if any.
    pub(super) call: Option<String>,
    /// Of an earlier call with the same `request_id`, whose caller may hold them: they are never given back.
    pub(super) recalled: bool,
    /// Of an empty answer.
    pub(super) reason: EmptyReason,
    /// Of an empty answer: when the first scheduled task becomes ready, or a gate may let tasks through.
    pub(super) retry_after: Option<Duration>,
    pub(super) home: mpsc::Sender<Command>,
}

impl Grants {
    /// The grants, no longer guarded.
    pub(super) fn claim(mut self) -> Vec<Grant> {
        std::mem::take(&mut self.grants)
    }
}

impl Drop for Grants {
    fn drop(&mut self) {
        if !self.grants.is_empty() && !self.recalled {
            let leases = self.grants.iter().map(|grant| grant.lease(&self.queue)).collect();
            give_back(&self.home, self.queue.clone(), leases, self.call.take());
        }
    }
}

/// From a destructor, so it cannot wait: when the committer's line is full, the leases run out by themselves.
pub(super) fn give_back(
    home: &mpsc::Sender<Command>,
    queue: QueueName,
    leases: Vec<Lease>,
    call: Option<String>,
) {
    if home.try_send(Command::GiveBack(queue, leases, call)).is_err() {
        tracing::warn!("a give-back found no room; the leases will run out instead");
    }
}

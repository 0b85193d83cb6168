//! Commands that callers send to a committer.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::undelivered::RawGrants;
use crate::domain::gate::EmptyReason;
use crate::domain::settle::{NotSettled, Settle, Settled};
use crate::domain::task::{Enqueued, NotEnqueued};
use crate::domain::{NewTask, QueueName, TaskName};
use crate::engine::beat::Beat;
use crate::engine::failure::Failure;
use crate::store::ops::lease::Wish;

/// The outcome of one settle: its effect, the reason why it had none, or the failure that hides it.
pub type SettleOutcome = Result<Result<Settled, NotSettled>, Failure>;

/// The outcome of one task of an enqueue: the task that exists now, or the reason why it was refused.
pub(in crate::engine) type TaskOutcome = Result<Enqueued, NotEnqueued>;

/// Returns the tasks of an enqueue that did not exist before, by their outcomes.
pub(super) fn new_tasks<'a>(
    tasks: &'a [NewTask],
    outcomes: &'a [TaskOutcome],
) -> impl Iterator<Item = &'a NewTask> {
    let is_new = |outcome: &TaskOutcome| outcome.as_ref().is_ok_and(Enqueued::is_new);
    let accepted = tasks.iter().zip(outcomes);
    accepted.filter_map(move |(task, outcome)| is_new(outcome).then_some(task))
}

pub(in crate::engine) enum Command {
    Enqueue(QueueName, EnqueueJob),
    Settle(QueueName, Vec<Settle>, oneshot::Sender<Vec<SettleOutcome>>),
    Lease(QueueName, LeaseJob),
    /// Wakes the sender when the queue may have a task. Several queues can share one watch.
    Watch(QueueName, Watch),
    /// Another replica or another part of this process made tasks ready.
    Hint(QueueName, usize),
    /// An entry of the queue is due.
    Sweep(QueueName),
    /// The queue was created, or could not be.
    Created(QueueName, Result<(), Failure>),
    /// Counts lease calls that wait for the queue and would take a task of this name.
    CountWaiting(QueueName, Option<TaskName>, oneshot::Sender<usize>),
    /// Collects observations since the last beat, and the numbers of waiting calls.
    Beat(oneshot::Sender<Vec<(QueueName, Beat)>>),
    /// An operation outside the committer changed the queue.
    Changed(QueueName),
    /// The queue was deleted: drops all knowledge of it.
    Forget(QueueName),
    /// Ends all waits, and lets no later call wait.
    Drain,
    /// Sends all pending work, then ends.
    Stop,
}

/// At most one script call's worth of tasks, accepted together.
pub(in crate::engine) struct EnqueueJob {
    pub(in crate::engine) tasks: Vec<NewTask>,
    pub(in crate::engine) bytes: usize,
    /// An earlier try had an unknown outcome.
    pub(in crate::engine) again: bool,
    /// Accept no task if one is refused. Such a job has a script call of its own.
    pub(in crate::engine) all_or_none: bool,
    pub(in crate::engine) reply: oneshot::Sender<Result<Vec<TaskOutcome>, Failure>>,
}

/// One caller's part of a lease call.
pub(in crate::engine) struct LeaseJob {
    pub(in crate::engine) wish: Wish,
    pub(in crate::engine) caller: LeaseCaller,
}

/// The half of a [`LeaseJob`] that stays in the process while the wish is at Redis.
pub(in crate::engine) struct LeaseCaller {
    /// Bytes of payloads that the caller can still take; one task is always allowed.
    pub(in crate::engine) bytes_max: usize,
    /// The filter; empty: all names.
    pub(in crate::engine) names: Vec<TaskName>,
    /// `None`: the call does not wait.
    pub(in crate::engine) deadline: Option<Instant>,
    /// The `request_id` was granted before: reply with those grants.
    pub(in crate::engine) recall: bool,
    pub(in crate::engine) reply: oneshot::Sender<Result<Leased<RawGrants>, Failure>>,
}

/// The outcome of a lease call.
#[derive(Debug)]
pub enum Leased<G> {
    Tasks(G),
    Empty {
        reason: EmptyReason,
        /// When the first scheduled task becomes ready or a gate may open, if that time is known.
        retry_after: Option<Duration>,
    },
}

impl<G> Leased<G> {
    /// No task, for no reason but that there is none.
    pub(in crate::engine) const EMPTY: Self = Self::Empty {
        reason: EmptyReason::Empty,
        retry_after: None,
    };
}

pub(in crate::engine) struct Watch {
    pub(in crate::engine) names: Vec<TaskName>,
    pub(in crate::engine) deadline: Instant,
    /// Receives the queue that may have a task.
    pub(in crate::engine) wake: mpsc::Sender<QueueName>,
}

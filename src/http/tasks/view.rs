//! Tasks in responses: with a lease for workers, and as reads show them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::explain::WaitingAnswer;
use crate::domain::explain::Waiting;
use crate::domain::task::{Attempt, Json, TaskError, TaskView};
use crate::domain::{Group, LeasedTask, Millis, QueueName, TaskId, TaskName, TaskState, UniqueKey};
use crate::http::retry::RetryDocument;
use crate::http::wire::{self, Seconds};

/// A task with the lease of the caller.
#[derive(Serialize, ToSchema)]
#[schema(as = LeasedTask)]
pub(in crate::http) struct LeasedTaskAnswer<'a> {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    #[schema(value_type = wire::Name)]
    queue: &'a QueueName,
    #[schema(value_type = wire::Name)]
    name: &'a TaskName,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    group: Option<&'a Group>,
    #[schema(value_type = wire::Json)]
    payload: &'a Json,
    priority: u16,
    /// Number of the attempt, from 1.
    attempt: u16,
    max_attempts: u16,
    /// Number of releases with `retry_after`.
    deferrals: u16,
    /// Number of the grant. It rises with every grant and is never reused, so it can serve as a fencing
    /// token.
    grant: u32,
    /// Proof of the lease, for ack, nack, extend and release.
    lease_id: &'a str,
    #[schema(value_type = wire::Duration)]
    lease_seconds: Seconds,
    #[schema(value_type = wire::Instant)]
    lease_expires_at: Millis,
    /// Time of Redis's clock, to compare with `lease_expires_at`.
    #[schema(value_type = wire::Instant)]
    server_time: Millis,
    #[schema(value_type = wire::Instant)]
    enqueued_at: Millis,
    #[schema(value_type = wire::Instant)]
    ready_at: Millis,
    /// Time from which the task is not granted any more once it waits again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    expires_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    unique_key: Option<&'a UniqueKey>,
    headers: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tracestate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_error: Option<ErrorAnswer<'a>>,
    /// The dead letter that this task was replayed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Id>, nullable = false)]
    replayed_from: Option<TaskId>,
}

impl<'a> LeasedTaskAnswer<'a> {
    pub(in crate::http) fn of(task: &'a LeasedTask) -> Self {
        Self {
            id: task.id,
            queue: &task.queue,
            name: &task.name,
            group: task.group.as_ref(),
            payload: &task.payload,
            priority: task.priority.get(),
            attempt: task.attempt,
            max_attempts: task.max_attempts,
            deferrals: task.deferrals,
            grant: task.grant,
            lease_id: &task.lease_id,
            lease_seconds: Seconds(task.lease_ms),
            lease_expires_at: task.lease_expires_at,
            server_time: task.server_time,
            enqueued_at: task.enqueued_at,
            ready_at: task.ready_at,
            expires_at: task.expires_at,
            unique_key: task.unique_key.as_ref(),
            headers: &task.meta.headers,
            traceparent: task.meta.traceparent.as_deref(),
            tracestate: task.meta.tracestate.as_deref(),
            last_error: task.last_error.as_ref().map(ErrorAnswer::of),
            replayed_from: task.meta.replayed_from,
        }
    }
}

/// Everything that the service knows about one task.
#[derive(Serialize, ToSchema)]
#[schema(as = Task)]
pub(in crate::http) struct TaskAnswer<'a> {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    #[schema(value_type = wire::Name)]
    queue: &'a QueueName,
    #[schema(value_type = wire::Name)]
    name: &'a TaskName,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    group: Option<&'a Group>,
    #[schema(value_type = wire::State)]
    state: TaskState,
    #[schema(value_type = wire::Json)]
    payload: &'a Json,
    priority: u16,
    /// Number of attempts, including the running one.
    attempt: u16,
    max_attempts: u16,
    deferrals: u16,
    /// Number of grants.
    grant: u32,
    #[schema(value_type = wire::Duration)]
    lease_seconds: Seconds,
    retry: RetryDocument,
    #[schema(value_type = wire::Instant)]
    enqueued_at: Millis,
    /// Time from which the task is not granted any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    expires_at: Option<Millis>,
    /// Time at which the task becomes ready. Present for scheduled tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    run_at: Option<Millis>,
    /// Time at which the task became ready. Present for ready tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    ready_at: Option<Millis>,
    /// The reasons why it is not running. Present for scheduled and ready tasks that are read by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    waiting: Option<WaitingAnswer>,
    /// Present for leased tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    lease_expires_at: Option<Millis>,
    cancel_requested: bool,
    /// Worker of the current or last lease, if the lease call named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    worker: Option<&'a str>,
    /// Progress that the worker last reported with an extend.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = wire::Json, required = false)]
    progress: Option<&'a Json>,
    /// Present for completed, cancelled and dead tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    finished_at: Option<Millis>,
    /// Present for dead letters only: the same instant as `finished_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    died_at: Option<Millis>,
    /// Present for completed tasks whose ack contained a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = wire::Json, required = false)]
    result: Option<&'a Json>,
    /// Reason of the death: `attempts_exhausted`, `rejected` or `expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_error: Option<ErrorAnswer<'a>>,
    /// Failed attempts, oldest first. If there were too many, the first and the latest are kept.
    attempts: Vec<AttemptAnswer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    unique_key: Option<&'a UniqueKey>,
    headers: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tracestate: Option<&'a str>,
    /// The dead letter that this task was replayed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Id>, nullable = false)]
    replayed_from: Option<TaskId>,
}

impl<'a> TaskAnswer<'a> {
    pub(in crate::http) fn of(queue: &'a QueueName, task: &'a TaskView) -> Self {
        let scheduled = task.state == TaskState::Scheduled;
        Self {
            id: task.id,
            queue,
            name: &task.name,
            group: task.group.as_ref(),
            state: task.state,
            payload: &task.payload,
            priority: task.priority.get(),
            attempt: task.attempt,
            max_attempts: task.max_attempts,
            deferrals: task.deferrals,
            grant: task.grant,
            lease_seconds: Seconds(task.lease_ms),
            retry: RetryDocument::of(&task.retry.into()),
            enqueued_at: task.enqueued_at,
            expires_at: task.expires_at,
            run_at: task.ready_at.filter(|_| scheduled),
            ready_at: task.ready_at.filter(|_| !scheduled),
            waiting: None,
            lease_expires_at: task.lease_expires_at,
            cancel_requested: task.cancel_requested,
            worker: task.worker.as_deref(),
            progress: task.progress.as_ref(),
            finished_at: task.finished_at,
            died_at: task.finished_at.filter(|_| task.state == TaskState::Dead),
            result: task.result.as_ref(),
            reason: task.reason.map(|reason| reason.word()),
            last_error: task
                .attempts
                .last()
                .map(|attempt| ErrorAnswer::of(&attempt.error)),
            attempts: task.attempts.iter().map(AttemptAnswer::of).collect(),
            unique_key: task.unique_key.as_ref(),
            headers: &task.meta.headers,
            traceparent: task.meta.traceparent.as_deref(),
            tracestate: task.meta.tracestate.as_deref(),
            replayed_from: task.meta.replayed_from,
        }
    }
}

impl TaskAnswer<'_> {
    pub(in crate::http) fn because(self, waiting: Option<Waiting>) -> Self {
        let waiting = waiting.map(WaitingAnswer::from);
        Self { waiting, ..self }
    }
}

/// One failed attempt.
#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(in crate::http) struct AttemptAnswer<'a> {
    number: u16,
    grant: u32,
    /// Null if the lease call named no worker.
    #[schema(required = true)]
    worker: Option<&'a str>,
    #[schema(value_type = wire::Instant)]
    started_at: Millis,
    #[schema(value_type = wire::Instant)]
    ended_at: Millis,
    /// `nacked`, `lease_expired` or `deferrals_exhausted`.
    outcome: &'static str,
    error: ErrorAnswer<'a>,
}

impl<'a> AttemptAnswer<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        Self {
            number: attempt.number,
            grant: attempt.grant,
            worker: attempt.worker.as_deref(),
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            outcome: attempt.outcome.word(),
            error: ErrorAnswer::of(&attempt.error),
        }
    }
}

/// An error that a worker reported or the service recorded.
#[derive(Serialize, ToSchema)]
#[schema(as = TaskError)]
pub(in crate::http) struct ErrorAnswer<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stack: Option<&'a str>,
    /// Present and true if the message or stack was cut to its limit.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    cut: bool,
}

impl<'a> ErrorAnswer<'a> {
    fn of(error: &'a TaskError) -> Self {
        Self {
            kind: &error.kind,
            message: &error.message,
            stack: error.stack.as_deref(),
            cut: error.cut,
        }
    }
}

//! Lease calls: a worker asks for tasks of one or several queues, and may settle earlier leases in the same
//! request.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::value::to_raw_value;
use utoipa::ToSchema;

use super::api::Api;
use super::body::Body;
use super::path::{InQueue, QueuePath};
use super::problem::sets::{ALWAYS, BODY, WRITE, problem_set};
use super::problem::{Code, Problem};
use super::settle::Batch;
use super::settle::answer::{self, ItemAnswer};
use super::tasks::view::LeasedTaskAnswer;
use super::wire::{self, Seconds};
use crate::domain::LeasedTask;
use crate::engine::{LeaseFrom, Leased};

mod granted;
mod request;

use request::{LeaseBody, LeaseManyRequest, LeaseOneRequest};

/// Leased tasks, or the reason why there are none.
#[derive(Serialize, ToSchema)]
pub(super) struct LeaseAnswer<'a> {
    /// Fewer tasks than requested do not mean that the queue is empty.
    tasks: Vec<LeasedTaskAnswer<'a>>,
    /// The outcome of each operation in `settle`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    #[schema(value_type = Vec<ItemAnswer>)]
    settled: &'a [ItemAnswer<'a>],
    /// Reason for an empty response: `empty`, `paused`, `rate_limited`, `held`, `concurrency_limited` or
    /// `breaker_open`. With several queues, the reason of the queue that may have a task first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
    /// Seconds until a task may be available, if known: until the first scheduled task is due, or a gate may
    /// open. A new task or an operator may end the wait earlier, so use `wait_seconds` rather than this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    retry_after_seconds: Option<Seconds>,
}

impl<'a> LeaseAnswer<'a> {
    pub(super) fn of_tasks(tasks: &'a [LeasedTask], settled: &'a [ItemAnswer<'a>]) -> Self {
        Self {
            tasks: tasks.iter().map(LeasedTaskAnswer::of).collect(),
            settled,
            reason: None,
            retry_after_seconds: None,
        }
    }
}

problem_set! { LeaseProblems: ALWAYS, WRITE, BODY, &[Code::BatchTooLarge] }

/// Lease tasks of one queue.
///
/// Waits up to `wait_seconds` for the first task. An empty response is not an error. Each task is leased to
/// the caller until `lease_expires_at`.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/lease", operation_id = "lease", tag = "leases", params(QueuePath),
    request_body(content = LeaseOneRequest, example = json!({"max_tasks": 10, "wait_seconds": 20, "worker": "w-1"})),
    responses((status = 200, description = "The leased tasks, or why there are none", body = LeaseAnswer), LeaseProblems),
)]
pub(super) async fn lease(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Body(body): Body<LeaseOneRequest>,
) -> Result<Response, Problem> {
    serve(&api, LeaseFrom::One(queue), body).await
}

/// Lease tasks of several queues, in strict order or by weight.
#[utoipa::path(
    post, path = "/v1/lease", operation_id = "lease_many", tag = "leases",
    request_body(content = LeaseManyRequest, example = json!({"queues": ["critical", "default"], "max_tasks": 10})),
    responses((status = 200, description = "The leased tasks, or why there are none", body = LeaseAnswer), LeaseProblems),
)]
pub(super) async fn lease_many(
    State(api): State<Api>,
    Body((queues, body)): Body<LeaseManyRequest>,
) -> Result<Response, Problem> {
    serve(&api, queues, body).await
}

async fn serve(api: &Api, queues: LeaseFrom, body: LeaseBody) -> Result<Response, Problem> {
    let (mut request, settle) = body.from(queues);
    let engine = api.engine()?;
    if settle.is_empty() {
        return answer(api, engine.lease(request).await?, &[]);
    }

    let (batch, ops) = Batch::open(settle, api, |id| engine.open_lease(id));
    // An operation has failed already, and the worker must learn of it at once.
    if batch.has_refused() {
        request.wait = Duration::ZERO;
    }
    let (outcomes, leased) = engine.settle_and_lease(ops, request).await;
    let results = batch.results(outcomes);
    match leased {
        Ok(leased) => answer(api, leased, &answer::items(&results)),
        Err(failure) => {
            // The operations took effect, so the worker must learn of them even if the lease failed.
            let settled = to_raw_value(&answer::items(&results)).expect("results have only text and numbers");
            Err(Problem::from(failure).with_settled(Some(settled)))
        }
    }
}

fn answer(api: &Api, leased: Leased, settled: &[ItemAnswer<'_>]) -> Result<Response, Problem> {
    match leased {
        Leased::Tasks(tasks) => {
            let answer = LeaseAnswer::of_tasks(tasks.tasks(), settled);
            let bytes = tasks.bytes() + tasks.tasks().len() * TASK_BYTES;
            let body = write(&answer, bytes)?;
            Ok(granted::respond(api, tasks, body))
        }
        Leased::Empty { reason, retry_after } => {
            let retry_after =
                retry_after.map(|after| Seconds(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)));
            let answer = LeaseAnswer {
                tasks: Vec::new(),
                settled,
                reason: Some(reason.word()),
                retry_after_seconds: retry_after,
            };
            Ok(granted::json(write(&answer, 0)?.into()))
        }
    }
}

/// Approximate bytes of a leased task beside its payload.
const TASK_BYTES: usize = 640;

fn write(answer: &LeaseAnswer<'_>, bytes: usize) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::with_capacity(bytes + 128);
    serde_json::to_writer(&mut body, answer).map_err(|error| {
        Code::Internal
            .problem()
            .caused_by(format!("writing a lease response: {error}"))
    })?;
    Ok(body)
}

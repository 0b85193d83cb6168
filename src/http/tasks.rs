//! Tasks: enqueue one, read one, list one state.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::field::{Field, Parsed, Seconds, query_shape};
use super::kinds::{GROUP_KIND, NAME_KIND};
use super::page::{CURSOR, LIMIT, Page, Wanted, bad_cursor};
use super::path::{InQueue, InTask, QueuePath, TaskPath, location};
use super::problem::sets::{ALWAYS, BODY, QUERY, READ, WRITE, problem_set};
use super::problem::{Code, Problem};
use super::producer::{IdempotencyKey, mark_replayed};
use super::query::{Query, QueryFields, QueryRequest};
use super::wire;
use crate::domain::limits::WAIT_SECONDS_MAX;
use crate::domain::task::{Enqueued, Json as JsonText, Made};
use crate::domain::{Group, Millis, QueueName, TaskId, TaskName, TaskState};
use crate::engine::TaskFilter;

pub(super) mod cancel;
pub(super) mod change;
pub(super) mod explain;
pub(super) mod new_task;
pub(super) mod pages;
pub(super) mod unique;
pub(super) mod view;

use new_task::{NewTaskBody, NewTaskRequest};
use view::TaskAnswer;

/// The outcome of an enqueue.
#[derive(Serialize, ToSchema)]
pub(super) struct EnqueueAnswer<'a> {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    #[schema(value_type = wire::Name)]
    queue: &'a QueueName,
    /// Current state. An existing task may be in any state.
    #[schema(value_type = wire::StateOrGone)]
    state: &'static str,
    /// Time at which the task becomes ready. Present for scheduled tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    run_at: Option<Millis>,
    /// Whether an earlier enqueue with the same unique key had created this task.
    duplicate: bool,
    /// Present and true if the existing task got this payload and these options.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    replaced: bool,
    /// Result of a completed task, if its ack contained one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = wire::Json, required = false)]
    result: Option<JsonText>,
}

impl<'a> EnqueueAnswer<'a> {
    pub(super) fn of(queue: &'a QueueName, enqueued: Enqueued) -> Self {
        Self {
            id: enqueued.id,
            queue,
            state: wire::state_or_gone(enqueued.state),
            run_at: enqueued.run_at,
            duplicate: enqueued.made != Made::Task,
            replaced: enqueued.made == Made::Replacement,
            result: enqueued.result,
        }
    }
}

problem_set! {
    EnqueueProblems: ALWAYS, WRITE, BODY,
        &[Code::QueueUnknown, Code::DuplicateTask, Code::QueuePaused, Code::QueuesFull, Code::QueueFull, Code::NamesFull, Code::PayloadTooLarge,
            Code::IdempotencyMismatch, Code::StoreFull]
}

/// Enqueue one task.
///
/// The response comes after the durability step that its `LeaseQ-Durability` header names. With `unique`, if
/// another task holds the key, the response is 200 with that task and `duplicate: true`. A request with an
/// `Idempotency-Key` can be repeated: the response contains the same id.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/tasks", operation_id = "enqueue", tag = "tasks",
    params(QueuePath, IdempotencyKey),
    request_body(content = NewTaskRequest, example = json!({"name": "welcome", "payload": {"to": "a@example.com"}})),
    responses(
        (status = 200, description = "The task that holds the unique key", body = EnqueueAnswer,
            headers(("Location", description = "The path of that task"))),
        (status = 201, description = "The task was accepted", body = EnqueueAnswer, headers(("Location", description = "The path of the task"))),
        EnqueueProblems
    ),
)]
pub(super) async fn enqueue(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    NewTaskBody(task): NewTaskBody,
) -> Result<Response, Problem> {
    let enqueued = api.engine()?.enqueue(&queue, task).await??;
    if enqueued.is_new() {
        api.metrics().queue(&queue).enqueued.inc();
    }
    let status = match enqueued.made {
        Made::Task => StatusCode::CREATED,
        Made::Duplicate | Made::Replacement => StatusCode::OK,
    };
    let replayed = enqueued.replayed;
    let location = location(&queue, enqueued.id);
    let answer = Json(EnqueueAnswer::of(&queue, enqueued));
    let mut response = (status, location, answer).into_response();
    if replayed {
        mark_replayed(&mut response);
    }
    Ok(response)
}

const WAIT: Field<Parsed<Duration>> = Field::new(
    "wait_seconds",
    Parsed {
        parse: |text| {
            let seconds = Seconds {
                min_ms: 0,
                max_ms: WAIT_SECONDS_MAX * 1000,
            };
            Ok(Duration::from_millis(seconds.parse(text)?))
        },
        schema: wire::wait_schema,
    },
    "How long to wait for the task to finish (completed, cancelled or dead), in seconds.",
);

query_shape! {
    /// The options of reading a task.
    TaskQuery: WAIT
}

impl QueryRequest for TaskQuery {
    type Value = Duration;

    fn read(query: &mut QueryFields) -> Option<Duration> {
        Some(query.take(&WAIT).unwrap_or_default())
    }
}

problem_set! { TaskProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown, Code::TaskUnknown] }

/// Read one task, or wait for its end.
///
/// Finished tasks stay readable for the `retention` of the queue. With `wait_seconds` the response comes as
/// soon as the task is finished, whatever the retention; after that time it contains the task in its current
/// state.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/tasks/{id}", operation_id = "task", tag = "tasks",
    params(TaskPath, TaskQuery),
    responses((status = 200, description = "The whole task", body = TaskAnswer), TaskProblems),
)]
pub(super) async fn task(
    State(api): State<Api>,
    InTask { queue, id }: InTask,
    Query(wait): Query<TaskQuery>,
) -> Result<Response, Problem> {
    let task = api
        .engine()?
        .task_when_finished(&queue, id, wait)
        .await?
        .ok_or_else(|| Code::TaskUnknown.problem())?;
    let waiting = match task.state {
        TaskState::Scheduled | TaskState::Ready => api.engine()?.explain(&queue, id, &task.name).await?,
        _ => None,
    };
    Ok(Json(TaskAnswer::of(&queue, &task).because(waiting)).into_response())
}

const STATE: Field<Parsed<TaskState>> = Field::required(
    "state",
    Parsed {
        parse: |text| {
            let words = TaskState::ALL.map(TaskState::word).join(", ");
            TaskState::parse(text).ok_or_else(|| format!("must be one of {words}").into())
        },
        schema: wire::state_schema,
    },
    "Only tasks in this state.",
);
const NAME: Field<Parsed<TaskName>> = Field::new("name", NAME_KIND, "Only tasks of this name.");
const GROUP: Field<Parsed<Group>> = Field::new("group", GROUP_KIND, "Only tasks of this group.");
query_shape! {
    /// A page of tasks of one state.
    TasksQuery: STATE, NAME, GROUP, LIMIT, CURSOR
}

impl QueryRequest for TasksQuery {
    type Value = (TaskFilter, Wanted);

    fn read(query: &mut QueryFields) -> Option<Self::Value> {
        let state = query.take(&STATE);
        let name = query.take(&NAME);
        let group = query.take(&GROUP).map(|group| group.as_str().to_owned());
        let wanted = Wanted::take(query);
        let filter = TaskFilter {
            state: state?,
            name,
            group,
        };
        Some((filter, wanted))
    }
}

problem_set! { TasksProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown] }

/// List the tasks of one state.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/tasks", operation_id = "tasks", tag = "tasks",
    params(QueuePath, TasksQuery),
    responses((status = 200, description = "A page of tasks", body = Page<TaskAnswer>), TasksProblems),
)]
pub(super) async fn list(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Query((filter, wanted)): Query<TasksQuery>,
) -> Result<Response, Problem> {
    let page = api
        .engine()?
        .tasks(&queue, filter, wanted.limit, wanted.cursor())
        .await?
        .map_err(bad_cursor)?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    pages::of_tasks(queue, page).await
}

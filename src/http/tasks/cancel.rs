//! Cancel: one task, or many by a filter.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::change::{Cancelled, NotChanged};
use crate::domain::{Group, TaskId, TaskName, TaskState};
use crate::engine::{CancelFilter, Progress};
use crate::http::Api;
use crate::http::body::{EmptyRequest, JsonBody};
use crate::http::field::{At, Field, Flag, Nested, Object, Parsed, Word, Wrong, nested, shape};
use crate::http::json;
use crate::http::kinds::{GROUP_KIND, TASK_NAME};
use crate::http::page::CURSOR;
use crate::http::path::{InQueue, InTask, QueuePath, TaskPath};
use crate::http::problem::sets::{ALWAYS, BODY, WRITE, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::wire;

/// The outcome of a cancel.
#[derive(Serialize, ToSchema)]
#[schema(as = Cancelled)]
pub(in crate::http) struct CancelAnswer {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    /// `cancelled`; or `leased`, if its cancellation was requested.
    #[schema(value_type = wire::State)]
    state: TaskState,
    /// The worker sees the request when it extends. An ack still completes the task; any other end of the
    /// lease cancels it.
    cancel_requested: bool,
}

impl CancelAnswer {
    pub(in crate::http) fn of(id: TaskId, cancelled: Cancelled) -> Self {
        let requested = cancelled == Cancelled::Requested;
        Self {
            id,
            state: if requested {
                TaskState::Leased
            } else {
                TaskState::Cancelled
            },
            cancel_requested: requested,
        }
    }
}

impl From<NotChanged> for Problem {
    fn from(not: NotChanged) -> Self {
        match not {
            NotChanged::Unknown => Code::TaskUnknown.problem(),
            NotChanged::State(state) => Code::TaskState.because(format!("the task is {}", state.word())),
        }
    }
}

problem_set! { CancelProblems: ALWAYS, WRITE, BODY, &[Code::TaskUnknown, Code::TaskState] }

/// Cancel a task.
///
/// A waiting task is cancelled at once. For a leased task, the cancellation is requested. Repeating it is
/// safe.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/tasks/{id}/cancel", operation_id = "cancel", tag = "tasks", params(TaskPath),
    responses((status = 200, description = "The task is cancelled, or its cancellation is requested", body = CancelAnswer), CancelProblems),
)]
pub(in crate::http) async fn cancel(
    State(api): State<Api>,
    InTask { queue, id }: InTask,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    EmptyRequest::check(&body)?;
    let cancelled = api.engine()?.cancel(&queue, id).await??;
    Ok(Json(CancelAnswer::of(id, cancelled)).into_response())
}

const STATE: Field<Word<TaskState>> = Field::new(
    "state",
    Word {
        words: &[
            ("scheduled", TaskState::Scheduled),
            ("ready", TaskState::Ready),
            ("leased", TaskState::Leased),
        ],
    },
    "Only tasks in this state. Default: all three.",
);
const NAME: Field<Parsed<TaskName>> = Field::new("name", TASK_NAME, "Only tasks of this name.");
const GROUP: Field<Parsed<Group>> = Field::new("group", GROUP_KIND, "Only tasks of this group.");
const FILTER: Field<Nested> = Field::required(
    "filter",
    Nested {
        of: "CancelFilterRequest",
    },
    "Filter of tasks. `{}` means all that are not finished.",
);
const DRY_RUN: Field<Flag> = Field::new("dry_run", Flag, "Only count.").or("false");

shape! {
    /// A filter of tasks: all given fields must match.
    CancelFilterRequest: STATE, NAME, GROUP
}

shape! {
    /// A filter of tasks to cancel.
    CancelManyRequest: FILTER, DRY_RUN, CURSOR
}

/// The outcome for the tasks that the call reached.
#[derive(Serialize, ToSchema)]
#[schema(as = CancelledMany)]
pub(in crate::http) struct CancelManyAnswer {
    /// Tasks that matched, at most 1,000 per call. Some may have changed their state before they could be
    /// cancelled.
    matched: u64,
    cancelled: u64,
    /// Leased tasks whose cancellation was requested. Their workers see it when they extend.
    cancel_requested: u64,
    /// Present if there may be more: pass it as `cursor` in the next call. A call may find few tasks or none
    /// although it is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl From<Progress> for CancelManyAnswer {
    fn from(progress: Progress) -> Self {
        Self {
            matched: progress.matched,
            cancelled: progress.done,
            cancel_requested: progress.cancel_requested,
            next_cursor: progress.next_cursor,
        }
    }
}

problem_set! { CancelManyProblems: ALWAYS, WRITE, BODY, &[Code::QueueUnknown] }

/// Cancel many tasks.
///
/// One call cancels at most 1,000 tasks: pass `next_cursor` as `cursor` until it is absent. Interrupted or
/// repeated calls never cancel a task twice.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/tasks/cancel", operation_id = "cancel_many", tag = "tasks", params(QueuePath),
    request_body(content = CancelManyRequest, example = json!({"filter": {"state": "scheduled", "name": "welcome"}, "dry_run": true})),
    responses((status = 200, description = "How far it came", body = CancelManyAnswer), CancelManyProblems),
)]
pub(in crate::http) async fn cancel_many(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut wrong = Wrong::default();
    let mut object = Object::new(
        json::open(json::text(&body)?, None)?,
        CancelManyRequest::SHAPE,
        At::Root,
        &mut wrong,
    );
    let mut filter = CancelFilter::default();
    let at = At::Field(&At::Root, FILTER.name);
    if let Some(mut fields) = nested(&mut object, &FILTER, CancelFilterRequest::SHAPE, at, &mut wrong) {
        filter.state = fields.take(&STATE, &mut wrong);
        filter.name = fields.take(&NAME, &mut wrong);
        filter.group = fields.take(&GROUP, &mut wrong);
    }
    let dry_run = object.take(&DRY_RUN, &mut wrong).unwrap_or(false);
    let cursor = object.take(&CURSOR, &mut wrong);
    wrong.into_result()?;

    let progress = api
        .engine()?
        .cancel_many(&queue, &filter, dry_run, cursor.as_deref())
        .await?
        .map_err(|_| bad_cursor())?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    Ok(Json(CancelManyAnswer::from(progress)).into_response())
}

/// The problem of a cursor that no such call wrote.
pub(in crate::http) fn bad_cursor() -> Problem {
    Problem::at(
        "/cursor",
        "must be the `next_cursor` of an earlier call of the same kind",
    )
}

//! Cancel: one task, or many by a filter.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::change::{Cancelled, NotChanged};
use crate::domain::{Group, TaskId, TaskName, TaskState};
use crate::engine::{CancelFilter, Progress};
use crate::http::api::Api;
use crate::http::body::{Body, EmptyRequest};
use crate::http::field::{At, Field, Flag, Nested, Object, Parsed, Request, Word, Wrong, nested, shape};
use crate::http::kinds::{GROUP_KIND, NAME_KIND};
use crate::http::page::{CURSOR, bad_body_cursor};
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
    _: Body<EmptyRequest>,
) -> Result<Response, Problem> {
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
    "Only tasks in this state; in all three by default.",
);
const NAME: Field<Parsed<TaskName>> = Field::new("name", NAME_KIND, "Only tasks of this name.");
const GROUP: Field<Parsed<Group>> = Field::new("group", GROUP_KIND, "Only tasks of this group.");
const FILTER: Field<Nested> = Field::required(
    "filter",
    Nested {
        of: "CancelFilterRequest",
    },
    "Which tasks to cancel. `{}` means all unfinished tasks.",
);
const DRY_RUN: Field<Flag> =
    Field::new("dry_run", Flag, "Count the matching tasks and change nothing.").or("false");

shape! {
    /// A filter of tasks: all given fields must match.
    CancelFilterRequest: STATE, NAME, GROUP
}

shape! {
    /// A filter of tasks to cancel.
    CancelManyRequest: FILTER, DRY_RUN, CURSOR
}

/// A cancellation of many tasks as it was read.
pub(in crate::http) struct CancelMany {
    filter: CancelFilter,
    dry_run: bool,
    cursor: Option<String>,
}

impl Request for CancelManyRequest {
    type Value = CancelMany;

    fn read(object: &mut Object<'_, '_>, _: &Bytes, wrong: &mut Wrong) -> Option<CancelMany> {
        let at = At::Field(&At::Root, FILTER.name);
        let mut filter = CancelFilter::default();
        if let Some(mut fields) = nested(object, &FILTER, CancelFilterRequest::SHAPE, at, wrong) {
            filter.state = fields.take(&STATE, wrong);
            filter.name = fields.take(&NAME, wrong);
            filter.group = fields.take(&GROUP, wrong);
        }
        Some(CancelMany {
            filter,
            dry_run: object.take(&DRY_RUN, wrong).unwrap_or(false),
            cursor: object.take(&CURSOR, wrong),
        })
    }
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
    responses((status = 200, description = "What this call did, and where the next one continues", body = CancelManyAnswer), CancelManyProblems),
)]
pub(in crate::http) async fn cancel_many(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Body(many): Body<CancelManyRequest>,
) -> Result<Response, Problem> {
    let progress = api
        .engine()?
        .cancel_many(&queue, &many.filter, many.dry_run, many.cursor.as_deref())
        .await?
        .map_err(|_| bad_body_cursor())?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    Ok(Json(CancelManyAnswer::from(progress)).into_response())
}

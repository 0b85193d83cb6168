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

/// What became of the task.
#[derive(Serialize, ToSchema)]
#[schema(as = Cancelled)]
pub(in crate::http) struct CancelAnswer {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    /// `cancelled`; or `leased`, and then it was asked for.
    #[schema(value_type = wire::State)]
    state: TaskState,
    /// The worker sees it when it extends; an ack still completes the task, anything else that ends the lease cancels it.
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
/// One that waits is cancelled now. A leased one is asked to end. Repeating it is safe.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/tasks/{id}/cancel", operation_id = "cancel", tag = "tasks", params(TaskPath),
    responses((status = 200, description = "Cancelled, or asked for", body = CancelAnswer), CancelProblems),
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
    "Only tasks in this state; all three unless given.",
);
const NAME: Field<Parsed<TaskName>> = Field::new("name", NAME_KIND, "Only tasks of this name.");
const GROUP: Field<Parsed<Group>> = Field::new("group", GROUP_KIND, "Only tasks of this group.");
const FILTER: Field<Nested> = Field::required(
    "filter",
    Nested {
        of: "CancelFilterRequest",
    },
    "Which tasks. `{}` means all that are not finished.",
);
const DRY_RUN: Field<Flag> = Field::new("dry_run", Flag, "Only count.").or("false");

shape! {
    /// Which tasks to cancel: those that match every field.
    CancelFilterRequest: STATE, NAME, GROUP
}

shape! {
    /// Many tasks to cancel.
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

/// What became of the tasks that the call came to.
#[derive(Serialize, ToSchema)]
#[schema(as = CancelledMany)]
pub(in crate::http) struct CancelManyAnswer {
    /// Tasks that the filter found, at most 1,000 a call. Some may have moved on before they could be cancelled.
    matched: u64,
    cancelled: u64,
    /// Leased ones whose workers are told when they extend.
    cancel_requested: u64,
    /// There when there may be more: give it as `cursor`. A call may find few, even none, while it is there.
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
/// At most 1,000 a call: go on with `next_cursor` until there is none. What is interrupted or done twice cancels nothing twice.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/tasks/cancel", operation_id = "cancel_many", tag = "tasks", params(QueuePath),
    request_body(content = CancelManyRequest, example = json!({"filter": {"state": "scheduled", "name": "welcome"}, "dry_run": true})),
    responses((status = 200, description = "How far it came", body = CancelManyAnswer), CancelManyProblems),
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

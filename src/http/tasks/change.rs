//! Changes the priority or due time of waiting tasks.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::change::{Change, Changed, When};
use crate::domain::{Millis, Priority, TaskId, TaskState};
use crate::http::api::Api;
use crate::http::body::{Body, EmptyRequest};
use crate::http::field::{At, Field, Integer, Object, Parsed, Request, Wrong, shape};
use crate::http::kinds::{INSTANT_KIND, PRIORITY_KIND, TOO_FAR, is_too_far};
use crate::http::path::{InTask, TaskPath};
use crate::http::problem::sets::{ALWAYS, BODY, WRITE, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::wire;

const PRIORITY: Field<Integer> = Field::new(
    "priority",
    PRIORITY_KIND,
    "New priority, higher first. The task keeps its `ready_at`.",
);
const RUN_AT: Field<Parsed<Millis>> = Field::new(
    "run_at",
    INSTANT_KIND,
    "When the task becomes ready, at most 365 days ahead. An instant in the past counts as now.",
);

shape! {
    /// The changes to a task. Absent fields stay as they are.
    TaskPatchRequest: PRIORITY, RUN_AT
}

impl Request for TaskPatchRequest {
    type Value = Change;

    fn read(object: &mut Object<'_, '_>, _: &Bytes, wrong: &mut Wrong) -> Option<Change> {
        let priority = object.take(&PRIORITY, wrong).and_then(Priority::new);
        let run_at = object.take(&RUN_AT, wrong);
        if run_at.is_some_and(is_too_far) {
            wrong.add(At::Field(&At::Root, RUN_AT.name), TOO_FAR);
        }
        if wrong.is_empty() && priority.is_none() && run_at.is_none() {
            wrong.add(At::Root, "must have priority, run_at, or both");
        }
        Some(Change {
            priority,
            when: run_at.map_or(When::AsItWas, When::At),
        })
    }
}

/// A waiting task after a change.
#[derive(Serialize, ToSchema)]
#[schema(as = ChangedTask)]
pub(in crate::http) struct ChangeAnswer {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    /// `scheduled` or `ready`.
    #[schema(value_type = wire::State)]
    state: TaskState,
    priority: u16,
    /// Time at which the task becomes ready. Present for scheduled tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    run_at: Option<Millis>,
    /// Time at which the task became ready. Present for ready tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    ready_at: Option<Millis>,
}

impl From<Changed> for ChangeAnswer {
    fn from(changed: Changed) -> Self {
        let scheduled = changed.state == TaskState::Scheduled;
        Self {
            id: changed.id,
            state: changed.state,
            priority: changed.priority.get(),
            run_at: scheduled.then_some(changed.ready_at),
            ready_at: (!scheduled).then_some(changed.ready_at),
        }
    }
}

problem_set! { ChangeProblems: ALWAYS, WRITE, BODY, &[Code::TaskUnknown, Code::TaskState, Code::StoreFull] }

/// Change the priority or due time of a waiting task.
///
/// `run_at` moves the task between scheduled and ready.
#[utoipa::path(
    patch, path = "/v1/queues/{queue}/tasks/{id}", operation_id = "patch_task", tag = "tasks", params(TaskPath),
    request_body(content = TaskPatchRequest, example = json!({"priority": 100})),
    responses((status = 200, description = "The task after the change", body = ChangeAnswer), ChangeProblems),
)]
pub(in crate::http) async fn patch(
    State(api): State<Api>,
    InTask { queue, id }: InTask,
    Body(change): Body<TaskPatchRequest>,
) -> Result<Response, Problem> {
    let changed = api.engine()?.change(&queue, id, change).await??;
    Ok(Json(ChangeAnswer::from(changed)).into_response())
}

/// Run a scheduled task now.
///
/// The task becomes ready as of now. A ready task keeps its position.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/tasks/{id}/run-now", operation_id = "run_now", tag = "tasks", params(TaskPath),
    responses((status = 200, description = "The task is ready", body = ChangeAnswer), ChangeProblems),
)]
pub(in crate::http) async fn run_now(
    State(api): State<Api>,
    InTask { queue, id }: InTask,
    _: Body<EmptyRequest>,
) -> Result<Response, Problem> {
    let change = Change {
        priority: None,
        when: When::Now,
    };
    let changed = api.engine()?.change(&queue, id, change).await??;
    Ok(Json(ChangeAnswer::from(changed)).into_response())
}

//! Purges tasks: deletes those of one state, or of all states.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::TaskState;
use crate::engine::Progress;
use crate::http::api::Api;
use crate::http::body::Body;
use crate::http::field::{Field, Label, Object, Request, Word, Wrong, shape};
use crate::http::page::{CURSOR, bad_body_cursor};
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, BODY, WRITE, problem_set};
use crate::http::problem::{Code, Problem};

const STATE: Field<Word<TaskState>> = Field::new(
    "state",
    Word {
        words: &[
            ("scheduled", TaskState::Scheduled),
            ("ready", TaskState::Ready),
            ("leased", TaskState::Leased),
            ("completed", TaskState::Completed),
            ("cancelled", TaskState::Cancelled),
            ("dead", TaskState::Dead),
        ],
    },
    "Only tasks in this state; in every state by default. Leased tasks are cancelled instead of deleted.",
);
const CONFIRM: Field<Label> = Field::new(
    "confirm",
    Label { bytes_max: 80 },
    "The queue's name. Without it, nothing is deleted.",
);

shape! {
    /// The tasks to purge.
    PurgeRequest: STATE, CONFIRM, CURSOR
}

/// A purge as it was read.
pub(in crate::http) struct Purge {
    state: Option<TaskState>,
    confirm: Option<String>,
    cursor: Option<String>,
}

impl Request for PurgeRequest {
    type Value = Purge;

    fn read(object: &mut Object<'_, '_>, _: &Bytes, wrong: &mut Wrong) -> Option<Purge> {
        Some(Purge {
            state: object.take(&STATE, wrong),
            confirm: object.take(&CONFIRM, wrong).map(Cow::into_owned),
            cursor: object.take(&CURSOR, wrong),
        })
    }
}

/// The outcome for the tasks that the call reached.
#[derive(Serialize, ToSchema)]
#[schema(as = Purged)]
pub(in crate::http) struct PurgeAnswer {
    /// Deleted tasks, at most about 10,000 per call.
    purged: u64,
    /// Leased tasks whose cancellation was requested. They are cancelled when their lease ends, unless they
    /// are acked.
    cancel_requested: u64,
    /// Present if there may be more: pass it as `cursor` in the next call. A call may find few tasks or none
    /// although it is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl From<Progress> for PurgeAnswer {
    fn from(progress: Progress) -> Self {
        Self {
            purged: progress.done,
            cancel_requested: progress.cancel_requested,
            next_cursor: progress.next_cursor,
        }
    }
}

problem_set! { PurgeProblems: ALWAYS, WRITE, BODY, &[Code::QueueUnknown, Code::ConfirmationRequired] }

/// Delete tasks permanently.
///
/// Pass `next_cursor` as `cursor` until it is absent. Interrupted or repeated calls never count a task twice.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/purge", operation_id = "purge", tag = "queues", params(QueuePath),
    request_body(content = PurgeRequest, example = json!({"state": "scheduled", "confirm": "emails"})),
    responses((status = 200, description = "What this call did, and where the next one continues", body = PurgeAnswer), PurgeProblems),
)]
pub(in crate::http) async fn purge(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Body(purge): Body<PurgeRequest>,
) -> Result<Response, Problem> {
    if purge.confirm.as_deref() != Some(queue.as_str()) {
        return Err(Code::ConfirmationRequired.because(format!("/confirm must be \"{queue}\"")));
    }

    let progress = api
        .engine()?
        .purge(&queue, purge.state, purge.cursor.as_deref())
        .await?
        .map_err(|_| bad_body_cursor())?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    Ok(Json(PurgeAnswer::from(progress)).into_response())
}

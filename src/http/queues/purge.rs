//! Purge: the tasks of one state, or of every state, go for good.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::TaskState;
use crate::engine::Progress;
use crate::http::api::Api;
use crate::http::body::JsonBody;
use crate::http::field::{At, Field, Label, Object, Word, Wrong, shape};
use crate::http::json;
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
    "Tasks of this state; of every state unless given. Leased ones are cancelled instead.",
);
const CONFIRM: Field<Label> = Field::new(
    "confirm",
    Label { bytes_max: 80 },
    "The queue's name. Without it nothing is deleted.",
);

shape! {
    /// What to purge.
    PurgeRequest: STATE, CONFIRM, CURSOR
}

/// What became of the tasks that the call came to.
#[derive(Serialize, ToSchema)]
#[schema(as = Purged)]
pub(in crate::http) struct PurgeAnswer {
    /// Tasks deleted, about 10,000 a call at most.
    purged: u64,
    /// Leased ones, which are cancelled when their lease ends, unless they are acked.
    cancel_requested: u64,
    /// There when there may be more: give it as `cursor`. A call may find few, even none, while it is there.
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

/// Delete tasks for good.
///
/// Go on with `next_cursor` until there is none. What is interrupted or done twice counts no task twice.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/purge", operation_id = "purge", tag = "queues", params(QueuePath),
    request_body(content = PurgeRequest, example = json!({"state": "scheduled", "confirm": "emails"})),
    responses((status = 200, description = "How far it came", body = PurgeAnswer), PurgeProblems),
)]
pub(in crate::http) async fn purge(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut wrong = Wrong::default();
    let fields = json::open(json::text(&body)?, None)?;
    let mut object = Object::new(fields, PurgeRequest::SHAPE, At::Root, &mut wrong);
    let state = object.take(&STATE, &mut wrong);
    let confirm = object.take(&CONFIRM, &mut wrong);
    let cursor = object.take(&CURSOR, &mut wrong);
    wrong.into_result()?;
    if confirm.as_deref() != Some(queue.as_str()) {
        return Err(Code::ConfirmationRequired.because(format!("/confirm must be \"{queue}\"")));
    }

    let progress = api
        .engine()?
        .purge(&queue, state, cursor.as_deref())
        .await?
        .map_err(|_| bad_body_cursor())?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    Ok(Json(PurgeAnswer::from(progress)).into_response())
}

//! Pauses and resumes leases or enqueues of a queue.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::limits::PAUSE_REASON_BYTES_MAX;
use crate::domain::pause::{Pause, PauseMode, Paused};
use crate::domain::{Millis, QueueName};
use crate::engine::NotPaused;
use crate::http::api::Api;
use crate::http::body::{Body, EmptyRequest};
use crate::http::field::{At, Field, Label, Object, Parsed, Request, Word, Wrong, shape};
use crate::http::kinds::{INSTANT_KIND, TOO_FAR, is_too_far};
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, BODY, WRITE, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::wire;

const MODE: Field<Word<PauseMode>> = Field::new(
    "mode",
    Word {
        words: &[
            ("lease", PauseMode::Lease),
            ("enqueue", PauseMode::Enqueue),
            ("both", PauseMode::Both),
        ],
    },
    "`lease`: tasks are not leased. `enqueue`: new tasks are refused. `both`: both.",
)
.or("\"lease\"");
const REASON: Field<Label> = Field::new(
    "reason",
    Label {
        bytes_max: PAUSE_REASON_BYTES_MAX,
    },
    "Why the queue is paused; shown with the queue.",
);
const UNTIL: Field<Parsed<Millis>> = Field::new(
    "until",
    INSTANT_KIND,
    "When the pause ends by itself, at most 365 days ahead. Without it, the pause lasts until you resume the queue.",
);

shape! {
    /// The operations to pause.
    PauseRequest: MODE, REASON, UNTIL
}

impl Request for PauseRequest {
    type Value = Pause;

    fn read(object: &mut Object<'_, '_>, _: &Bytes, wrong: &mut Wrong) -> Option<Pause> {
        let pause = Pause {
            mode: object.take(&MODE, wrong).unwrap_or_default(),
            until: object.take(&UNTIL, wrong),
            reason: object.take(&REASON, wrong).map(Into::into),
        };
        if pause.until.is_some_and(is_too_far) {
            wrong.add(At::Field(&At::Root, UNTIL.name), TOO_FAR);
        }
        Some(pause)
    }
}

/// A pause in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pause)]
pub(in crate::http) struct PausedAnswer {
    /// `lease`, `enqueue` or `both`.
    mode: &'static str,
    #[schema(value_type = wire::Instant)]
    since: Millis,
    /// End of the pause, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    until: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

impl From<Paused> for PausedAnswer {
    fn from(paused: Paused) -> Self {
        Self {
            mode: paused.mode.word(),
            since: paused.since,
            until: paused.until,
            reason: paused.reason,
        }
    }
}

/// A queue and its pause.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PauseState)]
pub(in crate::http) struct PauseAnswer {
    #[schema(value_type = wire::Name)]
    queue: QueueName,
    /// The pause; null if the queue is not paused.
    #[schema(required = true)]
    paused: Option<PausedAnswer>,
}

impl PauseAnswer {
    pub(in crate::http) fn of(queue: QueueName, paused: Option<Paused>) -> Self {
        Self {
            queue,
            paused: paused.map(PausedAnswer::from),
        }
    }
}

problem_set! { PauseProblems: ALWAYS, WRITE, BODY, &[Code::QueueUnknown] }

/// Pause a queue.
///
/// Once the request returns, no replica grants (or accepts) tasks. Leased tasks stay leased and can be
/// settled; due times, expiries and operators proceed. Pausing a paused queue replaces its mode, reason and
/// end, and keeps its `since`.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/pause", operation_id = "pause", tag = "queues", params(QueuePath),
    request_body(content = PauseRequest, example = json!({"mode": "lease", "reason": "the mail provider is down"})),
    responses((status = 200, description = "The queue is paused", body = PauseAnswer), PauseProblems),
)]
pub(in crate::http) async fn pause(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Body(pause): Body<PauseRequest>,
) -> Result<Response, Problem> {
    let paused = api
        .engine()?
        .pause(&queue, pause)
        .await?
        .ok_or_else(|| Code::QueueUnknown.problem())?
        .map_err(|NotPaused::Past| Problem::at("/until", "must be in the future"))?;
    Ok(Json(PauseAnswer::of(queue, Some(paused))).into_response())
}

/// Resume a queue.
///
/// Waiting lease calls are woken. Tasks have kept their positions and their `ready_at`. Resuming a queue that
/// is not paused has no effect.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/resume", operation_id = "resume", tag = "queues", params(QueuePath),
    responses((status = 200, description = "The queue is not paused", body = PauseAnswer), PauseProblems),
)]
pub(in crate::http) async fn resume(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    _: Body<EmptyRequest>,
) -> Result<Response, Problem> {
    api.engine()?
        .resume(&queue)
        .await?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    Ok(Json(PauseAnswer::of(queue, None)).into_response())
}

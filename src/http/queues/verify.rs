//! Audits of queues.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::domain::TaskId;
use crate::domain::audit::{Audit, Disagreement};
use crate::domain::limits::{VERIFY_SECONDS_DEFAULT, VERIFY_SECONDS_MAX};
use crate::engine::Verified;
use crate::http::api::Api;
use crate::http::body::Body;
use crate::http::field::{Field, Object, Parsed, Request, Seconds, Wrong, shape};
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, BODY, READ, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::wire;

/// The result of an audit, or of a part of one.
#[derive(Serialize, ToSchema)]
#[schema(as = Audit)]
pub(in crate::http) struct AuditAnswer<'a> {
    /// Tasks examined in this part.
    #[schema(value_type = wire::Count)]
    checked: u64,
    /// Tasks of the queue, including finished ones that are still kept: all parts together examine them.
    #[schema(value_type = wire::Count)]
    tasks: u64,
    /// The first 100 problems, each observed at one moment.
    problems: Vec<AuditProblem<'a>>,
    /// Number of all problems.
    #[schema(value_type = wire::Count)]
    problems_total: u64,
    /// Present if there is more to audit: pass it as `cursor` in the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<&'a str>,
}

/// One problem.
#[derive(Serialize, ToSchema)]
struct AuditProblem<'a> {
    /// `lost`, `two_states`, `no_record`, `misplaced`, `lane`, `empty_lane`, `payload`, `history`,
    /// `unreadable`, `finished`, `dead_letter` or `counters`.
    kind: &'static str,
    /// The task that the problem concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Id>, nullable = false)]
    id: Option<TaskId>,
    detail: &'a str,
}

impl<'a> AuditAnswer<'a> {
    pub(in crate::http) fn of(audit: &'a Audit) -> Self {
        let problem = |found: &'a Disagreement| AuditProblem {
            kind: found.kind.word(),
            id: found.id,
            detail: &found.detail,
        };
        Self {
            checked: audit.checked,
            tasks: audit.tasks,
            problems: audit.problems.iter().map(problem).collect(),
            problems_total: audit.problems_total,
            next_cursor: audit.next_cursor.as_deref(),
        }
    }
}

const CURSOR: Field<Parsed<String>> = Field::new(
    "cursor",
    Parsed {
        parse: |text| Ok(text.to_owned()),
        // It contains the rest of the audit, so it may be long.
        schema: || ObjectBuilder::new().schema_type(Type::String),
    },
    "The `next_cursor` of the previous part.",
);
const MAX_SECONDS: Field<Seconds> = Field::new(
    "max_seconds",
    Seconds {
        min_ms: 0,
        max_ms: VERIFY_SECONDS_MAX * 1000,
    },
    "About how long this part may take, in seconds. A step that has begun is finished.",
)
.or("20");

shape! {
    /// The options of an audit.
    VerifyRequest: CURSOR, MAX_SECONDS
}

impl Request for VerifyRequest {
    /// The cursor, and how long the part may take.
    type Value = (Option<String>, Duration);

    fn read(object: &mut Object<'_, '_>, _: &Bytes, wrong: &mut Wrong) -> Option<Self::Value> {
        let cursor = object.take(&CURSOR, wrong);
        let ms = object.take(&MAX_SECONDS, wrong);
        let patience = Duration::from_millis(ms.unwrap_or(VERIFY_SECONDS_DEFAULT * 1000));
        Some((cursor, patience))
    }
}

problem_set! {
    VerifyProblems: ALWAYS, READ, BODY, &[Code::QueueUnknown, Code::VerifyRunning]
}

/// Audit a queue: its indexes, records and counters against each other.
///
/// The audit reads in small steps with pauses, so that other calls are not slowed down, and changes nothing.
/// Each reported problem existed at one moment, however busy the queue is. Closing the connection ends the
/// audit. A large queue is audited in parts: pass `next_cursor` as `cursor` until it is absent.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/verify", operation_id = "verify", tag = "queues", params(QueuePath),
    request_body(content = VerifyRequest, example = json!({"max_seconds": 5})),
    responses((status = 200, description = "The result of this part", body = AuditAnswer), VerifyProblems),
)]
pub(in crate::http) async fn verify(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Body((cursor, patience)): Body<VerifyRequest>,
) -> Result<Response, Problem> {
    match api.engine()?.verify(&queue, cursor.as_deref(), patience).await? {
        Verified::Part(audit) => Ok(Json(AuditAnswer::of(&audit)).into_response()),
        Verified::Busy => Err(Code::VerifyRunning.problem()),
        Verified::Absent => Err(Code::QueueUnknown.problem()),
        Verified::BadCursor => Err(Problem::at(
            "/cursor",
            "must be the `next_cursor` of an earlier part of an audit",
        )),
    }
}

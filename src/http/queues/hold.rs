//! Holds by operators: of the queue, of a name, of a group.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::gate::Scope;
use crate::domain::limits::HOLD_MS_MAX;
use crate::domain::{Millis, QueueName};
use crate::http::api::Api;
use crate::http::body::Body;
use crate::http::field::{Field, Object, Request, Seconds, Wrong, shape};
use crate::http::path::{GroupPath, InGroup, InName, InQueue, NamePath, QueuePath};
use crate::http::problem::sets::{ALWAYS, BODY, QUERY, WRITE, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::query::NoQuery;
use crate::http::wire;

const FOR: Field<Seconds> = Field::required(
    "for_seconds",
    Seconds {
        min_ms: 1,
        max_ms: HOLD_MS_MAX,
    },
    "How long the hold lasts, in seconds from now. It replaces an earlier hold.",
);

shape! {
    /// The length of a hold.
    HoldRequest: FOR
}

impl Request for HoldRequest {
    /// Milliseconds.
    type Value = u64;

    fn read(object: &mut Object<'_, '_>, _: &Bytes, wrong: &mut Wrong) -> Option<u64> {
        object.take(&FOR, wrong)
    }
}

/// The state of a hold after the request.
#[derive(Serialize, ToSchema)]
#[schema(as = Held)]
pub(in crate::http) struct HoldAnswer {
    #[schema(value_type = wire::Name)]
    queue: QueueName,
    /// The name, if the hold is of a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// The group, if the hold is of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    group: Option<String>,
    /// End of the hold; null if there is none any more.
    #[schema(value_type = Option<wire::Instant>)]
    held_until: Option<Millis>,
}

problem_set! { HoldProblems: ALWAYS, WRITE, BODY, &[Code::QueueUnknown] }
problem_set! { UnholdProblems: ALWAYS, WRITE, QUERY, &[Code::QueueUnknown] }

/// Hold a queue: its tasks stay ready but are not leased until the hold ends.
///
/// No attempts are spent. Leased tasks stay leased.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/hold", operation_id = "hold_queue", tag = "queues", params(QueuePath),
    request_body(content = HoldRequest, example = json!({"for_seconds": 60})),
    responses((status = 200, description = "The hold and its end", body = HoldAnswer), HoldProblems),
)]
pub(in crate::http) async fn hold_queue(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Body(ms): Body<HoldRequest>,
) -> Result<Json<HoldAnswer>, Problem> {
    hold(&api, queue, Scope::Queue, ms).await
}

/// End a hold of the queue.
#[utoipa::path(
    delete, path = "/v1/queues/{queue}/hold", operation_id = "unhold_queue", tag = "queues", params(QueuePath),
    responses((status = 200, description = "There is no hold any more", body = HoldAnswer), UnholdProblems),
)]
pub(in crate::http) async fn unhold_queue(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    _: NoQuery,
) -> Result<Json<HoldAnswer>, Problem> {
    hold(&api, queue, Scope::Queue, 0).await
}

/// Hold a name: its tasks stay ready but are not leased until the hold ends.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/names/{name}/hold", operation_id = "hold_name", tag = "queues", params(NamePath),
    request_body(content = HoldRequest, example = json!({"for_seconds": 60})),
    responses((status = 200, description = "The hold and its end", body = HoldAnswer), HoldProblems),
)]
pub(in crate::http) async fn hold_name(
    State(api): State<Api>,
    InName { queue, name }: InName,
    Body(ms): Body<HoldRequest>,
) -> Result<Json<HoldAnswer>, Problem> {
    hold(&api, queue, Scope::Name(name.to_string()), ms).await
}

/// End a hold of a name.
#[utoipa::path(
    delete, path = "/v1/queues/{queue}/names/{name}/hold", operation_id = "unhold_name", tag = "queues", params(NamePath),
    responses((status = 200, description = "There is no hold any more", body = HoldAnswer), UnholdProblems),
)]
pub(in crate::http) async fn unhold_name(
    State(api): State<Api>,
    InName { queue, name }: InName,
    _: NoQuery,
) -> Result<Json<HoldAnswer>, Problem> {
    hold(&api, queue, Scope::Name(name.to_string()), 0).await
}

/// Hold a group: its tasks stay ready but are not leased until the hold ends.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/groups/{group}/hold", operation_id = "hold_group", tag = "queues", params(GroupPath),
    request_body(content = HoldRequest, example = json!({"for_seconds": 60})),
    responses((status = 200, description = "The hold and its end", body = HoldAnswer), HoldProblems),
)]
pub(in crate::http) async fn hold_group(
    State(api): State<Api>,
    InGroup { queue, group }: InGroup,
    Body(ms): Body<HoldRequest>,
) -> Result<Json<HoldAnswer>, Problem> {
    hold(&api, queue, Scope::Group(group.to_string()), ms).await
}

/// End a hold of a group.
#[utoipa::path(
    delete, path = "/v1/queues/{queue}/groups/{group}/hold", operation_id = "unhold_group", tag = "queues", params(GroupPath),
    responses((status = 200, description = "There is no hold any more", body = HoldAnswer), UnholdProblems),
)]
pub(in crate::http) async fn unhold_group(
    State(api): State<Api>,
    InGroup { queue, group }: InGroup,
    _: NoQuery,
) -> Result<Json<HoldAnswer>, Problem> {
    hold(&api, queue, Scope::Group(group.to_string()), 0).await
}

/// Sets a hold, or ends it with 0 ms.
async fn hold(api: &Api, queue: QueueName, scope: Scope, ms: u64) -> Result<Json<HoldAnswer>, Problem> {
    let held = api.engine()?.hold(&queue, &scope, ms).await?;
    let held_until = held.ok_or_else(|| Code::QueueUnknown.problem())?;
    let (name, group) = match scope {
        Scope::Queue => (None, None),
        Scope::Name(name) => (Some(name), None),
        Scope::Group(group) => (None, Some(group)),
    };
    Ok(Json(HoldAnswer {
        queue,
        name,
        group,
        held_until,
    }))
}

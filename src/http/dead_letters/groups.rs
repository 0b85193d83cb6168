//! Dead letters grouped by failure: one entry per failure, however many tasks it killed.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::fingerprint::{DeadGroup, GroupError};
use crate::domain::{Millis, TaskId};
use crate::http::api::Api;
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, QUERY, READ, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::query::NoQuery;
use crate::http::wire;

/// Dead letters with the same failure, apart from numbers and ids.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadGroup)]
pub(in crate::http) struct DeadGroupAnswer {
    /// Identifies name, error type and masked message; the same on every queue. `other` collects everything
    /// beyond 1,000 groups.
    fingerprint: String,
    /// Name of the tasks; null for `other`.
    #[schema(required = true, value_type = Option<wire::Name>)]
    name: Option<String>,
    #[schema(required = true)]
    error_type: Option<String>,
    /// The message with numbers, ids, addresses and quoted values masked; at most 512 bytes.
    #[schema(required = true)]
    message: Option<String>,
    count: u64,
    /// Time of death of the oldest dead letter.
    #[schema(value_type = wire::Instant)]
    first_at: Millis,
    /// Time of death of the newest dead letter.
    #[schema(value_type = wire::Instant)]
    last_at: Millis,
    /// Id of the newest dead letter.
    #[schema(value_type = wire::Id)]
    sample_id: TaskId,
}

impl From<DeadGroup> for DeadGroupAnswer {
    fn from(group: DeadGroup) -> Self {
        let error = group.error;
        let part = |read: fn(&GroupError) -> &String| error.as_ref().map(read).cloned();
        Self {
            fingerprint: group.fingerprint,
            name: part(|error| &error.name),
            error_type: part(|error| &error.kind),
            message: part(|error| &error.message),
            count: group.count,
            first_at: group.first_at,
            last_at: group.last_at,
            sample_id: group.sample,
        }
    }
}

/// All groups: at most 1,001.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadGroups)]
pub(in crate::http) struct DeadGroupsAnswer {
    /// Ordered by count, the largest first.
    items: Vec<DeadGroupAnswer>,
}

problem_set! { DeadGroupsProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown] }

/// Count dead letters by failure.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/dlq/groups", operation_id = "dead_groups", tag = "dead_letters", params(QueuePath),
    responses((status = 200, description = "One item per failure", body = DeadGroupsAnswer), DeadGroupsProblems),
)]
pub(in crate::http) async fn groups(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    _: NoQuery,
) -> Result<Json<DeadGroupsAnswer>, Problem> {
    let groups = api
        .engine()?
        .dead_groups(&queue)
        .await?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    let items = groups.into_iter().map(DeadGroupAnswer::from).collect();
    Ok(Json(DeadGroupsAnswer { items }))
}

//! Lists the groups of a queue with their states.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::shown::LimitsDocument;
use super::stats::thousandths;
use crate::domain::Millis;
use crate::domain::standing::GroupStanding;
use crate::http::api::Api;
use crate::http::page::{Page, PageQuery};
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, QUERY, READ, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::query::Query;
use crate::http::wire;

/// The state of a group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupStanding)]
pub(in crate::http) struct GroupAnswer {
    /// Null for the tasks without a group, which form one.
    #[schema(required = true)]
    group: Option<String>,
    ready: u64,
    /// The group has more than 128 lanes and only 128 were counted, so there may be more ready tasks.
    at_least: bool,
    /// Null for the tasks without a group if more than 1,000 names and groups have leased tasks.
    #[schema(required = true)]
    leased: Option<u64>,
    /// Ready and leased tasks together; null if `leased` is null.
    #[schema(required = true)]
    backlog: Option<u64>,
    /// Turns relative to a group of weight 1; its own weight, or that of `*`.
    weight: f64,
    /// The limits in force: its own, or those of `*`.
    limits: LimitsDocument,
    /// Grants that are possible at once, with fractions; null without a rate.
    #[schema(required = true)]
    tokens: Option<f64>,
    /// End of the hold; null if it is not held.
    #[schema(value_type = Option<wire::Instant>, required = true)]
    held_until: Option<Millis>,
}

impl From<GroupStanding> for GroupAnswer {
    fn from(standing: GroupStanding) -> Self {
        Self {
            group: standing.group,
            ready: standing.ready.tasks,
            at_least: standing.ready.at_least,
            leased: standing.leased,
            backlog: standing.leased.map(|leased| leased + standing.ready.tasks),
            weight: standing.weight,
            limits: LimitsDocument::of(&standing.gate.limits),
            tokens: standing.gate.tokens.map(thousandths),
            held_until: standing.gate.held_until,
        }
    }
}

problem_set! { GroupsProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown] }

/// List a queue's groups with their tasks, weight, limits and hold.
///
/// The tasks without a group come first. Then follow, in no order, groups with ready or leased tasks and
/// groups with a weight, limits or a hold of their own. A page looks at up to 1,000 entries, including lanes
/// (one priority of one name in one group), so it may be short or empty although `next_cursor` is present. A
/// group that appears or disappears between two pages may be missing or listed twice.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/groups", operation_id = "groups", tag = "queues", params(QueuePath, PageQuery),
    responses((status = 200, description = "A page of groups", body = Page<GroupAnswer>), GroupsProblems),
)]
pub(in crate::http) async fn list(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Query(wanted): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = api
        .engine()?
        .groups(&queue, wanted.limit, wanted.cursor())
        .await?;
    Page::respond(page, GroupAnswer::from)
}

//! The names of a queue, and how each stands.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::shown::LimitsDocument;
use super::stats::thousandths;
use crate::domain::standing::{BreakerStanding, BreakerState, NameStanding};
use crate::domain::{Millis, TaskName};
use crate::http::api::Api;
use crate::http::page::{Page, PageQuery};
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, QUERY, READ, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::query::Query;
use crate::http::wire;

/// How a name stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NameStanding)]
pub(in crate::http) struct NameAnswer {
    #[schema(value_type = wire::Name)]
    name: TaskName,
    ready: u64,
    /// The name has more than 128 lanes, of which 128 were counted: there may be more ready tasks.
    at_least: bool,
    leased: u64,
    /// What holds for it, of its own or by `*`.
    limits: LimitsDocument,
    /// Grants that may come at once, and fractions of the next one; null without a rate.
    #[schema(required = true)]
    tokens: Option<f64>,
    /// Null when it is not held.
    #[schema(value_type = Option<wire::Instant>, required = true)]
    held_until: Option<Millis>,
    /// Null when it has none.
    #[schema(required = true)]
    breaker: Option<BreakerAnswer>,
}

/// How a breaker stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BreakerStanding)]
struct BreakerAnswer {
    /// `closed`, `open` or `half_open`; half-open from the end of the time for which it opened.
    state: &'static str,
    /// Null when it was never in another one, as far as anybody remembers.
    #[schema(value_type = Option<wire::Instant>, required = true)]
    since: Option<Millis>,
    /// Of a closed one: failed attempts one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failures: Option<u64>,
    /// Of an open one; not there when it is open until it is closed by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    open_until: Option<Millis>,
    /// Of a half-open one: probes that are leased now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    probes: Option<u64>,
    /// Of a half-open one: probes that were acked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    successes: Option<u64>,
}

impl From<BreakerStanding> for BreakerAnswer {
    fn from(BreakerStanding { state, since }: BreakerStanding) -> Self {
        let (mut failures, mut open_until, mut probing) = (None, None, None);
        match state {
            BreakerState::Closed { failures: count } => failures = Some(count),
            BreakerState::Open { until } => open_until = until,
            BreakerState::HalfOpen { probes, successes } => probing = Some((probes, successes)),
        }
        Self {
            state: state.word(),
            since,
            failures,
            open_until,
            probes: probing.map(|(probes, _)| probes),
            successes: probing.map(|(_, successes)| successes),
        }
    }
}

impl From<NameStanding> for NameAnswer {
    fn from(standing: NameStanding) -> Self {
        Self {
            name: standing.name,
            ready: standing.ready.tasks,
            at_least: standing.ready.at_least,
            leased: standing.leased,
            limits: LimitsDocument::of(&standing.gate.limits),
            tokens: standing.gate.tokens.map(thousandths),
            held_until: standing.gate.held_until,
            breaker: standing.breaker.map(BreakerAnswer::from),
        }
    }
}

problem_set! { NamesProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown] }

/// List a queue's names, and how each stands: its tasks, limits, hold and breaker.
///
/// In no order: names whose tasks came in the last day or are leased, and names with limits or a breaker of their own, a breaker that is
/// not closed, or a hold. Scheduled tasks are not counted by name. A page looks at up to 1,000 entries, lanes (one priority of one name in one
/// group) counted, and may be short, even empty, while `next_cursor` is there; a name that comes or goes between two pages may be missing or
/// be there twice.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/names", operation_id = "names", tag = "queues", params(QueuePath, PageQuery),
    responses((status = 200, description = "A page of names", body = Page<NameAnswer>), NamesProblems),
)]
pub(in crate::http) async fn list(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Query(wanted): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = api.engine()?.names(&queue, wanted.limit, wanted.cursor()).await?;
    Page::respond(page, NameAnswer::from)
}

//! Lists the names of a queue with their states.

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

/// The state of a name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NameStanding)]
pub(in crate::http) struct NameAnswer {
    #[schema(value_type = wire::Name)]
    name: TaskName,
    ready: u64,
    /// The name has more than 128 lanes and only 128 were counted, so there may be more ready tasks.
    at_least: bool,
    leased: u64,
    /// The limits in force: its own, or those of `*`.
    limits: LimitsDocument,
    /// Grants that are possible at once, with fractions; null without a rate.
    #[schema(required = true)]
    tokens: Option<f64>,
    /// End of the hold; null if it is not held.
    #[schema(value_type = Option<wire::Instant>, required = true)]
    held_until: Option<Millis>,
    /// The breaker; null if the name has none.
    #[schema(required = true)]
    breaker: Option<BreakerAnswer>,
}

/// The state of a breaker.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BreakerStanding)]
struct BreakerAnswer {
    /// `closed`, `open` or `half_open`. It is half-open once the time for which it opened is over.
    state: &'static str,
    /// Time of the last change of state; null if none is remembered.
    #[schema(value_type = Option<wire::Instant>, required = true)]
    since: Option<Millis>,
    /// If closed: consecutive failed attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failures: Option<u64>,
    /// If open: the end of the open state. Absent if it stays open until an operator closes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    open_until: Option<Millis>,
    /// If half-open: probes that are leased now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    probes: Option<u64>,
    /// If half-open: probes that were acked.
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

/// List a queue's names with their tasks, limits, hold and breaker.
///
/// Lists, in no order, names with leased tasks or tasks of the last day, and names with limits or a breaker
/// of their own, a hold, or a breaker that is not closed. Scheduled tasks are not counted by name. A page
/// looks at up to 1,000 entries, including lanes (one priority of one name in one group), so it may be short
/// or empty although `next_cursor` is present. A name that appears or disappears between two pages may be
/// missing or listed twice.
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

//! Totals over all queues.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::field::query_shape;
use super::page::{CURSOR, bad_cursor};
use super::problem::Problem;
use super::problem::sets::{ALWAYS, QUERY, READ, problem_set};
use super::query::{Query, QueryFields, QueryRequest};
use super::queues::stats::{CountsAnswer, thousandths};

use crate::engine::Totals;

query_shape! {
    /// A part of the totals.
    TotalsQuery: CURSOR
}

impl QueryRequest for TotalsQuery {
    type Value = Option<String>;

    fn read(query: &mut QueryFields) -> Option<Self::Value> {
        Some(query.take(&CURSOR))
    }
}

/// Sums over queues. `oldest_ready_age_seconds` is the largest, and `paused` is true if any queue is paused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Totals)]
pub(super) struct TotalsAnswer {
    /// Number of queues in the sums.
    queues: u64,
    #[serde(flatten)]
    counts: CountsAnswer,
    /// Tasks completed per second over the last minute.
    throughput_per_second: f64,
    /// Tasks completed per second over the last five minutes.
    throughput_per_second_5m: f64,
    /// Tasks completed per second over the last fifteen minutes.
    throughput_per_second_15m: f64,
    /// Attempts that failed in the last minute.
    error_rate_per_minute: f64,
    /// Present if there are more queues: pass it as `cursor`, and add the next totals to these.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

impl From<Totals> for TotalsAnswer {
    fn from(totals: Totals) -> Self {
        let [one, five, fifteen] = totals.throughput_per_second.map(thousandths);
        Self {
            queues: totals.queues,
            counts: totals.stats.into(),
            throughput_per_second: one,
            throughput_per_second_5m: five,
            throughput_per_second_15m: fifteen,
            error_rate_per_minute: thousandths(totals.error_rate_per_minute),
            next_cursor: totals.next_cursor,
        }
    }
}

problem_set! { TotalsProblems: ALWAYS, READ, QUERY }

/// Read totals over all queues.
///
/// A call reads about 1,000 queues, each in a snapshot of its own. If there are more, pass `next_cursor` as
/// `cursor`.
#[utoipa::path(
    get, path = "/v1/stats", operation_id = "totals", tag = "service", params(TotalsQuery),
    responses((status = 200, description = "The totals", body = TotalsAnswer), TotalsProblems),
)]
pub(super) async fn totals(
    State(api): State<Api>,
    Query(cursor): Query<TotalsQuery>,
) -> Result<Response, Problem> {
    let totals = api
        .engine()?
        .totals(cursor.as_deref())
        .await?
        .map_err(bad_cursor)?;
    Ok(Json(TotalsAnswer::from(totals)).into_response())
}

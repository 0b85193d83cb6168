//! The charts of a queue, for users without Prometheus.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::domain::Millis;
use crate::domain::pulse::{Chart, Point};
use crate::engine::History;
use crate::http::api::Api;
use crate::http::field::{Field, Parsed, query_shape};
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, QUERY, READ, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::query::{Query, QueryFields, QueryRequest};
use crate::http::wire::{self, Seconds};

const RANGE_RULE: &str =
    "must be a whole number of steps: from 10s to 1h with step=10s, from 5m to 48h with step=5m";
const STEP_RULE: &str = "must be 10s (for up to 1h) or 5m (for up to 48h)";

const RANGE: Field<Parsed<u64>> = Field::new(
    "range",
    Parsed {
        parse: |text| milliseconds(text).ok_or(RANGE_RULE.into()),
        schema: || {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some("^[1-9][0-9]{0,5}[smh]$"))
                .default(Some("1h".into()))
        },
    },
    "How far back the chart goes, in whole steps: `10s` to `1h` with `step=10s`, `5m` to `48h` with `step=5m`.",
);
const STEP: Field<Parsed<Chart>> = Field::new(
    "step",
    Parsed {
        parse: |text| match text {
            "10s" => Ok(Chart::Fine),
            "5m" => Ok(Chart::Coarse),
            _ => Err(STEP_RULE.into()),
        },
        schema: || {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(["10s", "5m"]))
        },
    },
    "The time between two points; by default the shortest that the range allows.",
);

query_shape! {
    /// The period to show.
    HistoryQuery: RANGE, STEP
}

impl QueryRequest for HistoryQuery {
    /// The chart, and how many of its steps.
    type Value = (Chart, u64);

    fn read(query: &mut QueryFields) -> Option<Self::Value> {
        let (range_ms, chart) = (query.take(&RANGE), query.take(&STEP));
        let wanted = steps(range_ms, chart);
        if wanted.is_none() {
            query.refuse("range", RANGE_RULE);
        }
        wanted
    }
}

/// A period such as `90s`, `15m`, `48h`.
fn milliseconds(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let is_number = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = is_number.then(|| digits.parse().ok())??;
    (number > 0).then_some(number * unit_ms)
}

/// Returns the chart that covers the period and the number of its steps; `None` if no chart does.
fn steps(range_ms: Option<u64>, chart: Option<Chart>) -> Option<(Chart, u64)> {
    let fits = |chart: &Chart| range_ms.is_none_or(|range| range <= chart.range_ms());
    let chart = chart.or_else(|| Chart::ALL.into_iter().find(fits))?;
    let range_ms = range_ms.unwrap_or(chart.range_ms());
    let whole = range_ms.is_multiple_of(chart.step_ms()) && range_ms <= chart.range_ms();
    whole.then(|| (chart, range_ms / chart.step_ms()))
}

/// One value per step; the last step is not over yet. Percentiles are within 5 %, and null if nothing was
/// measured.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = History)]
pub(in crate::http) struct HistoryAnswer {
    /// Seconds between two points.
    #[schema(value_type = wire::Duration)]
    step_seconds: Seconds,
    /// Start of the first step.
    #[schema(value_type = wire::Instant)]
    begins_at: Millis,
    /// Time of the last value.
    #[schema(value_type = wire::Instant)]
    server_time: Millis,
    /// Tasks accepted in the step.
    accepted: Vec<u32>,
    completed: Vec<u32>,
    /// Attempts that failed in the step.
    failed: Vec<u32>,
    /// Tasks that became dead letters in the step.
    died: Vec<u32>,
    /// Depth at the end of the step; null if it is not known.
    ready: Vec<Option<u32>>,
    leased: Vec<Option<u32>>,
    #[schema(value_type = Vec<Option<wire::Duration>>)]
    wait_seconds_p50: Vec<Option<Seconds>>,
    #[schema(value_type = Vec<Option<wire::Duration>>)]
    wait_seconds_p95: Vec<Option<Seconds>>,
    #[schema(value_type = Vec<Option<wire::Duration>>)]
    run_seconds_p50: Vec<Option<Seconds>>,
    #[schema(value_type = Vec<Option<wire::Duration>>)]
    run_seconds_p95: Vec<Option<Seconds>>,
    #[schema(value_type = Vec<Option<wire::Duration>>)]
    end_to_end_seconds_p50: Vec<Option<Seconds>>,
    #[schema(value_type = Vec<Option<wire::Duration>>)]
    end_to_end_seconds_p95: Vec<Option<Seconds>>,
}

impl From<History> for HistoryAnswer {
    fn from(history: History) -> Self {
        fn series<T>(points: &[Point], of: impl Fn(&Point) -> T) -> Vec<T> {
            points.iter().map(of).collect()
        }
        let points = &history.points;
        let p50 = |kind: usize| series(points, |point| point.latencies[kind].map(|(p50, _)| Seconds(p50)));
        let p95 = |kind: usize| series(points, |point| point.latencies[kind].map(|(_, p95)| Seconds(p95)));
        Self {
            step_seconds: Seconds(history.chart.step_ms()),
            begins_at: history.begins_at,
            server_time: history.now,
            accepted: series(points, |point| point.accepted),
            completed: series(points, |point| point.completed),
            failed: series(points, |point| point.failed),
            died: series(points, |point| point.died),
            ready: series(points, |point| point.ready),
            leased: series(points, |point| point.leased),
            wait_seconds_p50: p50(0),
            wait_seconds_p95: p95(0),
            run_seconds_p50: p50(1),
            run_seconds_p95: p95(1),
            end_to_end_seconds_p50: p50(2),
            end_to_end_seconds_p95: p95(2),
        }
    }
}

problem_set! { HistoryProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown] }

/// Read a queue's charts: ten-second steps of the last hour, or five-minute steps of the last 48 hours.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/history", operation_id = "history", tag = "queues", params(QueuePath, HistoryQuery),
    responses((status = 200, description = "One value per step", body = HistoryAnswer), HistoryProblems),
)]
pub(in crate::http) async fn history(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Query((chart, steps)): Query<HistoryQuery>,
) -> Result<Response, Problem> {
    let history = api
        .engine()?
        .history(&queue, chart, steps)
        .await?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    Ok(Json(HistoryAnswer::from(history)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_taken_from_the_finest_chart_that_has_it() {
        let wanted = |range: Option<&str>, chart| {
            let range = range.map(|text| milliseconds(text).unwrap());
            steps(range, chart)
        };
        assert_eq!(wanted(None, None), Some((Chart::Fine, 360)));
        assert_eq!(wanted(None, Some(Chart::Coarse)), Some((Chart::Coarse, 576)));
        assert_eq!(wanted(Some("15m"), None), Some((Chart::Fine, 90)));
        assert_eq!(wanted(Some("6h"), None), Some((Chart::Coarse, 72)));
        assert_eq!(wanted(Some("1h"), Some(Chart::Coarse)), Some((Chart::Coarse, 12)));
        for (range, chart) in [
            ("2h", Some(Chart::Fine)),
            ("15s", None),
            ("49h", None),
            ("61m", None),
            ("90s", Some(Chart::Coarse)),
        ] {
            assert_eq!(wanted(Some(range), chart), None, "{range}");
        }
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in [
            "", "h", "0h", "-1h", "1d", "1.5h", "1 h", "+1h", "1000000s", "１h",
        ] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }
}

//! Counts, totals and rates of a queue.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::latency::Spread;
use crate::domain::pulse::Rates;
use crate::engine::{QueueStats, Snapshot};
use crate::http::api::Api;
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, QUERY, READ, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::query::NoQuery;
use crate::http::wire::{self, Seconds};

/// Exact counts and totals, from one snapshot.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueCounts)]
pub(in crate::http) struct CountsAnswer {
    ready: u64,
    scheduled: u64,
    leased: u64,
    dead: u64,
    /// Ready tasks that are blocked by a limit, a hold or a breaker. Exact up to 128 lanes, a lower bound
    /// beyond.
    held: u64,
    /// Names whose breaker is open.
    breakers_open: u64,
    /// Names whose breaker is half-open.
    breakers_half_open: u64,
    /// Ready and leased tasks together.
    backlog: u64,
    /// Age of the task that has been ready longest; null if none is ready. Exact up to 128 lanes, a lower
    /// bound beyond.
    #[schema(value_type = Option<wire::Duration>, required = true)]
    oldest_ready_age_seconds: Option<Seconds>,
    /// Bytes of scheduled, ready and leased tasks, including payloads and records. `max_bytes` bounds them.
    unfinished_bytes: u64,
    /// Lease calls that wait for this queue at all replicas, as reported within the last seconds.
    workers_waiting: u64,
    /// Whether leases or enqueues are paused. Read the queue for mode, start and end.
    paused: bool,
    accepted_total: u64,
    completed_total: u64,
    cancelled_total: u64,
    purged_total: u64,
    dead_evicted_total: u64,
    dead_aged_total: u64,
    replayed_total: u64,
    duplicates_total: u64,
    leases_expired_total: u64,
    /// Marks of enqueues with an `Idempotency-Key` that were dropped early because of `idempotency_max`.
    idempotency_dropped_total: u64,
}

impl From<QueueStats> for CountsAnswer {
    fn from(stats: QueueStats) -> Self {
        // Destructured without `..`, so that a new field of the engine does not compile until it is added
        // here.
        let QueueStats {
            counts,
            oldest_ready_age_ms,
            workers_waiting,
            paused,
        } = stats;
        Self {
            backlog: counts.ready + counts.leased,
            oldest_ready_age_seconds: oldest_ready_age_ms.map(Seconds),
            workers_waiting,
            paused: paused.is_some(),
            ready: counts.ready,
            held: counts.held,
            breakers_open: counts.breakers_open,
            breakers_half_open: counts.breakers_half_open,
            scheduled: counts.scheduled,
            leased: counts.leased,
            dead: counts.dead,
            unfinished_bytes: counts.unfinished_bytes,
            accepted_total: counts.accepted_total,
            completed_total: counts.completed_total,
            cancelled_total: counts.cancelled_total,
            purged_total: counts.purged_total,
            dead_evicted_total: counts.dead_evicted_total,
            dead_aged_total: counts.dead_aged_total,
            replayed_total: counts.replayed_total,
            duplicates_total: counts.duplicates_total,
            leases_expired_total: counts.leases_expired_total,
            idempotency_dropped_total: counts.idempotency_dropped_total,
        }
    }
}

macro_rules! rates_answer {
    ($($kind:ident $about:literal: $mean:ident $p50:ident $p95:ident $p99:ident;)+) => {
        /// Rates of the queue as seen by all replicas until a second ago. Latencies cover the last five
        /// minutes, with percentiles within 5 %; null if nothing was measured.
        #[derive(Debug, Serialize, ToSchema)]
        #[schema(as = QueueRates)]
        pub(in crate::http) struct RatesAnswer {
            /// Tasks completed per second over the last minute.
            throughput_per_second: f64,
            /// Tasks completed per second over the last five minutes.
            throughput_per_second_5m: f64,
            /// Tasks completed per second over the last fifteen minutes.
            throughput_per_second_15m: f64,
            /// Attempts that failed in the last minute: nacked, or their lease expired.
            error_rate_per_minute: f64,
            $(
                #[doc = concat!("Mean of ", $about, ".")]
                #[schema(value_type = Option<wire::Duration>, required = true)]
                $mean: Option<f64>,
                #[doc = concat!("Median of ", $about, ".")]
                #[schema(value_type = Option<wire::Duration>, required = true)]
                $p50: Option<Seconds>,
                #[doc = concat!("95th percentile of ", $about, ".")]
                #[schema(value_type = Option<wire::Duration>, required = true)]
                $p95: Option<Seconds>,
                #[doc = concat!("99th percentile of ", $about, ".")]
                #[schema(value_type = Option<wire::Duration>, required = true)]
                $p99: Option<Seconds>,
            )+
            /// Mean time from acceptance to ack, under a short name for scalers.
            #[schema(value_type = Option<wire::Duration>, required = true)]
            avg_latency_seconds: Option<f64>,
        }

        impl From<Rates> for RatesAnswer {
            fn from(rates: Rates) -> Self {
                let [one, five, fifteen] = rates.throughput_per_second.map(thousandths);
                Self {
                    throughput_per_second: one,
                    throughput_per_second_5m: five,
                    throughput_per_second_15m: fifteen,
                    error_rate_per_minute: thousandths(rates.error_rate_per_minute),
                    $(
                        $mean: mean_seconds(rates.$kind),
                        $p50: rates.$kind.map(|spread| Seconds(spread.p50_ms)),
                        $p95: rates.$kind.map(|spread| Seconds(spread.p95_ms)),
                        $p99: rates.$kind.map(|spread| Seconds(spread.p99_ms)),
                    )+
                    avg_latency_seconds: mean_seconds(rates.end_to_end),
                }
            }
        }
    };
}

rates_answer! {
    wait "the time from ready to granted":
        wait_seconds_avg wait_seconds_p50 wait_seconds_p95 wait_seconds_p99;
    run "the time from granted to acked or nacked":
        run_seconds_avg run_seconds_p50 run_seconds_p95 run_seconds_p99;
    end_to_end "the time from accepted to acked":
        end_to_end_seconds_avg end_to_end_seconds_p50 end_to_end_seconds_p95 end_to_end_seconds_p99;
}

/// The value is no more exact than this, and few digits are easier to read.
pub(in crate::http) fn thousandths(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

fn mean_seconds(spread: Option<Spread>) -> Option<f64> {
    spread.map(|spread| (spread.mean_ms * 10.0).round() / 10_000.0)
}

/// Counts, totals and rates of a queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueStats)]
pub(in crate::http) struct StatsAnswer {
    #[serde(flatten)]
    counts: CountsAnswer,
    #[serde(flatten)]
    rates: RatesAnswer,
}

impl From<Snapshot> for StatsAnswer {
    fn from(Snapshot { stats, rates }: Snapshot) -> Self {
        Self {
            counts: stats.into(),
            rates: rates.into(),
        }
    }
}

problem_set! { StatsProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown] }

/// Read a queue's counts, totals and rates.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/stats", operation_id = "stats", tag = "queues", params(QueuePath),
    responses((status = 200, description = "Counts, totals and rates", body = StatsAnswer), StatsProblems),
)]
pub(in crate::http) async fn stats(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    _: NoQuery,
) -> Result<Response, Problem> {
    let stats = api
        .engine()?
        .snapshot(&queue)
        .await?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    Ok(Json(StatsAnswer::from(stats)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::counts::Counts;

    #[test]
    fn stats_are_one_flat_object_without_invented_fields() {
        let snapshot = Snapshot {
            stats: QueueStats {
                counts: Counts {
                    ready: 2,
                    leased: 3,
                    ..Counts::default()
                },
                oldest_ready_age_ms: Some(1_500),
                ..QueueStats::default()
            },
            rates: Rates {
                throughput_per_second: [1.0 / 3.0, 0.0, 0.0],
                wait: Some(Spread {
                    mean_ms: 12.34,
                    p50_ms: 10,
                    p95_ms: 20,
                    p99_ms: 1_000,
                }),
                ..Rates::default()
            },
        };
        let shown = serde_json::to_value(StatsAnswer::from(snapshot)).unwrap();
        assert_eq!(
            (&shown["backlog"], &shown["oldest_ready_age_seconds"]),
            (&5.into(), &1.5.into())
        );
        assert_eq!(
            (
                &shown["throughput_per_second"],
                &shown["wait_seconds_avg"],
                &shown["wait_seconds_p99"]
            ),
            (&0.333.into(), &0.0123.into(), &1.into())
        );
        let flat = |value: &serde_json::Value| value.is_number() || value.is_null() || value.is_boolean();
        assert!(shown.as_object().unwrap().values().all(flat));
        let idle = serde_json::to_value(StatsAnswer::from(Snapshot::default())).unwrap();
        assert!(idle["oldest_ready_age_seconds"].is_null() && idle["run_seconds_p50"].is_null());
    }
}

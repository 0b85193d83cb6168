//! A queue's counts and totals.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::QueueProblems;
use crate::engine::QueueStats;
use crate::http::Api;
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::{Code, Problem};
use crate::http::query::QueryFields;
use crate::http::wire::{self, Seconds};

/// Exact counts and totals, on one snapshot; but `workers_waiting` is of the replica that answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueStats)]
pub(in crate::http) struct StatsAnswer {
    ready: u64,
    scheduled: u64,
    leased: u64,
    dead: u64,
    /// Ready and leased together.
    backlog: u64,
    /// Of the task that has been ready longest; null when none is ready. Exact up to 128 lanes, at least this beyond.
    #[schema(value_type = Option<wire::Duration>, required = true)]
    oldest_ready_age_seconds: Option<Seconds>,
    /// Lease calls that wait for this queue, as the answering replica sees it: those at other replicas are not in it.
    workers_waiting: u64,
    accepted_total: u64,
    completed_total: u64,
    cancelled_total: u64,
    purged_total: u64,
    dead_evicted_total: u64,
    dead_aged_total: u64,
    replayed_total: u64,
    duplicates_total: u64,
    leases_expired_total: u64,
    /// Enqueues with an `Idempotency-Key` that were forgotten before their time, because `idempotency_max` newer ones came.
    idempotency_dropped_total: u64,
}

impl From<QueueStats> for StatsAnswer {
    fn from(stats: QueueStats) -> Self {
        // Taken apart whole, so that what the engine comes to know cannot be forgotten here.
        let QueueStats {
            ready,
            scheduled,
            leased,
            dead,
            oldest_ready_age_ms,
            workers_waiting,
            accepted_total,
            completed_total,
            cancelled_total,
            purged_total,
            dead_evicted_total,
            dead_aged_total,
            replayed_total,
            duplicates_total,
            leases_expired_total,
            idempotency_dropped_total,
        } = stats;
        Self {
            ready,
            scheduled,
            leased,
            dead,
            backlog: ready + leased,
            oldest_ready_age_seconds: oldest_ready_age_ms.map(Seconds),
            workers_waiting,
            accepted_total,
            completed_total,
            cancelled_total,
            purged_total,
            dead_evicted_total,
            dead_aged_total,
            replayed_total,
            duplicates_total,
            leases_expired_total,
            idempotency_dropped_total,
        }
    }
}

/// Read a queue's counts and totals.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/stats", operation_id = "stats", tag = "queues", params(QueuePath),
    responses((status = 200, description = "Counts and totals", body = StatsAnswer), QueueProblems),
)]
pub(in crate::http) async fn stats(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    uri: Uri,
) -> Result<Response, Problem> {
    QueryFields::open(&uri, &[])?.finish()?;
    let stats = api
        .engine()?
        .stats(&queue)
        .await?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    Ok(Json(StatsAnswer::from(stats)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_one_flat_object_without_invented_fields() {
        let stats = QueueStats {
            ready: 2,
            leased: 3,
            oldest_ready_age_ms: Some(1_500),
            ..QueueStats::default()
        };
        let shown = serde_json::to_value(StatsAnswer::from(stats)).unwrap();
        assert_eq!(
            (&shown["backlog"], &shown["oldest_ready_age_seconds"]),
            (&5.into(), &1.5.into())
        );
        assert!(shown.as_object().unwrap().values().all(|value| value.is_number()));
        let idle = serde_json::to_value(StatsAnswer::from(QueueStats::default())).unwrap();
        assert!(idle["oldest_ready_age_seconds"].is_null());
    }
}

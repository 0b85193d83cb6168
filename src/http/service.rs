//! The service itself: limits, health, metrics, version.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::api::Api;
use super::json::DEPTH_MAX;
use super::problem::sets::{ALWAYS, problem_set};
use super::problem::{Code, Problem};
use super::wire::{self, Seconds};
use crate::domain::limits;
use crate::engine::Engine;
use crate::metrics::{Metrics, NameFacts, QueueFacts};

/// The version of the API. It changes with the API, not with each release.
pub const API_VERSION: &str = "1.0.0";

macro_rules! limits_answer {
    ($($(#[doc = $about:literal])+ $name:ident: $kind:ty = $value:expr;)+) => {
        /// Every bound that a client can meet.
        #[derive(Serialize, ToSchema)]
        #[schema(as = Limits)]
        pub(super) struct LimitsAnswer {
            $($(#[doc = $about])+ #[schema(value_type = wire::Count)] $name: $kind,)+
        }

        const LIMITS: LimitsAnswer = LimitsAnswer { $($name: $value),+ };
    };
}

// The constants that enforce them: what this says is what holds.
limits_answer! {
    /// Bytes of one payload, as JSON text.
    payload_bytes_max: usize = limits::PAYLOAD_BYTES_MAX;
    /// Bytes of the result of an ack, as JSON text.
    result_bytes_max: usize = limits::RESULT_BYTES_MAX;
    /// Bytes of a request body, after decompression.
    body_bytes_max: usize = limits::BODY_BYTES_MAX;
    /// Levels of arrays and objects in a body.
    json_depth_max: usize = DEPTH_MAX;
    /// Tasks in one batch.
    batch_items_max: usize = limits::BATCH_ITEMS_MAX;
    /// Tasks in one atomic batch.
    atomic_items_max: usize = limits::ATOMIC_ITEMS_MAX;
    /// Bytes of the body of an atomic batch.
    atomic_bytes_max: usize = limits::ATOMIC_BYTES_MAX;
    /// Operations in one batch or `settle` list.
    settle_items_max: usize = limits::SETTLE_ITEMS_MAX;
    /// Tasks in one lease answer.
    lease_tasks_max: usize = limits::LEASE_TASKS_MAX;
    /// Bytes of payloads in a lease response. One task fits in any case.
    lease_bytes_max: usize = limits::LEASE_BYTES_MAX;
    /// Queues in one lease call.
    lease_queues_max: usize = limits::LEASE_QUEUES_MAX;
    /// Names in the filter of one lease call.
    lease_names_max: usize = limits::LEASE_NAMES_MAX;
    /// Seconds that a lease call or the read of a task may wait.
    wait_seconds_max: u64 = limits::WAIT_SECONDS_MAX;
    /// Seconds of the shortest lease.
    lease_seconds_min: Seconds = Seconds(limits::LEASE_MS_MIN);
    /// Seconds of the longest lease.
    lease_seconds_max: Seconds = Seconds(limits::LEASE_MS_MAX);
    /// Seconds that a task may be scheduled ahead.
    delay_seconds_max: Seconds = Seconds(limits::DELAY_MS_MAX);
    /// Seconds after which a task may expire.
    expires_seconds_max: Seconds = Seconds(limits::EXPIRES_MS_MAX);
    /// Highest `factor` of a retry policy.
    retry_factor_max: u32 = limits::RETRY_FACTOR_MAX;
    /// Seconds that the `retry_after` of a release may have.
    retry_after_seconds_max: Seconds = Seconds(limits::RETRY_AFTER_MS_MAX);
    /// Highest priority; 0 is the lowest.
    priority_max: u16 = limits::PRIORITY_MAX;
    /// Highest `max_attempts`.
    attempts_max: u16 = limits::ATTEMPTS_MAX;
    /// Headers of a task.
    headers_max: usize = limits::HEADERS_MAX;
    /// Bytes of the name and value of one header.
    header_bytes_max: usize = limits::HEADER_BYTES_MAX;
    /// Bytes of a worker's name.
    worker_bytes_max: usize = limits::WORKER_BYTES_MAX;
    /// Bytes of a `request_id`.
    request_id_bytes_max: usize = limits::REQUEST_ID_BYTES_MAX;
    /// Bytes kept of an error's type. Longer ones are cut.
    error_type_bytes_max: usize = limits::ERROR_TYPE_BYTES_MAX;
    /// Bytes kept of an error's message. Longer ones are cut and marked.
    error_message_bytes_max: usize = limits::ERROR_MESSAGE_BYTES_MAX;
    /// Bytes kept of an error's stack. Longer ones are cut and marked.
    error_stack_bytes_max: usize = limits::ERROR_STACK_BYTES_MAX;
    /// Bytes of a `unique` key.
    unique_key_bytes_max: usize = limits::UNIQUE_KEY_BYTES_MAX;
    /// Seconds that a task may hold a `unique` key.
    unique_ttl_seconds_max: Seconds = Seconds(limits::UNIQUE_TTL_MS_MAX);
    /// Bytes of an `Idempotency-Key`.
    idempotency_key_bytes_max: usize = limits::IDEMPOTENCY_KEY_BYTES_MAX;
    /// Bytes of the reason of a pause.
    pause_reason_bytes_max: usize = limits::PAUSE_REASON_BYTES_MAX;
    /// Bytes of `progress` in an extend, as JSON text.
    progress_bytes_max: usize = limits::PROGRESS_BYTES_MAX;
    /// Failed attempts kept with a task.
    history_attempts_max: usize = limits::HISTORY_ATTEMPTS_MAX;
    /// Bytes of the failed attempts kept with a task.
    history_bytes_max: usize = limits::HISTORY_BYTES_MAX;
    /// Items of a page.
    page_items_max: usize = limits::PAGE_MAX;
    /// Tasks ahead of a waiting one that are counted exactly.
    ahead_max: usize = limits::AHEAD_MAX;
    /// Problems that one audit reports. Further ones are counted.
    problems_max: usize = limits::PROBLEMS_MAX;
    /// Event streams open at one replica.
    watchers_max: usize = limits::WATCHERS_MAX;
    /// Seconds that one part of an audit may take.
    verify_seconds_max: u64 = limits::VERIFY_SECONDS_MAX;
    /// Tasks that one call of bulk work handles.
    bulk_tasks_max: usize = limits::BULK_TASKS_MAX;
    /// Names that the tasks of one queue may have, and names with an entry of their own in its config.
    names_max: usize = limits::NAMES_MAX;
    /// Groups with an entry of their own in each of one queue's `group_weights` and `group_limits`.
    groups_max: usize = limits::GROUPS_MAX;
    /// Lowest weight of a group.
    group_weight_min: f64 = limits::GROUP_WEIGHT_MIN;
    /// Highest weight of a group.
    group_weight_max: f64 = limits::GROUP_WEIGHT_MAX;
    /// Lowest `rate_per_second` of a limit.
    rate_per_second_min: f64 = limits::RATE_PER_SECOND_MIN;
    /// Highest `rate_per_second` of a limit.
    rate_per_second_max: f64 = limits::RATE_PER_SECOND_MAX;
    /// Highest `burst` of a limit.
    burst_max: f64 = limits::BURST_MAX;
    /// Highest `max_leased` of a limit.
    leased_max: u64 = limits::LEASED_MAX;
    /// Highest threshold and `half_open_max` of a breaker.
    breaker_count_max: u64 = limits::BREAKER_COUNT_MAX;
    /// Shortest `reset_seconds` of a breaker.
    breaker_reset_seconds_min: Seconds = Seconds(limits::BREAKER_RESET_MS_MIN);
    /// Longest `reset_seconds` of a breaker.
    breaker_reset_seconds_max: Seconds = Seconds(limits::BREAKER_RESET_MS_MAX);
    /// Seconds for which an operator may hold a queue, a name or a group.
    hold_seconds_max: Seconds = Seconds(limits::HOLD_MS_MAX);
}

/// Limit of a scrape for the replies of Redis.
const FACTS_WITHIN: Duration = Duration::from_secs(2);

problem_set! { ServiceProblems: ALWAYS }

/// Every bound that a client can meet.
#[utoipa::path(
    get, path = "/v1/limits", operation_id = "limits", tag = "service",
    responses((status = 200, description = "The limits", body = LimitsAnswer), ServiceProblems),
)]
pub(super) async fn limits() -> Json<&'static LimitsAnswer> {
    Json(&LIMITS)
}

/// The response of `/livez` and `/readyz` if all is well.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub(super) struct HealthAnswer {
    /// `alive` or `ready`.
    status: &'static str,
    /// Durability level in force, which write responses name: `memory`, `fsync` or `replicated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    durability: Option<&'static str>,
}

/// Check whether the process responds. Never uses Redis.
#[utoipa::path(
    get, path = "/livez", operation_id = "livez", tag = "service",
    responses((status = 200, description = "It does", body = HealthAnswer), ServiceProblems),
)]
pub(super) async fn livez() -> Json<HealthAnswer> {
    Json(HealthAnswer {
        status: "alive",
        durability: None,
    })
}

problem_set! { ReadyProblems: ALWAYS, &[Code::NotReady, Code::StoreUnavailable, Code::ShuttingDown, Code::Timeout] }

/// Check whether the service can work: Redis accepts writes, scripts are loaded, and it is not shutting down.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "service",
    responses((status = 200, description = "It does", body = HealthAnswer), ReadyProblems),
)]
pub(super) async fn readyz(State(api): State<Api>) -> Result<Json<HealthAnswer>, Problem> {
    let health = api.engine()?.health().await;
    if health.draining {
        return Err(Code::ShuttingDown.problem());
    }
    // The error of Redis goes to the log only, because it may name hosts.
    health
        .store
        .map_err(|why| Code::StoreUnavailable.problem().caused_by(why))?;
    Ok(Json(HealthAnswer {
        status: "ready",
        durability: Some(health.durability.word()),
    }))
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "service",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain"), ServiceProblems),
)]
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    if let Ok(engine) = api.engine() {
        if let Some(max) = api.metrics().facts_due() {
            let until = Instant::now() + FACTS_WITHIN;
            let queues = facts(engine, max, until).await;
            let names = name_facts(engine, api.metrics(), &queues, until).await;
            api.metrics().set_facts(queues, names);
        }
        api.metrics()
            .lease_waiters
            .set(i64::try_from(engine.waiting()).unwrap_or(i64::MAX));
        api.metrics()
            .task_waiters
            .set(i64::try_from(engine.following()).unwrap_or(i64::MAX));
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, kind)], api.metrics().text()).into_response()
}

/// Reads the stats of queues for the metrics. Returns none if Redis takes too long, because a scrape must not
/// hang.
async fn facts(engine: &Engine, max: usize, until: Instant) -> Vec<QueueFacts> {
    let read = tokio::time::timeout_at(until, engine.some_queues(max)).await;
    let queues = read.ok().and_then(Result::ok).unwrap_or_default();
    let facts = queues.into_iter().map(|(queue, stats)| QueueFacts {
        queue,
        counts: stats.counts,
        // The cast is exact up to the year 287,000.
        #[allow(clippy::cast_precision_loss)]
        oldest_ready_age_seconds: stats.oldest_ready_age_ms.unwrap_or(0) as f64 / 1_000.0,
        workers_waiting: stats.workers_waiting,
        paused: stats.paused.is_some(),
    });
    facts.collect()
}

/// Reads the states of the names that have labels, as far as Redis replies in time.
async fn name_facts(
    engine: &Engine,
    metrics: &Metrics,
    queues: &[QueueFacts],
    until: Instant,
) -> Vec<NameFacts> {
    let mut facts = Vec::new();
    let read = read_name_facts(engine, metrics, queues, &mut facts);
    // The states that were read until then are valid.
    let _ = tokio::time::timeout_at(until, read).await;
    facts
}

async fn read_name_facts(
    engine: &Engine,
    metrics: &Metrics,
    queues: &[QueueFacts],
    facts: &mut Vec<NameFacts>,
) {
    for QueueFacts { queue, .. } in queues {
        let mut cursor = None;
        // No further name can have labels.
        while facts.len() < metrics.names_max() {
            let Ok(Ok(Some(page))) = engine.names(queue, limits::PAGE_MAX, cursor.as_deref()).await else {
                break;
            };
            let shown = page
                .items
                .iter()
                .filter(|standing| metrics.shows_name(queue, &standing.name));
            facts.extend(shown.map(|standing| NameFacts::of(queue.clone(), standing)));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
}

/// Identify the service.
#[derive(Serialize, ToSchema)]
#[schema(as = Version)]
pub(super) struct VersionAnswer {
    /// Version of the program.
    version: &'static str,
    /// Version of the API.
    api_version: &'static str,
}

/// Identify the service.
#[utoipa::path(
    get, path = "/version", operation_id = "version", tag = "service",
    responses((status = 200, description = "Its versions", body = VersionAnswer), ServiceProblems),
)]
pub(super) async fn version() -> Json<VersionAnswer> {
    Json(VersionAnswer {
        version: env!("CARGO_PKG_VERSION"),
        api_version: API_VERSION,
    })
}

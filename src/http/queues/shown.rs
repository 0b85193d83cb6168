//! The config of a queue in responses: as set, and with all defaults.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::gate::{Breaker, Limits, Positive};
use crate::domain::queue::{Keep, NameConfig, OnFull, Order, QueueConfig, defaults};
use crate::http::retry::RetryDocument;
use crate::http::wire::{self, Seconds};

/// A config in a response: as set, or with all defaults.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = QueueConfig)]
pub(super) struct ConfigDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    lease_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    max_lease_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_attempts: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_deferrals: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry: Option<RetryDocument>,
    /// `aged`, `strict` or `fifo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    order: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    aging_seconds: Option<Seconds>,
    /// Weights as set. A group without a weight has that of `*`, or 1.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    group_weights: BTreeMap<String, f64>,
    #[serde(skip_serializing_if = "is_empty")]
    #[schema(required = false)]
    limits: LimitsDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    breaker: Option<BreakerDocument>,
    /// Limits as set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    group_limits: BTreeMap<String, LimitsDocument>,
    #[serde(skip_serializing_if = "is_empty")]
    #[schema(required = false)]
    dead_letter: DeadLetterDocument,
    #[serde(skip_serializing_if = "is_empty")]
    #[schema(required = false)]
    retention: RetentionDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    idempotency_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    idempotency_max: Option<u64>,
    /// Absent if unbounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_tasks: Option<u64>,
    /// Absent if unbounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_bytes: Option<u64>,
    /// Settings as set. Absent values are those of the queue.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    names: BTreeMap<String, NameDocument>,
}

#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct DeadLetterDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    max_age_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_bytes: Option<u64>,
    /// `evict_oldest` or `reject_enqueue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    on_full: Option<&'static str>,
}

#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Retention)]
struct RetentionDocument {
    /// `all`, `results` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keep: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    completed_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    completed_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    completed_bytes: Option<u64>,
}

/// A circuit breaker.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Breaker)]
struct BreakerDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failure_threshold: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    reset_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    half_open_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    success_threshold: Option<u64>,
}

impl BreakerDocument {
    fn of(breaker: &Breaker) -> Self {
        Self {
            failure_threshold: breaker.failure_threshold,
            reset_seconds: breaker.reset_ms.map(Seconds),
            half_open_max: breaker.half_open_max,
            success_threshold: breaker.success_threshold,
        }
    }
}

/// Limits of a queue, a name or a group.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Limits)]
pub(super) struct LimitsDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rate_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    burst: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_leased: Option<u64>,
}

impl LimitsDocument {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            rate_per_second: limits.rate_per_second.map(Positive::get),
            burst: limits.burst.map(Positive::get),
            max_leased: limits.max_leased,
        }
    }
}

#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = NameConfig)]
struct NameDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    lease_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_attempts: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry: Option<RetryDocument>,
    #[serde(skip_serializing_if = "is_empty")]
    #[schema(required = false)]
    limits: LimitsDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    breaker: Option<BreakerDocument>,
}

fn is_empty<T: Default + PartialEq>(document: &T) -> bool {
    *document == T::default()
}

impl ConfigDocument {
    /// Builds the config as set, in the form that PUT accepts.
    pub(super) fn set(config: &QueueConfig) -> Self {
        let seconds = |ms: Option<u64>| ms.map(Seconds);
        let name = |named: &NameConfig| NameDocument {
            lease_seconds: seconds(named.lease_ms),
            max_attempts: named.max_attempts,
            retry: named.retry.as_ref().map(RetryDocument::of),
            limits: LimitsDocument::of(&named.limits),
            breaker: named.breaker.as_ref().map(BreakerDocument::of),
        };
        Self {
            lease_seconds: seconds(config.lease_ms),
            max_lease_seconds: seconds(config.max_lease_ms),
            max_attempts: config.max_attempts,
            max_deferrals: config.max_deferrals,
            retry: config.retry.as_ref().map(RetryDocument::of),
            order: config.order.map(Order::word),
            aging_seconds: seconds(config.aging_ms),
            group_weights: config
                .group_weights
                .iter()
                .map(|(group, weight)| (group.clone(), weight.get()))
                .collect(),
            limits: LimitsDocument::of(&config.limits),
            breaker: config.breaker.as_ref().map(BreakerDocument::of),
            group_limits: config
                .group_limits
                .iter()
                .map(|(group, limits)| (group.clone(), LimitsDocument::of(limits)))
                .collect(),
            dead_letter: DeadLetterDocument {
                max_size: config.dead_max_size,
                max_age_seconds: seconds(config.dead_max_age_ms),
                max_bytes: config.dead_max_bytes,
                on_full: config.dead_on_full.map(OnFull::word),
            },
            retention: RetentionDocument {
                keep: config.keep.map(Keep::word),
                completed_seconds: seconds(config.completed_ms),
                completed_max: config.completed_max,
                completed_bytes: config.completed_bytes,
            },
            idempotency_seconds: seconds(config.idempotency_ms),
            idempotency_max: config.idempotency_max,
            max_tasks: config.max_tasks,
            max_bytes: config.max_bytes,
            names: config
                .names
                .iter()
                .map(|(key, named)| (key.clone(), name(named)))
                .collect(),
        }
    }

    /// The settings in force: the config with the defaults of the server.
    pub(super) fn effective(config: &QueueConfig) -> Self {
        Self::set(&QueueConfig {
            lease_ms: config.lease_ms.or(Some(defaults::LEASE_MS)),
            max_lease_ms: config.max_lease_ms.or(Some(defaults::MAX_LEASE_MS)),
            max_attempts: config.max_attempts.or(Some(defaults::MAX_ATTEMPTS)),
            max_deferrals: config.max_deferrals.or(Some(defaults::MAX_DEFERRALS)),
            retry: Some(config.retry.unwrap_or_default().policy().into()),
            order: config.order.or(Some(defaults::ORDER)),
            aging_ms: config.aging_ms.or(Some(defaults::AGING_MS)),
            dead_max_size: config.dead_max_size.or(Some(defaults::DEAD_MAX_SIZE)),
            dead_max_age_ms: config.dead_max_age_ms.or(Some(defaults::DEAD_MAX_AGE_MS)),
            dead_max_bytes: config.dead_max_bytes.or(Some(defaults::DEAD_MAX_BYTES)),
            dead_on_full: config.dead_on_full.or(Some(defaults::DEAD_ON_FULL)),
            keep: config.keep.or(Some(defaults::KEEP)),
            completed_ms: config.completed_ms.or(Some(defaults::COMPLETED_MS)),
            completed_max: config.completed_max.or(Some(defaults::COMPLETED_MAX)),
            completed_bytes: config.completed_bytes.or(Some(defaults::COMPLETED_BYTES)),
            group_weights: config.group_weights.clone(),
            limits: config.limits.effective(),
            breaker: config.breaker.map(|breaker| breaker.effective()),
            group_limits: config.group_limits.clone(),
            idempotency_ms: config.idempotency_ms.or(Some(defaults::IDEMPOTENCY_MS)),
            idempotency_max: config.idempotency_max.or(Some(defaults::IDEMPOTENCY_MAX)),
            max_tasks: config.max_tasks,
            max_bytes: config.max_bytes,
            names: config.names.clone(),
        })
    }
}

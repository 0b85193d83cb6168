//! The configuration of a queue: the settings, and the values that follow from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NewTask;
use super::gate::{Breaker, Limits, Positive};
use super::retry::{RetryConfig, RetryPolicy};

/// The order inside a group. Redis keeps the index in this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By `ready_at - priority * aging`: waiting time makes up for priority.
    #[default]
    Aged,
    /// By priority alone, then by `ready_at`.
    Strict,
    /// By `ready_at` alone.
    Fifo,
}

impl Order {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Aged => "aged",
            Self::Strict => "strict",
            Self::Fifo => "fifo",
        }
    }
}

/// The part of a finished task that stays readable. Redis keeps the index in this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The whole task and its result.
    #[default]
    All,
    /// State, times and result. The payload is dropped at once.
    Results,
    None,
}

impl Keep {
    pub const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Results => "results",
            Self::None => "none",
        }
    }
}

/// The behaviour at full dead letters. Redis keeps the index in this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The oldest dead letter is evicted.
    #[default]
    EvictOldest,
    /// New tasks are refused until there is room. Tasks that were accepted already still evict the oldest
    /// dead letter.
    RejectEnqueue,
}

impl OnFull {
    pub const fn word(self) -> &'static str {
        match self {
            Self::EvictOldest => "evict_oldest",
            Self::RejectEnqueue => "reject_enqueue",
        }
    }
}

/// The settings of a queue, durations in whole milliseconds; `None` means the default of the server. Redis
/// keeps this type as the config document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lease_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_deferrals: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aging_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_max_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_max_age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_max_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_on_full: Option<OnFull>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_bytes: Option<u64>,
    /// Turns of a group relative to a group of weight 1. `"*"` stands for each group without an entry of its
    /// own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub group_weights: BTreeMap<String, Positive>,
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// The breaker of each name without one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// Limits by group. `"*"` stands for each group without an entry of its own, but not for tasks without a
    /// group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub group_limits: BTreeMap<String, Limits>,
    /// The time for which requests with an `Idempotency-Key` are remembered, and their number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_max: Option<u64>,
    /// Bounds of the scheduled, ready and leased tasks together: their number and bytes. Unbounded unless
    /// set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tasks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Settings by task name. `"*"` stands for each name without an entry of its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, NameConfig>,
}

/// Settings for the tasks of one name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NameConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
}

/// The defaults of the server. Scripts receive these values and have none of their own.
pub mod defaults {
    use super::{Keep, OnFull, Order};

    pub const LEASE_MS: u64 = 30_000;
    pub const MAX_LEASE_MS: u64 = 43_200_000;
    pub const MAX_ATTEMPTS: u16 = 5;
    pub const MAX_DEFERRALS: u16 = 100;
    pub const ORDER: Order = Order::Aged;
    pub const AGING_MS: u64 = 6_000;
    pub const DEAD_MAX_SIZE: u64 = 10_000;
    pub const DEAD_MAX_AGE_MS: u64 = 1_209_600_000;
    pub const DEAD_MAX_BYTES: u64 = 268_435_456;
    pub const DEAD_ON_FULL: OnFull = OnFull::EvictOldest;
    pub const KEEP: Keep = Keep::All;
    pub const COMPLETED_MS: u64 = 3_600_000;
    pub const COMPLETED_MAX: u64 = 100_000;
    pub const COMPLETED_BYTES: u64 = 67_108_864;
    pub const IDEMPOTENCY_MS: u64 = 86_400_000;
    pub const IDEMPOTENCY_MAX: u64 = 1_000_000;
}

/// The policy of a task, frozen into it at acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub max_attempts: u16,
    pub lease_ms: u64,
    pub retry: RetryPolicy,
}

impl QueueConfig {
    /// Resolves each setting on its own: task → name → queue → server.
    pub fn policy(&self, task: &NewTask) -> Policy {
        let named = self.names.get(task.name.as_str()).or_else(|| self.names.get("*"));
        Policy {
            max_attempts: task
                .max_attempts
                .or_else(|| named?.max_attempts)
                .or(self.max_attempts)
                .unwrap_or(defaults::MAX_ATTEMPTS),
            lease_ms: task
                .lease_ms
                .or_else(|| named?.lease_ms)
                .or(self.lease_ms)
                .unwrap_or(defaults::LEASE_MS),
            retry: task
                .retry
                .or_else(|| Some(named?.retry?.policy()))
                .or_else(|| Some(self.retry?.policy()))
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TaskName;
    use crate::domain::retry::Strategy;
    use crate::domain::task::Json;

    fn retry(strategy: Strategy) -> RetryConfig {
        RetryConfig {
            strategy: Some(strategy),
            ..RetryConfig::default()
        }
    }

    #[test]
    fn the_nearest_setting_wins() {
        let config = QueueConfig {
            max_attempts: Some(3),
            retry: Some(retry(Strategy::Linear)),
            names: [
                (
                    "a".to_owned(),
                    NameConfig {
                        lease_ms: Some(5_000),
                        ..NameConfig::default()
                    },
                ),
                (
                    "*".to_owned(),
                    NameConfig {
                        lease_ms: Some(6_000),
                        max_attempts: Some(9),
                        retry: Some(retry(Strategy::Fixed)),
                        ..NameConfig::default()
                    },
                ),
            ]
            .into(),
            ..QueueConfig::default()
        };
        let task = |name: &str| NewTask {
            name: TaskName::parse(name).unwrap(),
            ..NewTask::new(Json::null())
        };
        let expect = |max_attempts, lease_ms, strategy| Policy {
            max_attempts,
            lease_ms,
            retry: retry(strategy).policy(),
        };

        assert_eq!(config.policy(&task("a")), expect(3, 5_000, Strategy::Linear));
        assert_eq!(config.policy(&task("b")), expect(9, 6_000, Strategy::Fixed));
        let own = NewTask {
            max_attempts: Some(1),
            lease_ms: Some(1_000),
            retry: Some(retry(Strategy::Immediate).policy()),
            ..task("a")
        };
        assert_eq!(config.policy(&own), expect(1, 1_000, Strategy::Immediate));
        let server = QueueConfig::default();
        assert_eq!(
            server.policy(&task("a")),
            expect(5, 30_000, Strategy::Exponential)
        );
    }
}

//! A queue's configuration: what was set, and what therefore holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TaskName;
use super::gate::{Limits, Positive};

/// Which task of a group is next. Redis keeps the place in this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By `ready_at - priority * aging`: waiting time and priority trade.
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

/// What stays readable of a finished task. Redis keeps the place in this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The whole task and its result.
    #[default]
    All,
    /// State, times and result; the payload goes at once.
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

/// What a queue's owner set, durations in whole milliseconds; `None` means the server's default.
/// This is what Redis keeps as the config document.
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
    pub order: Option<Order>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aging_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_max_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_bytes: Option<u64>,
    /// Turns of a group beside one of weight 1; `"*"` stands for each group without an entry of its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub group_weights: BTreeMap<String, Positive>,
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// Per group; `"*"` stands for each group without an entry of its own, but not for tasks without a group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub group_limits: BTreeMap<String, Limits>,
    /// Per task name; `"*"` stands for each name without an entry of its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, NameConfig>,
}

/// What holds for tasks of one name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NameConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u16>,
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
}

/// What the server does where nothing was set. Scripts get these values; they have none of their own.
pub mod defaults {
    use super::{Keep, Order};

    pub const LEASE_MS: u64 = 30_000;
    pub const MAX_LEASE_MS: u64 = 43_200_000;
    pub const MAX_ATTEMPTS: u16 = 5;
    pub const MAX_DEFERRALS: u16 = 100;
    pub const ORDER: Order = Order::Aged;
    pub const AGING_MS: u64 = 6_000;
    pub const DEAD_MAX_SIZE: u64 = 10_000;
    pub const KEEP: Keep = Keep::All;
    pub const COMPLETED_MS: u64 = 3_600_000;
    pub const COMPLETED_MAX: u64 = 100_000;
    pub const COMPLETED_BYTES: u64 = 67_108_864;

    /// Backoff of a failed attempt: `base * factor^(attempt - 1)`, at most `max`, with full jitter.
    pub const RETRY_BASE_MS: u64 = 1_000;
    pub const RETRY_FACTOR: u64 = 2;
    pub const RETRY_MAX_MS: u64 = 300_000;
}

/// How a task of one name is to be treated, frozen into it at acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub max_attempts: u16,
    pub lease_ms: u64,
}

impl QueueConfig {
    /// Resolves task → name → queue → server.
    pub fn policy(&self, name: &TaskName, task: (Option<u16>, Option<u64>)) -> Policy {
        let named = self.names.get(name.as_str()).or_else(|| self.names.get("*"));
        let max_attempts = task
            .0
            .or_else(|| named?.max_attempts)
            .or(self.max_attempts)
            .unwrap_or(defaults::MAX_ATTEMPTS);
        let lease_ms = task
            .1
            .or_else(|| named?.lease_ms)
            .or(self.lease_ms)
            .unwrap_or(defaults::LEASE_MS);
        Policy {
            max_attempts,
            lease_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_setting_wins() {
        let name = |lease_ms, max_attempts| NameConfig {
            lease_ms,
            max_attempts,
            ..NameConfig::default()
        };
        let config = QueueConfig {
            max_attempts: Some(3),
            names: [
                ("a".to_owned(), name(Some(5_000), None)),
                ("*".to_owned(), name(Some(6_000), Some(9))),
            ]
            .into(),
            ..QueueConfig::default()
        };
        let policy = |name: &str, task| config.policy(&TaskName::parse(name).unwrap(), task);

        let expect = |max_attempts, lease_ms| Policy {
            max_attempts,
            lease_ms,
        };
        assert_eq!(policy("a", (None, None)), expect(3, 5_000));
        assert_eq!(policy("b", (None, None)), expect(9, 6_000));
        assert_eq!(policy("a", (Some(1), Some(1_000))), expect(1, 1_000));
        let server = QueueConfig::default();
        assert_eq!(
            server.policy(&TaskName::default(), (None, None)),
            expect(5, 30_000)
        );
    }
}

//! Retry policies: the delay after a failed attempt.

use serde::{Deserialize, Serialize};

/// The growth of the delay with the number of the failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// `base * factor^(attempt - 1)`.
    #[default]
    Exponential,
    /// `base * attempt`.
    Linear,
    /// `base`.
    Fixed,
    /// No delay.
    Immediate,
}

impl Strategy {
    pub const ALL: [Self; 4] = [Self::Exponential, Self::Linear, Self::Fixed, Self::Immediate];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::Linear => "linear",
            Self::Fixed => "fixed",
            Self::Immediate => "immediate",
        }
    }
}

/// The random part of the delay, so that tasks that failed together do not retry together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// A random part of the whole delay.
    #[default]
    Full,
    /// Half of the delay, and a random part of the other half.
    Equal,
    /// The whole delay, without a random part.
    None,
}

impl Jitter {
    pub const ALL: [Self; 3] = [Self::Full, Self::Equal, Self::None];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Equal => "equal",
            Self::None => "none",
        }
    }
}

/// A factor in whole thousandths, so that Redis keeps it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thousandths(pub u32);

/// A complete policy, as it is frozen into a task. `lua/retry.lua` computes the delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    pub strategy: Strategy,
    /// At most [`super::limits::DELAY_MS_MAX`], like `max_ms`.
    pub base_ms: u64,
    /// 1 to [`super::limits::RETRY_FACTOR_MAX`].
    pub factor: Thousandths,
    /// The longest delay.
    pub max_ms: u64,
    pub jitter: Jitter,
}

impl RetryPolicy {
    /// The default policy.
    pub const DEFAULT: Self = Self {
        strategy: Strategy::Exponential,
        base_ms: 1_000,
        factor: Thousandths(2_000),
        max_ms: 300_000,
        jitter: Jitter::Full,
    };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A policy as it was set; the server's default fills in absent settings. The nearest policy on the way from
/// task to server counts as a whole, so that readers need not know the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<Thousandths>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
}

impl RetryConfig {
    pub fn policy(&self) -> RetryPolicy {
        const SERVER: RetryPolicy = RetryPolicy::DEFAULT;
        RetryPolicy {
            strategy: self.strategy.unwrap_or(SERVER.strategy),
            base_ms: self.base_ms.unwrap_or(SERVER.base_ms),
            factor: self.factor.unwrap_or(SERVER.factor),
            max_ms: self.max_ms.unwrap_or(SERVER.max_ms),
            jitter: self.jitter.unwrap_or(SERVER.jitter),
        }
    }
}

impl From<RetryPolicy> for RetryConfig {
    fn from(policy: RetryPolicy) -> Self {
        Self {
            strategy: Some(policy.strategy),
            base_ms: Some(policy.base_ms),
            factor: Some(policy.factor),
            max_ms: Some(policy.max_ms),
            jitter: Some(policy.jitter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_policy_leaves_open_is_the_servers() {
        assert_eq!(RetryConfig::default().policy(), RetryPolicy::DEFAULT);
        let fixed = RetryConfig {
            strategy: Some(Strategy::Fixed),
            ..RetryConfig::default()
        };
        let expected = RetryPolicy {
            strategy: Strategy::Fixed,
            ..RetryPolicy::DEFAULT
        };
        assert_eq!(fixed.policy(), expected);
        assert_eq!(RetryConfig::from(expected).policy(), expected);
    }

    #[test]
    fn a_policy_survives_the_config_document() {
        for strategy in Strategy::ALL {
            for jitter in Jitter::ALL {
                let set = RetryConfig::from(RetryPolicy {
                    strategy,
                    jitter,
                    factor: Thousandths(1_500),
                    ..RetryPolicy::DEFAULT
                });
                let text = serde_json::to_string(&set).unwrap();
                assert_eq!(serde_json::from_str::<RetryConfig>(&text).unwrap(), set);
                assert!(text.contains(strategy.word()) && text.contains(jitter.word()));
            }
        }
    }
}

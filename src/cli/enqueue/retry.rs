//! The retry policy of a task, as options.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::duration;

#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    /// Growth of the delay after failed attempts; any of these options replaces the policy of the queue
    #[arg(long = "retry", value_name = "STRATEGY")]
    strategy: Option<Strategy>,
    /// Delay after the first failure; 1s by default
    #[arg(long = "retry-base", value_name = "DURATION", value_parser = duration::parse)]
    base: Option<Duration>,
    /// Factor by which an exponential delay grows; 2 by default
    #[arg(long = "retry-factor", value_name = "N")]
    factor: Option<f64>,
    /// Longest delay; 5m by default
    #[arg(long = "retry-max", value_name = "DURATION", value_parser = duration::parse)]
    max: Option<Duration>,
    /// Random part of the delay: all of it, half of it, or none; full by default
    #[arg(long = "retry-jitter", value_name = "JITTER")]
    jitter: Option<Jitter>,
    /// Make the task a dead letter at its first failure
    #[arg(long, conflicts_with_all = ["strategy", "base", "factor", "max", "jitter", "max_attempts"])]
    no_retry: bool,
}

#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Strategy {
    Exponential,
    Linear,
    Fixed,
    Immediate,
}

#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Jitter {
    Full,
    Equal,
    None,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Body {
    /// `false`
    Never(bool),
    Policy {
        #[serde(skip_serializing_if = "Option::is_none")]
        strategy: Option<Strategy>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base_seconds: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        factor: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_seconds: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        jitter: Option<Jitter>,
    },
}

impl Retry {
    /// Returns `None` if no option was given.
    pub(super) fn body(&self) -> Option<Body> {
        if self.no_retry {
            return Some(Body::Never(false));
        }
        let given = self.strategy.is_some()
            || self.base.is_some()
            || self.factor.is_some()
            || self.max.is_some()
            || self.jitter.is_some();
        given.then(|| Body::Policy {
            strategy: self.strategy,
            base_seconds: self.base.map(|base| base.as_secs_f64()),
            factor: self.factor,
            max_seconds: self.max.map(|max| max.as_secs_f64()),
            jitter: self.jitter,
        })
    }
}

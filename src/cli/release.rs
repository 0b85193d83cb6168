//! `leaseq release`.

use clap::ValueEnum;
use serde::Serialize;

use super::Done;
use super::ack::SettleArgs;
use super::{duration, input};
use crate::config::Env;

/// Return a leased task to its queue without spending the attempt
#[derive(Debug, clap::Args)]
pub(super) struct Release {
    /// Id of the lease, from the response of the lease request
    #[arg(value_parser = input::lease_id)]
    lease_id: String,
    /// Earliest next lease: a duration, or an HTTP date as in a Retry-After header; by default now
    #[arg(long, value_name = "DURATION|DATE", value_parser = retry_after)]
    retry_after: Option<RetryAfter>,
    /// Other tasks to hold until then
    #[arg(long, value_enum, default_value_t = Hold::None, requires = "retry_after")]
    hold: Hold,
    /// Reason to show with the task
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    settle: SettleArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Hold {
    /// No other task
    None,
    /// All tasks of this name
    Name,
    /// All tasks of this group
    Group,
    /// The whole queue
    Queue,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum RetryAfter {
    Seconds(f64),
    Date(String),
}

fn retry_after(text: &str) -> Result<RetryAfter, String> {
    if httpdate::parse_http_date(text).is_ok() {
        return Ok(RetryAfter::Date(text.to_owned()));
    }
    duration::parse(text)
        .map(|wait| RetryAfter::Seconds(wait.as_secs_f64()))
        .map_err(|problem| format!("{problem}, or an HTTP date"))
}

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<RetryAfter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Release {
    pub(super) async fn run(self, env: &Env) -> Done {
        let body = Body {
            retry_after: self.retry_after,
            hold: (self.hold != Hold::None).then_some(self.hold),
            reason: self.reason,
        };
        self.settle.call(env, &self.lease_id, "release", &body).await
    }
}

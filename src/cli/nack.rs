//! `leaseq nack`.

use std::time::Duration;

use serde::Serialize;

use super::Done;
use super::ack::SettleArgs;
use super::{duration, input};
use crate::config::Env;

/// Report a failed attempt of a leased task
#[derive(Debug, clap::Args)]
pub(super) struct Nack {
    /// Id of the lease, from the response of the lease request
    #[arg(value_parser = input::lease_id)]
    lease_id: String,
    /// Error message: text, @FILE, or - for stdin
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Type of the error, by which failures are grouped
    #[arg(long = "type", value_name = "TYPE", requires = "error")]
    kind: Option<String>,
    /// Do not retry: the task becomes a dead letter
    #[arg(long)]
    no_retry: bool,
    /// Retry after this time instead of the delay of the retry policy
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "no_retry")]
    delay: Option<Duration>,
    #[command(flatten)]
    settle: SettleArgs,
}

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
    retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_seconds: Option<f64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Error {
    Message(String),
    Typed {
        #[serde(rename = "type")]
        kind: String,
        message: String,
    },
}

impl Nack {
    pub(super) async fn run(self, env: &Env) -> Done {
        let error = match self.error {
            None => None,
            Some(argument) => {
                let message = input::text(&argument, "error")?;
                Some(match self.kind {
                    Some(kind) => Error::Typed { kind, message },
                    None => Error::Message(message),
                })
            }
        };
        let body = Body {
            error,
            retry: !self.no_retry,
            delay_seconds: self.delay.map(|delay| delay.as_secs_f64()),
        };
        self.settle.call(env, &self.lease_id, "nack", &body).await
    }
}

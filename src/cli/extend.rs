//! `leaseq extend`.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::Done;
use super::ack::SettleArgs;
use super::{duration, input};
use crate::config::Env;

/// Extend a lease, counted from now
#[derive(Debug, clap::Args)]
pub(super) struct Extend {
    /// Id of the lease, from the response of the lease request
    #[arg(value_parser = input::lease_id)]
    lease_id: String,
    /// New length of the lease from now, 1s to 12h; by default the length it was granted with
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    lease: Option<Duration>,
    /// Progress to show with the task: JSON text, @FILE, or - for stdin
    #[arg(long, value_name = "JSON")]
    progress: Option<String>,
    #[command(flatten)]
    settle: SettleArgs,
}

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Box<RawValue>>,
}

impl Extend {
    pub(super) async fn run(self, env: &Env) -> Done {
        let progress = match &self.progress {
            Some(argument) => Some(input::json(argument, "progress")?),
            None => None,
        };
        let body = Body {
            lease_seconds: self.lease.map(|lease| lease.as_secs_f64()),
            progress,
        };
        self.settle.call(env, &self.lease_id, "extend", &body).await
    }
}

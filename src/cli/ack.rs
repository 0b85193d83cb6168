//! `leaseq ack`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::connect::Connect;
use super::exit::{Exit, Failure};
use super::{Done, client, input, output};
use crate::config::Env;

/// Complete a leased task
#[derive(Debug, clap::Args)]
pub(super) struct Ack {
    /// Id of the lease, from the response of the lease request
    #[arg(value_parser = input::lease_id)]
    lease_id: String,
    /// Result to keep with the task: JSON text, @FILE, or - for stdin
    #[arg(long, value_name = "JSON")]
    result: Option<String>,
    #[command(flatten)]
    settle: SettleArgs,
}

/// The options that ack, nack, extend and release share.
#[derive(Debug, clap::Args)]
pub(super) struct SettleArgs {
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
}

impl Ack {
    pub(super) async fn run(self, env: &Env) -> Done {
        let result = match &self.result {
            Some(argument) => Some(input::json(argument, "result")?),
            None => None,
        };
        self.settle
            .call(env, &self.lease_id, "ack", &Body { result })
            .await
    }
}

/// The response of ack, nack, extend or release. They share most of their fields.
#[derive(Deserialize)]
struct Settled {
    id: String,
    state: Option<String>,
    #[serde(default)]
    late: bool,
    #[serde(default)]
    already: bool,
    attempt: Option<u32>,
    attempts_left: Option<u32>,
    next_attempt_at: Option<String>,
    run_at: Option<String>,
    lease_expires_at: Option<String>,
    #[serde(default)]
    cancel_requested: bool,
}

impl SettleArgs {
    /// Performs `operation` on the lease and prints the response.
    pub(super) async fn call(
        &self,
        env: &Env,
        lease_id: &str,
        operation: &str,
        body: &impl Serialize,
    ) -> Done {
        let api = self.connect.api(env)?;
        let body = serde_json::to_vec(body).map_err(|error| {
            Failure::new(Exit::Error, format!("the request cannot be serialized: {error}"))
        })?;
        let path = format!("/v1/leases/{lease_id}/{operation}");
        let response = api.post(&path, body, Duration::ZERO).await?;
        if self.json {
            output::line(&response)?;
        } else {
            let settled: Settled = client::decode(&response)?;
            output::fields(&settled.fields())?;
        }
        Ok(Exit::Ok)
    }
}

impl Settled {
    fn fields(self) -> Vec<(&'static str, String)> {
        let number = |number: u32| number.to_string();
        let yes = |flag: bool| flag.then(|| "yes".to_owned());
        [
            ("task", Some(self.id)),
            ("state", self.state),
            ("attempt", self.attempt.map(number)),
            ("attempts_left", self.attempts_left.map(number)),
            ("next_attempt_at", self.next_attempt_at),
            ("run_at", self.run_at),
            ("lease_expires_at", self.lease_expires_at),
            ("late", yes(self.late)),
            ("already", yes(self.already)),
            ("cancel_requested", yes(self.cancel_requested)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

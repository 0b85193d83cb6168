//! `leaseq queues pause` and `leaseq queues resume`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::connect::Connect;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Done, client, input, output};
use crate::config::Env;
use crate::domain::QueueName;
use crate::domain::pause::PauseMode;

/// Pause leases, enqueues or both until the queue is resumed
///
/// Leased tasks stay leased and can be settled. Pausing a paused queue replaces its mode, reason and end.
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// lease: no task is leased; enqueue: no new task is accepted; both
    #[arg(long, value_name = "MODE", default_value = PauseMode::Lease.word(), value_parser = mode)]
    mode: PauseMode,
    /// Reason to show with the queue
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Time when the pause ends by itself, such as 2027-01-31T08:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Parses a mode for clap.
fn mode(text: &str) -> Result<PauseMode, String> {
    PauseMode::parse(text).ok_or_else(|| {
        let words = PauseMode::ALL.map(PauseMode::word).join(", ");
        format!("must be one of {words}")
    })
}

#[derive(Serialize)]
struct Body<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<&'a str>,
}

impl Pause {
    pub(super) async fn run(self, env: &Env) -> Done {
        let body = Body {
            mode: self.mode.word(),
            reason: self.reason.as_deref(),
            until: self.until.as_deref(),
        };
        let body = serde_json::to_vec(&body).expect("texts become JSON");
        let path = format!("/v1/queues/{}/pause", self.queue);
        let response = self.connect.api(env)?.post(&path, body, Duration::ZERO).await?;
        shown(&response, self.json)?;
        Ok(Exit::Ok)
    }
}

/// Resume a paused queue
#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Resume {
    pub(super) async fn run(self, env: &Env) -> Done {
        let path = format!("/v1/queues/{}/resume", self.queue);
        let api = self.connect.api(env)?;
        let response = api.post(&path, b"{}".to_vec(), Duration::ZERO).await?;
        shown(&response, self.json)?;
        Ok(Exit::Ok)
    }
}

#[derive(Deserialize)]
struct Response {
    queue: String,
    paused: Option<Paused>,
}

#[derive(Deserialize)]
struct Paused {
    mode: String,
    since: String,
    until: Option<String>,
    reason: Option<String>,
}

/// Prints the pause of a queue, a line for each field.
fn shown(response: &[u8], json: bool) -> Result<(), Failure> {
    if json {
        return output::line(response);
    }
    let Response { queue, paused } = client::decode(response)?;
    let mut fields = vec![("queue", queue)];
    match paused {
        None => fields.push(("paused", "-".to_owned())),
        Some(paused) => {
            fields.extend([("paused", paused.mode), ("since", paused.since)]);
            fields.extend(paused.until.map(|until| ("until", until)));
            fields.extend(paused.reason.map(|reason| ("reason", reason)));
        }
    }
    output::fields(&fields)
}

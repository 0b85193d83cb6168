//! `leaseq dlq replay`.

use std::time::Duration;

use serde::Deserialize;

use super::bulk::{Body, BulkCall, Operation, Options};
use super::which::Which;
use crate::cli::bulk::Confirm;
use crate::cli::connect::Connect;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Done, client, duration, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// Replace dead letters by new tasks
///
/// Replays one dead letter, or all that match and were dead when the command started. You can interrupt it
/// and run it again at any time: no task is lost or doubled.
#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Id of one dead letter; without it, all that match
    #[arg(value_parser = input::task_id, conflicts_with_all = [
        "limit", "rate", "dry_run", "name", "group", "reason", "error_type", "error", "died_after", "died_before",
    ])]
    id: Option<String>,
    /// Attempts of the new task; by default as many as the dead letter had
    #[arg(long, value_name = "N")]
    max_attempts: Option<u16>,
    /// Delay before the task becomes ready
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    delay: Option<Duration>,
    /// Priority from 0 to 1000, higher first; by default that of the dead letter
    #[arg(long, value_name = "N")]
    priority: Option<u16>,
    /// Payload: JSON text, @FILE, or - for stdin; by default that of the dead letter
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// Tasks per second that become ready, to spread them over time
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Maximum number of dead letters to handle
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    confirm: Confirm,
    /// Print the JSON responses unchanged, one line for each call
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Deserialize)]
struct Replayed {
    id: String,
    replayed_from: String,
}

impl Replay {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let payload = match &self.payload {
            Some(argument) => Some(input::json(argument, "payload")?),
            None => None,
        };
        // The API reads null as absent, and an absent payload as the old one.
        if payload.as_ref().is_some_and(|payload| payload.get() == "null") {
            return Err(Failure::usage(
                "the payload cannot be null, which stands for the payload of the dead letter",
            ));
        }
        let options = Options {
            max_attempts: self.max_attempts,
            delay_seconds: self.delay.map(|delay| delay.as_secs_f64()),
            priority: self.priority,
            payload,
        };
        let Some(id) = &self.id else {
            let work = BulkCall {
                api: &api,
                queue: &self.queue,
                operation: Operation::Replay,
                body: Body {
                    filter: self.which.filter(),
                    dry_run: self.confirm.dry_run,
                    rate_per_second: self.rate,
                    replay: options,
                    ..Body::default()
                },
                limit: self.limit,
                confirm: self.confirm,
                json: self.json,
            };
            return work.run().await;
        };
        let path = format!("/v1/queues/{}/dlq/{id}/replay", self.queue);
        let body = serde_json::to_vec(&options).expect("checked JSON and numbers always serialize");
        let response = api.post(&path, body, Duration::ZERO).await?;
        if self.json {
            output::line(&response)?;
        } else {
            let replayed: Replayed = client::decode(&response)?;
            output::fields(&[("task", replayed.id), ("replayed_from", replayed.replayed_from)])?;
        }
        Ok(Exit::Ok)
    }
}

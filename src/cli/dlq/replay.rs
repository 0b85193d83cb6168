//! `leaseq dlq replay`.

use std::time::Duration;

use serde::Deserialize;

use super::bulk::{Body, Deed, Options, Work};
use super::which::Which;
use crate::cli::bulk::Confirm;
use crate::cli::connect::Connect;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Done, client, duration, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// Create new tasks from dead letters, and remove the dead letters
///
/// Replays one dead letter, or all that match and were dead when the command started. You can interrupt and
/// restart it at any time: nothing is lost or doubled.
#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Id of one dead letter; without it, all that match
    #[arg(value_parser = input::task_id, conflicts_with_all = [
        "limit", "rate", "dry_run", "name", "group", "reason", "error_type", "error", "died_after", "died_before",
    ])]
    id: Option<String>,
    /// Attempts of the new task; as many as the dead letter had by default
    #[arg(long, value_name = "N")]
    max_attempts: Option<u16>,
    /// Run the task after this time
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    delay: Option<Duration>,
    /// Priority: 0 to 1000, higher first; that of the dead letter by default
    #[arg(long, value_name = "N")]
    priority: Option<u16>,
    /// Payload as JSON: the text itself, @FILE, or - for stdin; that of the dead letter by default
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// Spread the tasks over time: this many per second
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Maximum number of dead letters
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    confirm: Confirm,
    /// Print the responses of the API as JSON, one call per line
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
        // In JSON, null counts as absent, which here means the old payload.
        if payload.as_ref().is_some_and(|payload| payload.get() == "null") {
            return Err(Failure::usage(
                "the payload null cannot be given: it stands for the dead letter's own",
            ));
        }
        let options = Options {
            max_attempts: self.max_attempts,
            delay_seconds: self.delay.map(|delay| delay.as_secs_f64()),
            priority: self.priority,
            payload,
        };
        let Some(id) = &self.id else {
            let work = Work {
                api: &api,
                queue: &self.queue,
                deed: Deed::Replay,
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
        let answer = api.post(&path, body, Duration::ZERO).await?;
        if self.json {
            output::line(&answer)?;
        } else {
            let replayed: Replayed = client::decode(&answer)?;
            output::fields(&[("task", replayed.id), ("replayed_from", replayed.replayed_from)])?;
        }
        Ok(Exit::Ok)
    }
}

//! `leaseq queues breaker`.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::{Done, duration, input, output};
use crate::config::Env;
use crate::domain::{QueueName, TaskName};

/// Open or close the circuit breaker of a name by hand
///
/// Tasks stay ready, attempts unspent; what is leased goes on, and moves the breaker no more.
#[derive(Debug, clap::Args)]
pub(super) struct Breaker {
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    #[arg(value_parser = input::task_name)]
    name: TaskName,
    #[arg(value_enum)]
    state: State,
    /// How long it is open, at most 365d; until it is closed by hand without
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    period: Option<Duration>,
    /// Print the API's answer as it is
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Nothing of the name is granted
    Open,
    /// Everything goes on, and failures are counted anew
    Closed,
}

#[derive(Serialize)]
struct Body {
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_seconds: Option<f64>,
}

impl Breaker {
    pub(super) async fn run(self, env: &Env) -> Done {
        let body = Body {
            state: self.state,
            for_seconds: self.period.map(|period| period.as_secs_f64()),
        };
        let body = serde_json::to_vec(&body).expect("words and numbers become JSON");
        let path = format!("/v1/queues/{}/names/{}/breaker", self.queue, self.name);
        let api = self.connect.api(env)?;
        let answer = api.post(&path, body, Duration::ZERO).await?;
        output::answer(&answer, self.json)?;
        Ok(Exit::Ok)
    }
}

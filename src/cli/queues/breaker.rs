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
/// Waiting tasks stay ready and spend no attempts. Leased tasks stay leased, and their outcomes no longer
/// move the breaker.
#[derive(Debug, clap::Args)]
pub(super) struct Breaker {
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    #[arg(value_parser = input::task_name)]
    name: TaskName,
    #[arg(value_enum)]
    state: State,
    /// Time until it becomes half-open, at most 365d; without it, it stays open until you close it
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    period: Option<Duration>,
    /// Print the response of the API as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// No task of the name is leased
    Open,
    /// Tasks of the name are leased again, and failures are counted from zero
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

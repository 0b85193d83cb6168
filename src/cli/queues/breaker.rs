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
/// While the breaker is open, tasks of the name stay ready and are not leased. Leased tasks continue; their
/// outcome no longer moves the breaker.
#[derive(Debug, clap::Args)]
pub(super) struct Breaker {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Name of the tasks
    #[arg(value_parser = input::task_name)]
    name: TaskName,
    /// New state of the breaker
    #[arg(value_enum)]
    state: State,
    /// Time for which the breaker is open, at most 365d; by default until you close it
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    period: Option<Duration>,
    /// Print the JSON response unchanged
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
    /// Tasks are leased again, and failures are counted from zero
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
        let response = api.post(&path, body, Duration::ZERO).await?;
        output::response(&response, self.json)?;
        Ok(Exit::Ok)
    }
}

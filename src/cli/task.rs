//! `leaseq task`: shows tasks, and changes waiting ones.

mod cancel;
mod change;
mod list;

use super::Done;
use super::connect::Connect;
use super::exit::Exit;
use super::{input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// List, show and cancel tasks, and change their time or priority
#[derive(Debug, clap::Args)]
pub(super) struct Task {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Get(Get),
    List(list::List),
    Cancel(cancel::Cancel),
    RunNow(change::RunNow),
    Patch(change::Patch),
}

impl Task {
    pub(super) async fn run(self, env: &Env) -> Done {
        match self.verb {
            Verb::Get(verb) => verb.run(env).await,
            Verb::List(verb) => verb.run(env).await,
            Verb::Cancel(verb) => verb.run(env).await,
            Verb::RunNow(verb) => verb.run(env).await,
            Verb::Patch(verb) => verb.run(env).await,
        }
    }
}

/// Show one task with its attempts
#[derive(Debug, clap::Args)]
struct Get {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Id of the task
    #[arg(value_parser = input::task_id)]
    id: String,
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Get {
    async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let response = api.get(&path(&self.queue, &self.id, "")).await?;
        output::response(&response, self.json)?;
        Ok(Exit::Ok)
    }
}

fn path(queue: &QueueName, id: &str, verb: &str) -> String {
    format!("/v1/queues/{queue}/tasks/{id}{verb}")
}

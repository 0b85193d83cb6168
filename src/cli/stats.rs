//! `leaseq stats`.

use serde_json::{Map, Value};

use super::client::Api;
use super::connect::Connect;
use super::exit::Exit;
use super::paging::List;
use super::{Done, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// Show the counts and rates of a queue, or one line per queue
#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    #[arg(value_parser = input::queue)]
    queue: Option<QueueName>,
    /// Print the response of the API as JSON; for all queues, one page per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The columns of the list, as far as the response has them.
const COLUMNS: [&str; 6] = [
    "ready",
    "scheduled",
    "leased",
    "dead",
    "oldest_ready_age_seconds",
    "paused",
];
const HEADER: [&str; 7] = [
    "queue",
    "ready",
    "scheduled",
    "leased",
    "dead",
    "oldest ready (s)",
    "paused",
];

impl Stats {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        if let Some(queue) = &self.queue {
            let answer = api.get(&format!("/v1/queues/{queue}/stats")).await?;
            output::answer(&answer, self.json)?;
            return Ok(Exit::Ok);
        }
        list(&api, self.json).await
    }
}

/// Prints one line per queue.
pub(super) async fn list(api: &Api, json: bool) -> Done {
    let queues = List {
        path: "/v1/queues",
        parameters: &[],
        limit: None,
    };
    queues.print(api, json, &HEADER, row).await?;
    Ok(Exit::Ok)
}

/// Reads a count from the item or from its `stats`.
fn row(item: Map<String, Value>) -> Vec<String> {
    let find = |name: &str| {
        item.get(name)
            .or_else(|| item.get("stats")?.get(name))
            .map_or_else(String::new, output::plain)
    };
    let queue = item.get("queue").or_else(|| item.get("name"));
    std::iter::once(queue.map_or_else(String::new, output::plain))
        .chain(COLUMNS.map(find))
        .collect()
}

//! `leaseq stats`.

use serde_json::{Map, Value};

use super::client::Api;
use super::connect::Connect;
use super::exit::Exit;
use super::paging::List;
use super::{Done, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// Show counts and rates of a queue, or a line for each queue
#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    /// Name of the queue; all queues by default
    #[arg(value_parser = input::queue)]
    queue: Option<QueueName>,
    /// Print the JSON response unchanged; for all queues, one line for each page
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The columns of the list. A field that the service does not return stays empty.
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
            let response = api.get(&format!("/v1/queues/{queue}/stats")).await?;
            output::response(&response, self.json)?;
            return Ok(Exit::Ok);
        }
        list(&api, self.json).await
    }
}

/// Prints a line for each queue.
pub(super) async fn list(api: &Api, json: bool) -> Done {
    let queues = List {
        path: "/v1/queues",
        parameters: &[],
        limit: None,
    };
    queues.print(api, json, &HEADER, row).await?;
    Ok(Exit::Ok)
}

/// Counts may be in the item itself or in its `stats`.
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

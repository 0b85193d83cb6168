//! `leaseq workers`.

use serde_json::{Map, Value};

use super::connect::Connect;
use super::exit::Exit;
use super::paging::List;
use super::{Done, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// List the workers that name themselves in lease requests, with their leases and last request
#[derive(Debug, clap::Args)]
pub(super) struct Workers {
    /// List only workers of this queue
    #[arg(value_parser = input::queue)]
    queue: Option<QueueName>,
    /// Print the JSON responses unchanged, one line for each page
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

const HEADER: [&str; 5] = ["worker", "queue", "leases", "oldest lease", "last call"];

impl Workers {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let queue = self.queue.as_ref().map(QueueName::as_str);
        let workers = List {
            path: "/v1/workers",
            parameters: &[("queue", queue)],
            limit: None,
        };
        workers.print(&api, self.json, &HEADER, row).await?;
        Ok(Exit::Ok)
    }
}

fn row(item: Map<String, Value>) -> Vec<String> {
    let shown = |name: &str| item.get(name).map_or_else(String::new, output::plain);
    let mut leases = shown("leases");
    if item.get("at_least") == Some(&Value::Bool(true)) {
        leases.push('+');
    }
    vec![
        shown("worker"),
        shown("queue"),
        leases,
        shown("oldest_lease_at"),
        shown("last_call_at"),
    ]
}

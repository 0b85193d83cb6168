//! `leaseq workers`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::connect::Connect;
use super::exit::Exit;
use super::{Done, client, input, output, query};
use crate::config::Env;
use crate::domain::QueueName;

/// List workers that name themselves in lease calls, with their leases and last call
#[derive(Debug, clap::Args)]
pub(super) struct Workers {
    /// Only of this queue
    #[arg(value_parser = input::queue)]
    queue: Option<QueueName>,
    /// Print the API's answers as they are, one per page and line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Map<String, Value>>,
    next_cursor: Option<String>,
}

const HEADER: [&str; 5] = ["worker", "queue", "leases", "oldest lease", "last call"];

impl Workers {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let queue = self.queue.as_ref().map(QueueName::as_str);
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let parameters = [
                ("queue", queue),
                ("limit", Some("500")),
                ("cursor", cursor.as_deref()),
            ];
            let answer = api.get(&query::path("/v1/workers", &parameters)).await?;
            let page: Page = client::decode(&answer)?;
            if self.json {
                output::line(&answer)?;
            } else {
                rows.extend(page.items.iter().map(row));
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        if !self.json {
            output::table(&HEADER, rows)?;
        }
        Ok(Exit::Ok)
    }
}

fn row(item: &Map<String, Value>) -> Vec<String> {
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

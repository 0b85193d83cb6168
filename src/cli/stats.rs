//! `leaseq stats`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::connect::Connect;
use super::exit::Exit;
use super::{Done, client, input, output, paging};
use crate::config::Env;
use crate::domain::QueueName;

/// Show a queue's counts and rates, or a line for each queue
#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    #[arg(value_parser = input::queue)]
    queue: Option<QueueName>,
    /// Print the API's answer as it is; of all queues, one answer per page and line
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

/// An object's fields in the order the service tells them: counts first, totals last.
struct Ordered(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Ordered(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Columns of the list, as far as the service tells them.
const COLUMNS: [&str; 5] = ["ready", "scheduled", "leased", "dead", "oldest_ready_age_seconds"];
const HEADER: [&str; 6] = [
    "queue",
    "ready",
    "scheduled",
    "leased",
    "dead",
    "oldest ready (s)",
];

impl Stats {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        if let Some(queue) = &self.queue {
            let answer = api.get(&format!("/v1/queues/{queue}/stats")).await?;
            if self.json {
                output::line(&answer)?;
            } else {
                let Ordered(stats) = client::decode(&answer)?;
                let fields: Vec<(&str, String)> = stats
                    .iter()
                    .map(|(name, value)| (name.as_str(), plain(value)))
                    .collect();
                output::fields(&fields)?;
            }
            return Ok(Exit::Ok);
        }
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let answer = api.get(&format!("/v1/queues?limit=500{cursor}")).await?;
            let page: Page = client::decode(&answer)?;
            if self.json {
                output::line(&answer)?;
            } else {
                rows.extend(page.items.iter().map(row));
            }
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={}", paging::escaped(&next)),
                None => break,
            }
        }
        if !self.json {
            output::table(&HEADER, rows)?;
        }
        Ok(Exit::Ok)
    }
}

/// Counts are in the item itself or in its `stats`.
fn row(item: &Map<String, Value>) -> Vec<String> {
    let find = |name: &str| {
        item.get(name)
            .or_else(|| item.get("stats")?.get(name))
            .map_or_else(String::new, plain)
    };
    let queue = item.get("queue").or_else(|| item.get("name"));
    std::iter::once(queue.map_or_else(String::new, plain))
        .chain(COLUMNS.map(find))
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

//! `leaseq dlq groups`.

use serde::Deserialize;

use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::{Done, client, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// Group dead letters by their error, with a line for each group
#[derive(Debug, clap::Args)]
pub(super) struct Groups {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Deserialize)]
struct Response {
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    fingerprint: String,
    name: Option<String>,
    error_type: Option<String>,
    message: Option<String>,
    count: u64,
    first_at: String,
    last_at: String,
    sample_id: String,
}

const HEADER: [&str; 8] = [
    "count",
    "name",
    "error",
    "message",
    "first",
    "last",
    "fingerprint",
    "sample",
];

impl Groups {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let response = api.get(&format!("/v1/queues/{}/dlq/groups", self.queue)).await?;
        if self.json {
            output::line(&response)?;
        } else {
            let Response { items } = client::decode(&response)?;
            output::table(&HEADER, items.into_iter().map(row).collect())?;
        }
        Ok(Exit::Ok)
    }
}

fn row(group: Group) -> Vec<String> {
    let part = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        group.count.to_string(),
        part(group.name),
        part(group.error_type),
        part(group.message),
        group.first_at,
        group.last_at,
        group.fingerprint,
        group.sample_id,
    ]
}

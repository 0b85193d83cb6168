//! `leaseq dlq show`.

use serde_json::value::RawValue;
use std::collections::BTreeMap;

use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::{Done, client, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// Show one dead letter with its payload and attempts
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Id of the dead letter
    #[arg(value_parser = input::task_id)]
    id: String,
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(serde::Deserialize)]
struct Attempt {
    number: u32,
    ended_at: String,
    outcome: String,
    error: TaskError,
}

#[derive(serde::Deserialize)]
struct TaskError {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    stack: Option<String>,
}

/// The fields to print, in this order. Absent fields are left out.
const FIELDS: [&str; 12] = [
    "id",
    "queue",
    "name",
    "group",
    "reason",
    "died_at",
    "enqueued_at",
    "attempt",
    "max_attempts",
    "priority",
    "replayed_from",
    "payload",
];

impl Show {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let response = api
            .get(&format!("/v1/queues/{}/dlq/{}", self.queue, self.id))
            .await?;
        if self.json {
            output::line(&response)?;
            return Ok(Exit::Ok);
        }
        // Raw values, so that the payload is printed byte for byte.
        let task: BTreeMap<String, Box<RawValue>> = client::decode(&response)?;
        let mut fields: Vec<(&str, String)> = Vec::new();
        for field in FIELDS {
            let Some(value) = task.get(field) else { continue };
            let text = match field {
                "payload" => value.get().to_owned(),
                _ => plain(value),
            };
            fields.push((field, text));
        }
        let attempts = task.get("attempts").map_or("[]", |attempts| attempts.get());
        let attempts: Vec<Attempt> = client::decode(attempts.as_bytes())?;
        for attempt in attempts {
            fields.push(("failed", failure_text(attempt)));
        }
        output::fields(&fields)?;
        Ok(Exit::Ok)
    }
}

fn plain(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

fn failure_text(attempt: Attempt) -> String {
    let Attempt {
        number,
        ended_at,
        outcome,
        error,
    } = attempt;
    let mut text = format!("{number} at {ended_at}, {outcome}: {}", error.kind);
    if !error.message.is_empty() {
        text.push_str(": ");
        text.push_str(&error.message);
    }
    if let Some(stack) = error.stack {
        text.push('\n');
        text.push_str(&stack);
    }
    text
}

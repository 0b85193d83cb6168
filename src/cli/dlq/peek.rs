//! `leaseq dlq peek`.

use serde::Deserialize;

use super::which::Which;
use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::paging::List;
use crate::cli::{Done, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// The longest error message in a table, in characters.
const MESSAGE_CHARS_MAX: usize = 60;

/// List dead letters, newest first
#[derive(Debug, clap::Args)]
pub(super) struct Peek {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Maximum number of dead letters to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print the JSON responses unchanged, one line for each page
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Deserialize)]
struct DeadLetter {
    id: String,
    name: String,
    group: Option<String>,
    reason: String,
    attempt: u32,
    died_at: String,
    last_error: Option<TaskError>,
}

#[derive(Deserialize)]
struct TaskError {
    #[serde(rename = "type")]
    kind: String,
    message: String,
}

const HEADER: [&str; 8] = [
    "died", "id", "name", "group", "reason", "attempts", "error", "message",
];

impl Peek {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let filters = self.which.parameters();
        let letters = List {
            path: &format!("/v1/queues/{}/dlq", self.queue),
            parameters: &filters.each_ref().map(|(name, value)| (*name, value.as_deref())),
            limit: Some(self.limit),
        };
        let more = letters.print(&api, self.json, &HEADER, row).await?;
        if more && !self.json {
            output::note("there are more: raise --limit, or narrow the list with filters");
        }
        Ok(Exit::Ok)
    }
}

fn row(letter: DeadLetter) -> Vec<String> {
    let (kind, message) = letter
        .last_error
        .map_or_else(Default::default, |error| (error.kind, error.message));
    vec![
        letter.died_at,
        letter.id,
        letter.name,
        letter.group.unwrap_or_default(),
        letter.reason,
        letter.attempt.to_string(),
        kind,
        shortened(&message),
    ]
}

fn shortened(message: &str) -> String {
    let mut chars = message.chars();
    let mut text: String = chars.by_ref().take(MESSAGE_CHARS_MAX).collect();
    if chars.next().is_some() {
        text.push('…');
    }
    text
}

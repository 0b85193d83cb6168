//! `leaseq dlq peek`.

use serde::Deserialize;

use super::which::Which;
use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::{Done, client, input, output, query};
use crate::config::Env;
use crate::domain::QueueName;
use crate::domain::limits::PAGE_MAX;

/// Characters of an error message in a table.
const MESSAGE_CHARS_MAX: usize = 60;

/// List dead letters, newest first
#[derive(Debug, clap::Args)]
pub(super) struct Peek {
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print the API's answers as they are, one per page and line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<DeadLetter>,
    next_cursor: Option<String>,
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
        let mut rows = Vec::new();
        let (mut left, mut cursor) = (self.limit, None);
        let path = format!("/v1/queues/{}/dlq", self.queue);
        let filters = self.which.parameters();
        while left > 0 {
            let limit = left.min(PAGE_MAX).to_string();
            let filters = filters.iter().map(|(name, value)| (*name, value.as_deref()));
            let page = [("limit", Some(limit.as_str())), ("cursor", cursor.as_deref())];
            let parameters: Vec<_> = filters.chain(page).collect();
            let answer = api.get(&query::path(&path, &parameters)).await?;
            let page: Page = client::decode(&answer)?;
            left -= page.items.len().min(left);
            if self.json {
                output::line(&answer)?;
            } else {
                rows.extend(page.items.into_iter().map(row));
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        if !self.json {
            output::table(&HEADER, rows)?;
            if cursor.is_some() {
                output::note("there are more: --limit shows them, and filters narrow them down");
            }
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

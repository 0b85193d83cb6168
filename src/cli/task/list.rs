//! `leaseq task list`.

use serde_json::{Map, Value};

use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::{Done, input, output, paging};
use crate::config::Env;
use crate::domain::{QueueName, TaskState};

/// List the tasks in one state
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// State: scheduled, ready, leased, completed, cancelled or dead
    #[arg(long, value_name = "STATE", value_parser = input::state, default_value = "ready")]
    state: TaskState,
    /// Only tasks of this name
    #[arg(long)]
    name: Option<String>,
    /// Only tasks of this group
    #[arg(long)]
    group: Option<String>,
    /// Maximum number of tasks to list; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print the JSON responses unchanged, one line for each page
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

const COLUMNS: [&str; 6] = ["id", "name", "group", "priority", "attempt", "max_attempts"];
const HEADER: [&str; 7] = [
    "id",
    "name",
    "group",
    "priority",
    "attempt",
    "of",
    "since or until",
];
/// The fields for the last column. The first one that the task has is printed.
const TIMES: [&str; 5] = [
    "run_at",
    "lease_expires_at",
    "finished_at",
    "ready_at",
    "enqueued_at",
];

impl List {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let tasks = paging::List {
            path: &format!("/v1/queues/{}/tasks", self.queue),
            parameters: &[
                ("state", Some(self.state.word())),
                ("name", self.name.as_deref()),
                ("group", self.group.as_deref()),
            ],
            limit: (self.limit > 0).then_some(self.limit),
        };
        let more = tasks.print(&api, self.json, &HEADER, row).await?;
        if more && !self.json {
            output::note("there are more: --limit 0 lists all");
        }
        Ok(Exit::Ok)
    }
}

fn row(task: Map<String, Value>) -> Vec<String> {
    let shown = |name: &str| task.get(name).map_or_else(String::new, output::plain);
    let time = TIMES.iter().find(|name| task.contains_key(**name));
    COLUMNS
        .iter()
        .map(|name| shown(name))
        .chain([time.map_or_else(String::new, |name| shown(name))])
        .collect()
}

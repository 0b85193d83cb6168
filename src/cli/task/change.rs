//! `leaseq task patch` and `leaseq task run-now`.

use std::time::Duration;

use serde::Serialize;

use super::cancel::each;
use super::path;
use crate::cli::connect::Connect;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Done, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// Change the priority or due time of a waiting task
#[derive(Debug, clap::Args)]
pub(super) struct Patch {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Id of the task
    #[arg(value_parser = input::task_id)]
    id: String,
    /// New priority from 0 to 1000, higher first; the task keeps its ready_at
    #[arg(long, value_name = "N")]
    priority: Option<u64>,
    /// New time when the task becomes ready, such as 2027-01-31T08:00:00Z; a past time means now
    #[arg(long, value_name = "TIME")]
    run_at: Option<String>,
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<&'a str>,
}

impl Patch {
    pub(super) async fn run(self, env: &Env) -> Done {
        if self.priority.is_none() && self.run_at.is_none() {
            return Err(Failure::usage(
                "name what to change: --priority, --run-at, or both",
            ));
        }
        let api = self.connect.api(env)?;
        let body = Body {
            priority: self.priority,
            run_at: self.run_at.as_deref(),
        };
        let body = serde_json::to_vec(&body).expect("numbers and texts become JSON");
        let response = api.patch(&path(&self.queue, &self.id, ""), body).await?;
        output::response(&response, self.json)?;
        Ok(Exit::Ok)
    }
}

/// Make scheduled tasks ready now
#[derive(Debug, clap::Args)]
pub(super) struct RunNow {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Ids of the tasks
    #[arg(required = true, value_parser = input::task_id)]
    id: Vec<String>,
    /// Print the JSON responses unchanged, one on each line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl RunNow {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let mut responses = Vec::new();
        let failed = each(&self.id, async |id| {
            let path = path(&self.queue, id, "/run-now");
            responses.push(api.post(&path, b"{}".to_vec(), Duration::ZERO).await?);
            Ok(())
        })
        .await?;
        for response in &responses {
            output::response(response, self.json)?;
        }
        Ok(failed.exit(self.id.len()))
    }
}

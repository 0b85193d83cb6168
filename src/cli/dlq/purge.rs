//! `leaseq dlq purge`.

use super::bulk::{Body, BulkCall, Operation};
use super::which::Which;
use crate::cli::bulk::Confirm;
use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::{Done, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// Delete dead letters permanently
///
/// Deletes one dead letter, or all that match and were dead when the command started.
#[derive(Debug, clap::Args)]
pub(super) struct Purge {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Id of one dead letter; without it, all that match
    #[arg(value_parser = input::task_id, conflicts_with_all = [
        "limit", "dry_run", "name", "group", "reason", "error_type", "error", "died_after", "died_before",
    ])]
    id: Option<String>,
    /// Maximum number of dead letters to handle
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    confirm: Confirm,
    /// Print the JSON responses unchanged, one line for each call
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    connect: Connect,
}

impl Purge {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        if let Some(id) = &self.id {
            let response = api.delete(&format!("/v1/queues/{}/dlq/{id}", self.queue)).await?;
            if self.json {
                output::line(&response)?;
            } else {
                output::note("1 purged");
            }
            return Ok(Exit::Ok);
        }
        let filter = self.which.filter();
        let everything = filter.is_none();
        let work = BulkCall {
            api: &api,
            queue: &self.queue,
            operation: Operation::Purge,
            body: Body {
                filter,
                dry_run: self.confirm.dry_run,
                confirm: everything.then_some(self.queue.as_str()),
                ..Body::default()
            },
            limit: self.limit,
            confirm: self.confirm,
            json: self.json,
        };
        work.run().await
    }
}

//! `leaseq task cancel`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::path;
use crate::cli::bulk::{Confirm, Progress};
use crate::cli::client::{self, Api, CallError};
use crate::cli::connect::Connect;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Done, input, output};
use crate::config::Env;
use crate::domain::{QueueName, TaskState};

/// Cancel tasks by id, or all that match a filter
///
/// Waiting tasks are cancelled at once. For a leased task the request is recorded: its worker sees it at the
/// next extend. An ack still completes the task; any other end of the lease cancels it.
#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Ids of the tasks
    #[arg(value_parser = input::task_id, conflicts_with_all = ["state", "name", "group", "all"])]
    id: Vec<String>,
    /// Cancel only tasks in this state: scheduled, ready or leased
    #[arg(long, value_name = "STATE", value_parser = input::state)]
    state: Option<TaskState>,
    /// Only tasks of this name
    #[arg(long)]
    name: Option<String>,
    /// Only tasks of this group
    #[arg(long)]
    group: Option<String>,
    /// Cancel all unfinished tasks
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    confirm: Confirm,
    /// Print the JSON responses unchanged, one on each line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Serialize)]
struct Filter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<TaskState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
}

#[derive(Serialize)]
struct Body<'a> {
    filter: Filter<'a>,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    matched: u64,
    cancelled: u64,
    cancel_requested: u64,
    next_cursor: Option<String>,
}

#[derive(Default)]
struct Sum {
    matched: u64,
    cancelled: u64,
    cancel_requested: u64,
}

impl Cancel {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        if !self.id.is_empty() {
            return self.by_id(&api).await;
        }
        if !self.all && self.state.is_none() && self.name.is_none() && self.group.is_none() {
            return Err(Failure::usage(
                "name the tasks: with ids, --state, --name, --group, or --all",
            ));
        }
        let counted = self.pages(&api, true, None).await?;
        if self.confirm.dry_run {
            if !self.json {
                output::fields(&[("matched", counted.matched.to_string())])?;
            }
            return Ok(Exit::Ok);
        }
        if counted.matched > 0 {
            self.confirm
                .ask(&format!("Cancel {} tasks of {}?", counted.matched, self.queue))?;
        }
        let progress = Progress::of("cancelling", Some(counted.matched));
        let sum = self.pages(&api, false, Some(&progress)).await?;
        drop(progress);
        if !self.json {
            output::fields(&[
                ("cancelled", sum.cancelled.to_string()),
                ("cancel_requested", sum.cancel_requested.to_string()),
            ])?;
        }
        Ok(Exit::Ok)
    }

    async fn by_id(&self, api: &Api) -> Done {
        if self.confirm.dry_run {
            return Err(Failure::usage(
                "--dry-run counts the tasks that match a filter; it cannot be used with ids",
            ));
        }
        let mut rows = Vec::new();
        let failed = each(&self.id, async |id| {
            let response = api
                .post(&path(&self.queue, id, "/cancel"), b"{}".to_vec(), Duration::ZERO)
                .await?;
            rows.push(response);
            Ok(())
        })
        .await?;
        for response in &rows {
            output::response(response, self.json)?;
        }
        Ok(failed.exit(self.id.len()))
    }

    /// Sends requests until the last page, as a dry run or for real.
    async fn pages(&self, api: &Api, dry_run: bool, progress: Option<&Progress>) -> Result<Sum, Failure> {
        let path = format!("/v1/queues/{}/tasks/cancel", self.queue);
        let (mut sum, mut cursor) = (Sum::default(), None);
        loop {
            let filter = Filter {
                state: self.state,
                name: self.name.as_deref(),
                group: self.group.as_deref(),
            };
            let body = Body {
                filter,
                dry_run,
                cursor,
            };
            let body = serde_json::to_vec(&body).expect("texts become JSON");
            let response = api.post(&path, body, Duration::ZERO).await?;
            if self.json && dry_run == self.confirm.dry_run {
                output::line(&response)?;
            }
            let page: Response = client::decode(&response)?;
            sum.matched += page.matched;
            sum.cancelled += page.cancelled;
            sum.cancel_requested += page.cancel_requested;
            if let Some(progress) = progress {
                progress.at(sum.matched);
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(sum);
            }
        }
    }
}

/// How many of several requests failed, and the exit code of the last failure.
#[derive(Default)]
pub(super) struct Failed {
    count: usize,
    exit: Option<Exit>,
}

impl Failed {
    /// Returns the code of the failure if all requests failed, else the code for partial success.
    pub(super) fn exit(self, calls: usize) -> Exit {
        match self.exit {
            None => Exit::Ok,
            Some(exit) if self.count == calls => exit,
            Some(_) => Exit::Partial,
        }
    }
}

/// Sends a request for each id. A task that is missing or in another state fails alone; any other error ends
/// the loop.
///
/// # Errors
/// The error that ended the loop.
pub(super) async fn each(
    ids: &[String],
    mut call: impl AsyncFnMut(&str) -> Result<(), CallError>,
) -> Result<Failed, Failure> {
    let mut failed = Failed::default();
    for id in ids {
        match call(id).await {
            Ok(()) => {}
            Err(CallError::Problem(problem)) if matches!(problem.status, 404 | 409) => {
                output::note(&format!("leaseq: {id}: {problem}"));
                failed.count += 1;
                failed.exit = Some(Exit::of_status(problem.status));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(failed)
}

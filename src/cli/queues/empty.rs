//! `leaseq queues purge` and `leaseq queues delete`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::bulk::{Confirm, Progress};
use crate::cli::client::{self, Api};
use crate::cli::connect::Connect;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Done, input, output, query};
use crate::config::Env;
use crate::domain::{QueueName, TaskState};

/// Delete the tasks of one state, or of every state, permanently
///
/// Leased tasks are cancelled instead; their workers may still finish them.
#[derive(Debug, clap::Args)]
pub(super) struct Purge {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// State: scheduled, ready, leased, completed, cancelled or dead; every state by default
    #[arg(long, value_name = "STATE", value_parser = input::state)]
    state: Option<TaskState>,
    #[command(flatten)]
    confirm: Confirm,
    /// Print the JSON responses unchanged, one on each line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The counts from the stats of a queue.
#[derive(Deserialize)]
struct Counts {
    scheduled: u64,
    ready: u64,
    leased: u64,
    dead: u64,
}

impl Counts {
    async fn of(api: &Api, queue: &QueueName) -> Result<Self, Failure> {
        client::decode(&api.get(&format!("/v1/queues/{queue}/stats")).await?)
    }

    /// Returns the number of tasks in `state`. The stats do not count finished tasks.
    fn number(&self, state: Option<TaskState>) -> u64 {
        match state {
            None => self.scheduled + self.ready + self.leased + self.dead,
            Some(TaskState::Scheduled) => self.scheduled,
            Some(TaskState::Ready) => self.ready,
            Some(TaskState::Leased) => self.leased,
            Some(TaskState::Dead) => self.dead,
            Some(TaskState::Completed | TaskState::Cancelled) => 0,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<TaskState>,
    confirm: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    purged: u64,
    cancel_requested: u64,
    next_cursor: Option<String>,
}

impl Purge {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let counted = Counts::of(&api, &self.queue).await?.number(self.state);
        let what = match self.state {
            Some(state @ (TaskState::Completed | TaskState::Cancelled)) => {
                format!("all {} tasks", state.word())
            }
            Some(state) => format!("{counted} {} tasks", state.word()),
            None => format!("{counted} tasks and all finished ones"),
        };
        if self.confirm.dry_run {
            output::line(format!("would purge {what} of {}", self.queue).as_bytes())?;
            return Ok(Exit::Ok);
        }
        self.confirm.ask(&format!("Purge {what} of {}?", self.queue))?;
        let progress = Progress::of("purging", Some(counted));
        let (mut purged, mut cancel_requested, mut cursor) = (0, 0, None);
        loop {
            let body = Body {
                state: self.state,
                confirm: self.queue.as_str(),
                cursor,
            };
            let body = serde_json::to_vec(&body).expect("texts become JSON");
            let response = api
                .post(&format!("/v1/queues/{}/purge", self.queue), body, Duration::ZERO)
                .await?;
            if self.json {
                output::line(&response)?;
            }
            let page: Response = client::decode(&response)?;
            purged += page.purged;
            cancel_requested += page.cancel_requested;
            progress.at(purged + cancel_requested);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        drop(progress);
        if !self.json {
            output::fields(&[
                ("purged", purged.to_string()),
                ("cancel_requested", cancel_requested.to_string()),
            ])?;
        }
        Ok(Exit::Ok)
    }
}

/// Delete a queue with its settings and all its tasks
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    #[command(flatten)]
    confirm: Confirm,
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Delete {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let tasks = Counts::of(&api, &self.queue).await?.number(None);
        if self.confirm.dry_run {
            output::line(format!("would delete {} with {tasks} tasks", self.queue).as_bytes())?;
            return Ok(Exit::Ok);
        }
        self.confirm.ask(&format!(
            "Delete {} with its settings and {tasks} tasks?",
            self.queue
        ))?;
        let path = query::path(
            &format!("/v1/queues/{}", self.queue),
            &[("confirm", Some(self.queue.as_str()))],
        );
        let response = api.delete(&path).await?;
        output::response(&response, self.json)?;
        Ok(Exit::Ok)
    }
}

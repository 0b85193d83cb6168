//! `leaseq lease`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::connect::Connect;
use super::exit::Exit;
use super::{Done, client, duration, input, output};
use crate::config::Env;
use crate::domain::QueueName;

/// Lease tasks, and wait for one if the queue is empty
///
/// Several queues are tried in the order given. Pass the lease_id of the response to ack, nack, extend or
/// release. `leaseq work` does all of this for your program.
#[derive(Debug, clap::Args)]
pub(super) struct Lease {
    /// Queues to lease from; several are tried in this order
    #[arg(required = true, value_name = "QUEUE", value_parser = input::queue)]
    queues: Vec<QueueName>,
    /// Maximum number of tasks to lease
    #[arg(long, value_name = "N", default_value_t = 1)]
    max: u32,
    /// Longest wait for a task, at most 60s
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration::parse)]
    wait: Duration,
    /// Length of the lease, 1s to 12h; by default the setting of the task or queue
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    lease: Option<Duration>,
    /// Lease only tasks of this name; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Name of the worker, for the list of workers
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// Exit with 3 if no task was leased
    #[arg(long)]
    exit_empty: bool,
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The body of a lease request.
#[derive(Debug, Serialize)]
pub(super) struct LeaseCall<'a> {
    /// Set for several queues only; a single queue is in the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queues: Option<&'a [QueueName]>,
    pub(super) max_tasks: u32,
    pub(super) wait_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lease_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) worker: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) names: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<&'a str>,
}

impl LeaseCall<'_> {
    /// Returns path and body for `queues`.
    pub(super) fn request(self, queues: &[QueueName]) -> (String, Vec<u8>) {
        let (path, queues) = match queues {
            [one] => (format!("/v1/queues/{one}/lease"), None),
            many => ("/v1/lease".to_owned(), Some(many)),
        };
        let body = LeaseCall { queues, ..self };
        let body = serde_json::to_vec(&body).expect("strings and numbers always serialize");
        (path, body)
    }
}

#[derive(Deserialize)]
struct Leased {
    tasks: Vec<Shown>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Shown {
    id: String,
    queue: String,
    name: String,
    group: Option<String>,
    attempt: u32,
    max_attempts: u32,
    lease_expires_at: String,
    lease_id: String,
    payload: Box<RawValue>,
}

impl Lease {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let call = LeaseCall {
            queues: None,
            max_tasks: self.max,
            wait_seconds: self.wait.as_secs_f64(),
            lease_seconds: self.lease.map(|lease| lease.as_secs_f64()),
            worker: self.worker.as_deref(),
            names: &self.names,
            request_id: None,
        };
        let (path, body) = call.request(&self.queues);
        let response = api.post(&path, body, self.wait).await?;
        let leased: Leased = client::decode(&response)?;
        let empty = leased.tasks.is_empty();
        if self.json {
            output::line(&response)?;
        } else if empty {
            output::note(&format!(
                "nothing to lease: {}",
                leased.reason.as_deref().unwrap_or("empty")
            ));
        } else {
            show(leased.tasks)?;
        }
        Ok(if empty && self.exit_empty {
            Exit::Empty
        } else {
            Exit::Ok
        })
    }
}

fn show(tasks: Vec<Shown>) -> Result<(), super::exit::Failure> {
    // A line for each field, because a lease_id alone fills the width of a terminal.
    for task in tasks {
        let mut fields = vec![
            ("task", task.id),
            ("queue", task.queue),
            ("name", task.name),
            ("attempt", format!("{} of {}", task.attempt, task.max_attempts)),
            ("expires", task.lease_expires_at),
            ("payload", task.payload.get().to_owned()),
            ("lease_id", task.lease_id),
        ];
        if let Some(group) = task.group {
            fields.insert(3, ("group", group));
        }
        output::fields(&fields)?;
    }
    Ok(())
}

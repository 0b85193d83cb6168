//! `leaseq enqueue`.

mod retry;
mod stream;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::connect::Connect;
use super::exit::Exit;
use super::{Done, client, duration, input, output};
use crate::config::Env;
use crate::domain::{Millis, QueueName};

/// Enqueue one task, or many from NDJSON
#[derive(Debug, clap::Args)]
pub(super) struct Enqueue {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Payload: JSON text, @FILE, or - for stdin; null by default. With --ndjson: @FILE, or - (default)
    payload: Option<String>,
    /// Name of the task, which selects its handler; "default" by default
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Priority from 0 to 1000, higher first; 10 by default
    #[arg(long, value_name = "N")]
    priority: Option<u16>,
    /// Delay before the task becomes ready
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "run_at")]
    delay: Option<Duration>,
    /// Time when the task becomes ready, such as 2027-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = Millis::parse)]
    run_at: Option<Millis>,
    /// Group that shares the queue fairly with others, such as a tenant or customer
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Attempts before the task becomes a dead letter; by default the setting of the queue
    #[arg(long, value_name = "N")]
    max_attempts: Option<u16>,
    /// Length of a worker's lease; by default the setting of the queue
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    lease: Option<Duration>,
    /// Unique key: create the task only if no other task of the queue has the key
    #[arg(long, value_name = "KEY")]
    unique_key: Option<String>,
    /// Time for which the task keeps its key, with --unique-scope ttl; 1h by default
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "unique_key")]
    unique_ttl: Option<Duration>,
    /// When the task gives up its key: "ttl" (default), "until_leased" or "until_finished"
    #[arg(long, value_name = "SCOPE", value_parser = ["ttl", "until_leased", "until_finished"],
        hide_possible_values = true, requires = "unique_key")]
    unique_scope: Option<String>,
    /// If another task has the key: "return" that task (default), "reject" this one, or "replace" its payload
    /// and options
    #[arg(long, value_name = "WHAT", value_parser = ["return", "reject", "replace"],
        hide_possible_values = true, requires = "unique_key")]
    on_duplicate: Option<String>,
    /// Key that makes the request safe to repeat: no task is created twice. With --ndjson, each batch appends
    /// its number
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    retry: retry::Retry,
    /// Time after which a task that still waits becomes a dead letter
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "expires_at")]
    expires_in: Option<Duration>,
    /// Time at which a task that still waits becomes a dead letter, such as 2027-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = Millis::parse)]
    expires_at: Option<Millis>,
    /// Header of the task; may be repeated
    #[arg(long = "header", value_name = "KEY=VALUE", value_parser = input::header)]
    headers: Vec<(String, String)>,
    /// Read one task object per line, with the fields of the API, and enqueue them in batches
    #[arg(long, conflicts_with_all = [
        "name", "priority", "delay", "run_at", "group", "max_attempts", "lease", "Retry", "expires_in", "expires_at",
        "unique_key", "headers",
    ])]
    ndjson: bool,
    /// Print the JSON response unchanged; with --ndjson, one line for each batch
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<retry::Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique: Option<Unique<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct Unique<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_duplicate: Option<&'a str>,
}

#[derive(Deserialize)]
struct Enqueued {
    id: String,
    queue: String,
    state: String,
    run_at: Option<String>,
    #[serde(default)]
    duplicate: bool,
    #[serde(default)]
    replaced: bool,
    result: Option<Box<RawValue>>,
}

impl Enqueue {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        if self.ndjson {
            let from = self.payload.as_deref().unwrap_or("-");
            let key = self.idempotency_key.as_deref();
            return stream::run(&api, &self.queue, from, key, self.json).await;
        }
        let api = match &self.idempotency_key {
            Some(key) => api.repeatable(key)?,
            None => api,
        };
        let payload = match &self.payload {
            Some(argument) => Some(input::json(argument, "payload")?),
            None => None,
        };
        let body = Body {
            name: self.name.as_deref(),
            payload,
            priority: self.priority,
            group: self.group.as_deref(),
            delay_seconds: self.delay.map(|delay| delay.as_secs_f64()),
            run_at: self.run_at,
            max_attempts: self.max_attempts,
            lease_seconds: self.lease.map(|lease| lease.as_secs_f64()),
            retry: self.retry.body(),
            expires_in_seconds: self.expires_in.map(|after| after.as_secs_f64()),
            expires_at: self.expires_at,
            unique: self.unique_key.as_deref().map(|key| Unique {
                key,
                ttl_seconds: self.unique_ttl.map(|ttl| ttl.as_secs_f64()),
                scope: self.unique_scope.as_deref(),
                on_duplicate: self.on_duplicate.as_deref(),
            }),
            headers: self
                .headers
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
        };
        let body = serde_json::to_vec(&body).expect("checked JSON, strings and numbers always serialize");
        let path = format!("/v1/queues/{}/tasks", self.queue);
        let response = api.post(&path, body, Duration::ZERO).await?;
        if self.json {
            output::line(&response)?;
        } else {
            show(client::decode(&response)?)?;
        }
        Ok(Exit::Ok)
    }
}

fn show(task: Enqueued) -> Result<(), super::exit::Failure> {
    let mut fields = vec![("task", task.id), ("queue", task.queue), ("state", task.state)];
    if let Some(run_at) = task.run_at {
        fields.push(("run_at", run_at));
    }
    if task.duplicate {
        fields.push(("duplicate", if task.replaced { "replaced" } else { "yes" }.into()));
    }
    if let Some(result) = task.result {
        fields.push(("result", result.get().to_owned()));
    }
    output::fields(&fields)
}

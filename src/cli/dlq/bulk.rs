//! Replay and purge of many dead letters: one request after the other, by cursor.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::which::Filter;
use crate::cli::bulk::{Confirm, Progress};
use crate::cli::client::{self, Api, CallError};
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Done, output};
use crate::domain::QueueName;
use crate::domain::limits::BULK_TASKS_MAX;

/// How often a request is sent if it gets no usable response.
const TRIES_MAX: u32 = 8;

/// The operation on the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Replay,
    Purge,
}

impl Operation {
    const fn verb(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Purge => "purge",
        }
    }

    const fn doing(self) -> &'static str {
        match self {
            Self::Replay => "replaying",
            Self::Purge => "purging",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Replay => "replayed",
            Self::Purge => "purged",
        }
    }
}

/// A bulk operation with all its options.
pub(super) struct BulkCall<'a> {
    pub(super) api: &'a Api,
    pub(super) queue: &'a QueueName,
    pub(super) operation: Operation,
    /// The body without cursor and limit.
    pub(super) body: Body<'a>,
    /// The limit over all requests.
    pub(super) limit: Option<u64>,
    pub(super) confirm: Confirm,
    pub(super) json: bool,
}

/// The body of one request.
#[derive(Serialize, Default)]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<Filter<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confirm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate_per_second: Option<f64>,
    #[serde(flatten)]
    pub(super) replay: Options,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<String>,
}

/// The options of a replayed task.
#[derive(Serialize, Default)]
pub(super) struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_attempts: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delay_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload: Option<Box<RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Response {
    matched: u64,
    #[serde(alias = "purged")]
    replayed: u64,
    skipped: u64,
    next_cursor: Option<String>,
}

#[derive(Default)]
struct Totals {
    matched: u64,
    done: u64,
    skipped: u64,
    /// A request was repeated although its first response never came, so the counts may be too low.
    at_least: bool,
}

impl BulkCall<'_> {
    pub(super) async fn run(mut self) -> Done {
        if self.confirm.dry_run {
            let matched = self.walk(true, Progress::of("counting", None)).await?.matched;
            output::note(&format!("{matched} would be {}", self.operation.done()));
            return Ok(Exit::Ok);
        }
        let mut counted = None;
        if self.confirm.asks() {
            self.body.dry_run = true;
            let count = self.walk(false, Progress::of("counting", None)).await?.matched;
            self.body.dry_run = false;
            if count == 0 {
                output::note(&format!("nothing was {}", self.operation.done()));
                return Ok(Exit::Ok);
            }
            let verb = match self.operation {
                Operation::Replay => "Replay",
                Operation::Purge => "Purge",
            };
            let letters = if count == 1 { "dead letter" } else { "dead letters" };
            let question = format!("{verb} {count} {letters} of {}?", self.queue);
            self.confirm.ask(&question)?;
            counted = Some(count);
        }
        let progress = Progress::of(self.operation.doing(), counted);
        let totals = self.walk(true, progress).await?;
        output::note(&self.summary(&totals));
        // A dead letter that another caller removed counts as skipped. A purge has reached its aim all the
        // same.
        let partly = self.operation == Operation::Replay && totals.skipped > 0;
        Ok(if partly { Exit::Partial } else { Exit::Ok })
    }

    /// Sends requests until no dead letter is left or the limit is reached.
    async fn walk(&mut self, print: bool, progress: Progress) -> Result<Totals, Failure> {
        let mut totals = Totals::default();
        let outcome = tokio::select! {
            outcome = self.calls(print, &mut totals, &progress) => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        };
        drop(progress);
        match outcome {
            Ok(()) => Ok(totals),
            Err(failure) if totals.done > 0 => {
                output::note(&self.summary(&totals));
                Err(failure.hint("the same command again: it continues with the rest"))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn calls(&mut self, print: bool, totals: &mut Totals, progress: &Progress) -> Result<(), Failure> {
        self.body.cursor = None;
        loop {
            let left = self.limit.map(|limit| limit.saturating_sub(totals.matched));
            self.body.limit = left.map(|left| left.min(BULK_TASKS_MAX as u64));
            if left == Some(0) {
                return Ok(());
            }
            let text = self.call(totals).await?;
            if print && self.json {
                output::line(&text)?;
            }
            let response: Response = client::decode(&text)?;
            totals.matched += response.matched;
            totals.done += response.replayed;
            totals.skipped += response.skipped;
            progress.at(totals.matched);
            self.body.cursor = response.next_cursor;
            if self.body.cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Sends one request and repeats it while the service is away. A repeat is safe, because it no longer
    /// finds the dead letters that the first one handled. With a limit it is not: the repeat would handle up
    /// to that many again.
    async fn call(&self, totals: &mut Totals) -> Result<bytes::Bytes, Failure> {
        let path = format!("/v1/queues/{}/dlq/{}", self.queue, self.operation.verb());
        let body = serde_json::to_vec(&self.body).expect("strings and numbers always serialize");
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.api.post(&path, body.clone(), Duration::ZERO).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let unknown = match &error {
                CallError::Unreachable(_) => false,
                CallError::NoResponse(_) => true,
                CallError::Problem(problem) => match problem.status {
                    429 | 503 => false,
                    504 => true,
                    _ => return Err(error.into()),
                },
            };
            if tries == TRIES_MAX || (unknown && self.limit.is_some()) {
                return Err(error.into());
            }
            totals.at_least |= unknown && !self.body.dry_run;
            let backoff = Duration::from_millis(200) * 2u32.pow(tries);
            tokio::time::sleep(error.retry_after().unwrap_or(backoff)).await;
        }
    }

    fn summary(&self, totals: &Totals) -> String {
        let least = if totals.at_least { "at least " } else { "" };
        let mut text = format!("{least}{} {}", totals.done, self.operation.done());
        if totals.skipped > 0 {
            text.push_str(&format!(", {} skipped", totals.skipped));
        }
        text
    }
}

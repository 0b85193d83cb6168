//! Bulk work on dead letters: repeats calls with cursors until the end.

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

/// Tries of a call without a usable response.
const TRIES_MAX: u32 = 8;

/// The work on the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Replay,
    Purge,
}

impl Deed {
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

/// The options of the work.
pub(super) struct Work<'a> {
    pub(super) api: &'a Api,
    pub(super) queue: &'a QueueName,
    pub(super) deed: Deed,
    /// The body without cursor and limit.
    pub(super) body: Body<'a>,
    /// The limit of all calls together.
    pub(super) limit: Option<u64>,
    pub(super) confirm: Confirm,
    pub(super) json: bool,
}

/// Returns the body of one call.
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
struct Answer {
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
    /// A call was repeated after a lost response.
    at_least: bool,
}

impl Work<'_> {
    pub(super) async fn run(mut self) -> Done {
        if self.confirm.dry_run {
            let matched = self.walk(true, Progress::of("counting", None)).await?.matched;
            output::note(&format!("{matched} would be {}", self.deed.done()));
            return Ok(Exit::Ok);
        }
        let mut counted = None;
        if self.confirm.asks() {
            self.body.dry_run = true;
            let count = self.walk(false, Progress::of("counting", None)).await?.matched;
            self.body.dry_run = false;
            if count == 0 {
                output::note(&format!("nothing was {}", self.deed.done()));
                return Ok(Exit::Ok);
            }
            let verb = match self.deed {
                Deed::Replay => "Replay",
                Deed::Purge => "Purge",
            };
            let letters = if count == 1 { "dead letter" } else { "dead letters" };
            let question = format!("{verb} {count} {letters} of {}?", self.queue);
            self.confirm.ask(&question)?;
            counted = Some(count);
        }
        let progress = Progress::of(self.deed.doing(), counted);
        let totals = self.walk(true, progress).await?;
        output::note(&self.told(&totals));
        // For a purge it does not matter which call deleted a dead letter.
        let partly = self.deed == Deed::Replay && totals.skipped > 0;
        Ok(if partly { Exit::Partial } else { Exit::Ok })
    }

    /// Repeats calls until the end or the limit.
    async fn walk(&mut self, tell: bool, progress: Progress) -> Result<Totals, Failure> {
        let mut totals = Totals::default();
        let outcome = tokio::select! {
            outcome = self.calls(tell, &mut totals, &progress) => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        };
        drop(progress);
        match outcome {
            Ok(()) => Ok(totals),
            Err(failure) if totals.done > 0 => {
                output::note(&self.told(&totals));
                Err(failure.hint("the same again: it goes on with those that are left"))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn calls(&mut self, tell: bool, totals: &mut Totals, progress: &Progress) -> Result<(), Failure> {
        self.body.cursor = None;
        loop {
            let left = self.limit.map(|limit| limit.saturating_sub(totals.matched));
            self.body.limit = left.map(|left| left.min(BULK_TASKS_MAX as u64));
            if left == Some(0) {
                return Ok(());
            }
            let text = self.call(totals).await?;
            if tell && self.json {
                output::line(&text)?;
            }
            let answer: Answer = client::decode(&text)?;
            totals.matched += answer.matched;
            totals.done += answer.replayed;
            totals.skipped += answer.skipped;
            progress.at(totals.matched);
            self.body.cursor = answer.next_cursor;
            if self.body.cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Sends one call, and repeats it while the service is away. A second try does not find what the first
    /// one handled, but a limit might count twice.
    async fn call(&self, totals: &mut Totals) -> Result<bytes::Bytes, Failure> {
        let path = format!("/v1/queues/{}/dlq/{}", self.queue, self.deed.verb());
        let body = serde_json::to_vec(&self.body).expect("strings and numbers always serialize");
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.api.post(&path, body.clone(), Duration::ZERO).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let unknown = match &error {
                CallError::Unreachable(_) => false,
                CallError::NoAnswer(_) => true,
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

    fn told(&self, totals: &Totals) -> String {
        let least = if totals.at_least { "at least " } else { "" };
        let mut text = format!("{least}{} {}", totals.done, self.deed.done());
        if totals.skipped > 0 {
            text.push_str(&format!(", {} skipped", totals.skipped));
        }
        text
    }
}

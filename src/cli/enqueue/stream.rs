//! Enqueues many tasks from NDJSON in batches, in order and in bounded memory.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::Deserialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use super::super::client::{self, Api, CallError, Problem};
use super::super::exit::{Exit, Failure};
use super::super::input::Input;
use super::super::{Done, output};
use crate::domain::QueueName;
use crate::domain::limits::{BATCH_ITEMS_MAX, PAYLOAD_BYTES_MAX};

/// Bytes at which a batch is sent. With one more line it stays below the 10 MiB of the API.
const BATCH_BYTES: usize = 4 << 20;
/// Bytes of a payload and the options around it.
const LINE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + (64 << 10);
/// Refused lines that are reported one by one. The rest is counted.
const REFUSALS_TOLD: u64 = 20;
/// Tries of a batch that was not accepted.
const TRIES_MAX: u32 = 8;

#[derive(Deserialize)]
struct Answer {
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    #[serde(default)]
    results: Vec<ItemAnswer>,
}

#[derive(Deserialize)]
struct ItemAnswer {
    index: usize,
    error: Option<Problem>,
}

/// The lines of one batch.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// The input line of each item.
    lines: Vec<u64>,
}

/// The target of batches, and their `Idempotency-Key`s.
struct To<'a> {
    api: &'a Api,
    queue: &'a QueueName,
    idempotency_key: Option<&'a str>,
    /// The number of started batches. The same input is always cut into the same batches.
    batches: u64,
}

#[derive(Default)]
struct Totals {
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    /// The last input line with a known outcome.
    through_line: u64,
}

pub(super) async fn run(
    api: &Api,
    queue: &QueueName,
    from: &str,
    idempotency_key: Option<&str>,
    json: bool,
) -> Done {
    let to = To {
        api,
        queue,
        idempotency_key,
        batches: 0,
    };
    let mut totals = Totals::default();
    let bar = ProgressBar::new_spinner().with_style(
        ProgressStyle::with_template("{spinner} {human_pos} tasks, {rate}, {elapsed}")
            .expect("the template is a constant, tried by every stream")
            .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.0}/s", state.per_sec());
            }),
    );
    let outcome = tokio::select! {
        outcome = stream(to, from, json, &mut totals, &bar) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
    };
    bar.finish_and_clear();
    let Totals {
        accepted,
        duplicates,
        rejected,
        through_line,
    } = totals;
    output::note(&format!(
        "{accepted} accepted, {duplicates} duplicates, {rejected} rejected"
    ));
    match outcome {
        Ok(()) if rejected > 0 => Ok(Exit::Partial),
        Ok(()) => Ok(Exit::Ok),
        Err(failure) if through_line > 0 => Err(failure.hint(format!(
            "the lines after {through_line}: those up to it are settled, the batch after it may be"
        ))),
        Err(failure) => Err(failure),
    }
}

async fn stream(
    mut to: To<'_>,
    from: &str,
    json: bool,
    totals: &mut Totals,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| Failure::usage(format!("{from} cannot be read: {error}"));
    let mut input: Box<dyn AsyncBufRead + Unpin> = match Input::of(from) {
        Input::Stdin => Box::new(BufReader::new(tokio::io::stdin())),
        Input::File(path) => Box::new(BufReader::new(
            tokio::fs::File::open(path).await.map_err(unreadable)?,
        )),
        Input::Text(_) => {
            return Err(Failure::usage(
                "with --ndjson the tasks come from @FILE or from stdin",
            ));
        }
    };
    let mut batch = Batch::default();
    let mut number = 0;
    loop {
        let start = batch.bytes.len();
        let more = read_line(&mut input, &mut batch.bytes)
            .await
            .map_err(|error| Failure::usage(format!("line {} of {from}: {error}", number + 1)))?;
        if more {
            number += 1;
            if batch.bytes[start..].trim_ascii().is_empty() {
                batch.bytes.truncate(start);
            } else {
                if !batch.bytes.ends_with(b"\n") {
                    batch.bytes.push(b'\n');
                }
                batch.lines.push(number);
            }
        }
        let full = batch.lines.len() == BATCH_ITEMS_MAX || batch.bytes.len() >= BATCH_BYTES;
        if full || (!more && !batch.lines.is_empty()) {
            to.batches += 1;
            send(&to, &batch, json, totals).await?;
            bar.set_position(totals.accepted + totals.duplicates + totals.rejected);
            batch = Batch::default();
        }
        if !more {
            return Ok(());
        }
    }
}

/// Appends the next line; `false` at the end. A line that is longer than any task is an error, so that a file
/// without newlines is not read into memory.
async fn read_line(input: &mut (dyn AsyncBufRead + Unpin), line: &mut Vec<u8>) -> std::io::Result<bool> {
    let start = line.len();
    loop {
        let available = input.fill_buf().await?;
        if available.is_empty() {
            return Ok(line.len() > start);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(available.len(), |at| at + 1);
        line.extend_from_slice(&available[..taken]);
        input.consume(taken);
        if line.len() - start > LINE_BYTES_MAX {
            return Err(std::io::Error::other(format!(
                "is longer than {LINE_BYTES_MAX} bytes"
            )));
        }
        if end.is_some() {
            return Ok(true);
        }
    }
}

async fn send(to: &To<'_>, batch: &Batch, json: bool, totals: &mut Totals) -> Result<(), Failure> {
    let path = format!("/v1/queues/{}/tasks/batch", to.queue);
    let named = to
        .idempotency_key
        .map(|key| to.api.repeatable(&format!("{key}/{}", to.batches)))
        .transpose()?;
    let api = named.as_ref().unwrap_or(to.api);
    let body = bytes::Bytes::copy_from_slice(&batch.bytes);
    let mut tries = 0;
    let answer = loop {
        tries += 1;
        match api.post_ndjson(&path, body.clone()).await {
            Ok(answer) => break answer,
            Err(error) if tries < TRIES_MAX && may_go_again(&error, named.is_some()) => {
                let backoff = Duration::from_millis(200) * 2u32.pow(tries);
                tokio::time::sleep(error.retry_after().unwrap_or(backoff)).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let told: Answer = client::decode(&answer)?;
    let untold = REFUSALS_TOLD.saturating_sub(totals.rejected);
    let refused = told
        .results
        .into_iter()
        .filter_map(|item| Some((item.index, item.error?)));
    for (index, error) in refused.take(usize::try_from(untold).unwrap_or(usize::MAX)) {
        let line = batch.lines.get(index).copied().unwrap_or_default();
        output::note(&format!("line {line}: {error}"));
    }
    totals.accepted += told.accepted;
    totals.duplicates += told.duplicates;
    totals.rejected += told.rejected;
    totals.through_line = batch.lines.last().copied().unwrap_or_default();
    if json {
        output::line(&answer)?;
    }
    Ok(())
}

/// Returns whether a failed batch can be sent again. Without a key, only a batch that was surely not
/// accepted: a second copy would create a second set of tasks.
fn may_go_again(error: &CallError, has_key: bool) -> bool {
    match error {
        CallError::Unreachable(_) => true,
        CallError::NoAnswer(_) => has_key,
        CallError::Problem(problem) => {
            problem.status == 429
                || (has_key && problem.status == 504)
                || (problem.status == 503
                    && problem
                        .outcome
                        .as_deref()
                        .is_none_or(|word| word == "not_applied"))
        }
    }
}

//! Enqueue of many tasks from NDJSON: in batches, in order, in bounded memory.

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

/// A batch is sent once it has this many bytes. One more line keeps it below the 10 MiB of the API.
const BATCH_BYTES: usize = 4 << 20;
/// The longest line: a payload and the other fields of a task.
const LINE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + (64 << 10);
/// The number of refused lines that are printed. Further ones are only counted.
const REFUSALS_PRINTED: u64 = 20;
/// How often a batch is sent.
const TRIES_MAX: u32 = 8;

#[derive(Deserialize)]
struct Response {
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    #[serde(default)]
    results: Vec<ItemResponse>,
}

#[derive(Deserialize)]
struct ItemResponse {
    index: usize,
    error: Option<Problem>,
}

/// Lines that are sent in one request.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// The number of each item's line in the input.
    lines: Vec<u64>,
}

/// The destination of the batches, and the key that makes them safe to repeat.
struct Destination<'a> {
    api: &'a Api,
    queue: &'a QueueName,
    idempotency_key: Option<&'a str>,
    /// The number of batches so far. The same input always gives the same batches, so a number identifies
    /// one.
    batches: u64,
}

#[derive(Default)]
struct Totals {
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    /// The last input line whose outcome is known.
    through_line: u64,
}

pub(super) async fn run(
    api: &Api,
    queue: &QueueName,
    from: &str,
    idempotency_key: Option<&str>,
    json: bool,
) -> Done {
    let to = Destination {
        api,
        queue,
        idempotency_key,
        batches: 0,
    };
    let mut totals = Totals::default();
    let bar = ProgressBar::new_spinner().with_style(
        ProgressStyle::with_template("{spinner} {human_pos} tasks, {rate}, {elapsed}")
            .expect("the template is a constant that parses")
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
            "the lines after {through_line}: all lines up to it have an outcome, the next batch may have one"
        ))),
        Err(failure) => Err(failure),
    }
}

async fn stream(
    mut to: Destination<'_>,
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

/// Appends the next line. Returns `false` at the end of the input. A line that is longer than any task is an
/// error, so that a file without newlines does not fill the memory.
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

async fn send(to: &Destination<'_>, batch: &Batch, json: bool, totals: &mut Totals) -> Result<(), Failure> {
    let path = format!("/v1/queues/{}/tasks/batch", to.queue);
    let keyed = to
        .idempotency_key
        .map(|key| to.api.repeatable(&format!("{key}/{}", to.batches)))
        .transpose()?;
    let api = keyed.as_ref().unwrap_or(to.api);
    let body = bytes::Bytes::copy_from_slice(&batch.bytes);
    let mut tries = 0;
    let bytes = loop {
        tries += 1;
        match api.post_ndjson(&path, body.clone()).await {
            Ok(bytes) => break bytes,
            Err(error) if tries < TRIES_MAX && may_be_repeated(&error, keyed.is_some()) => {
                let backoff = Duration::from_millis(200) * 2u32.pow(tries);
                tokio::time::sleep(error.retry_after().unwrap_or(backoff)).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let response: Response = client::decode(&bytes)?;
    let to_print = REFUSALS_PRINTED.saturating_sub(totals.rejected);
    let refused = response
        .results
        .into_iter()
        .filter_map(|item| Some((item.index, item.error?)));
    for (index, error) in refused.take(usize::try_from(to_print).unwrap_or(usize::MAX)) {
        let line = batch.lines.get(index).copied().unwrap_or_default();
        output::note(&format!("line {line}: {error}"));
    }
    totals.accepted += response.accepted;
    totals.duplicates += response.duplicates;
    totals.rejected += response.rejected;
    totals.through_line = batch.lines.last().copied().unwrap_or_default();
    if json {
        output::line(&bytes)?;
    }
    Ok(())
}

/// Whether a failed batch may be sent again. Without an idempotency key, only a batch that was not applied
/// may: a second copy of an applied one would create its tasks twice.
fn may_be_repeated(error: &CallError, has_key: bool) -> bool {
    match error {
        CallError::Unreachable(_) => true,
        CallError::NoResponse(_) => has_key,
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

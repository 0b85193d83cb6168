//! `leaseq bench`.

pub(super) use crate::bench::Args;

use std::io::Error;

use super::exit::{Exit, Failure};
use super::{Done, output};
use crate::bench;

/// Runs the benchmark and prints its report. A run with errors exits with 1.
pub(super) async fn run(args: Args) -> Done {
    let json = args.json;
    // The generator brings its own threads and runtimes; this one only waits for them.
    let measured = tokio::task::spawn_blocking(move || bench::run(&args)).await;
    let report = measured
        .map_err(Error::other)
        .and_then(|measured| measured)
        .map_err(|error| Failure::new(Exit::Error, format!("the benchmark ended early: {error}")))?;
    let text = if json { report.to_json() } else { report.to_text() };
    // A reader of stdout that has gone away is no failure.
    let _ = output::line(text.as_bytes());
    Ok(if report.is_clean() { Exit::Ok } else { Exit::Error })
}

//! The report of a run, as text and as JSON.

use super::idle::IdleReport;
use super::mode::Mode;
use super::tally::{Latency, Op, Tally};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

#[derive(Debug, Serialize)]
pub struct Report {
    pub(super) mode: Mode,
    pub(super) settings: Settings,
    /// The time from the end of the warm-up to the last response in the window.
    pub(super) elapsed_seconds: f64,
    pub(super) tasks: u64,
    pub(super) tasks_per_second: f64,
    pub(super) requests: u64,
    pub(super) requests_per_second: f64,
    pub(super) empty_leases: u64,
    /// The number of errors by text; empty in a clean run.
    pub(super) errors: BTreeMap<String, u64>,
    /// The latencies by operation, in microseconds.
    pub(super) latency: BTreeMap<&'static str, Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idle: Option<IdleReport>,
}

/// The settings of a run.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) url: String,
    pub(super) queues: usize,
    pub(super) connections: usize,
    pub(super) producers: usize,
    pub(super) workers: usize,
    pub(super) threads: usize,
    pub(super) batch: u64,
    pub(super) settle_in_lease: bool,
    pub(super) payload_bytes: String,
    pub(super) backlog: u64,
    pub(super) names: u64,
    pub(super) groups: u64,
    pub(super) warmup_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tasks_per_second_asked: Option<f64>,
}

impl Report {
    pub(super) fn new(
        mode: Mode,
        settings: Settings,
        tally: &Tally,
        elapsed: Duration,
        idle: Option<IdleReport>,
    ) -> Self {
        let elapsed_seconds = elapsed.as_secs_f64();
        let per_second = |count: u64| {
            if elapsed.is_zero() {
                0.0
            } else {
                count as f64 / elapsed_seconds
            }
        };
        let latency = Op::ALL
            .into_iter()
            .filter_map(|op| Some((op.word(), tally.latency(op)?)));
        Self {
            mode,
            settings,
            elapsed_seconds,
            tasks: tally.tasks,
            tasks_per_second: per_second(tally.tasks),
            requests: tally.requests,
            requests_per_second: per_second(tally.requests),
            empty_leases: tally.empty,
            errors: tally.errors.clone(),
            latency: latency.collect(),
            idle,
        }
    }

    /// Whether the run met no error.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and words always serialize")
    }

    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |args: std::fmt::Arguments<'_>| {
            text.write_fmt(args).expect("writing to memory cannot fail");
            text.push('\n');
        };
        match &self.idle {
            Some(idle) => idle_lines(idle, &mut line),
            None => line(format_args!(
                "{} tasks in {:.2} s: {:.0} tasks/s, {:.0} requests/s, {} empty leases",
                self.tasks,
                self.elapsed_seconds,
                self.tasks_per_second,
                self.requests_per_second,
                self.empty_leases
            )),
        }
        for (error, count) in &self.errors {
            line(format_args!("error, {count} times: {error}"));
        }
        if !self.latency.is_empty() {
            line(format_args!("\n{}", latency_table(&self.latency)));
        }
        text
    }
}

fn idle_lines(idle: &IdleReport, line: &mut impl FnMut(std::fmt::Arguments<'_>)) {
    line(format_args!(
        "{} of {} workers waiting after {:.1} s",
        idle.parked, idle.waiters, idle.parking_seconds
    ));
    if let Some(bytes) = idle.rss_per_waiter_bytes {
        line(format_args!(
            "memory of the service: {:.1} KiB for each waiting worker",
            bytes / 1024.0
        ));
    }
    if let (Some(all), Some(per_queue)) = (
        idle.redis_commands_per_second,
        idle.redis_commands_per_second_and_queue,
    ) {
        line(format_args!(
            "commands to Redis: {all:.1}/s, {per_queue:.2}/s for each queue"
        ));
    }
    if idle.probes_sent > 0 {
        line(format_args!(
            "{} of {} probes reached a worker",
            idle.probes_arrived, idle.probes_sent
        ));
    }
}

fn latency_table(latency: &BTreeMap<&'static str, Latency>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "milliseconds",
        "count",
        "p50",
        "p95",
        "p99",
        "max",
        "mean",
    ]);
    for (op, latency) in latency {
        let ms = |us: u64| format!("{:.3}", us as f64 / 1e3);
        table.add_row([
            (*op).to_owned(),
            latency.count.to_string(),
            ms(latency.p50_us),
            ms(latency.p95_us),
            ms(latency.p99_us),
            ms(latency.max_us),
            format!("{:.3}", latency.mean_us / 1e3),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

//! `leaseq work`: any program becomes a safe worker.

mod backoff;
mod capture;
pub(super) mod gate;
mod heartbeat;
mod journal;
mod perform;
mod program;
mod settle;
mod shift;
mod task;
pub(super) mod watchdog;
mod worker;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connect::Connect;
use super::exit::{Exit, Failure};
use super::{Done, duration, input};
use crate::config::Env;
use crate::domain::QueueName;
use journal::Journal;
use shift::{Shift, Tally};
use worker::Worker;

/// Run a program for each task: payload on stdin, exit code decides
///
/// The program gets the payload as JSON on stdin and the task's fields in its environment:
/// LEASEQ_TASK_ID, LEASEQ_QUEUE, LEASEQ_NAME, LEASEQ_GROUP, LEASEQ_ATTEMPT, LEASEQ_MAX_ATTEMPTS,
/// LEASEQ_GRANT, LEASEQ_LEASE_ID, LEASEQ_PRIORITY, LEASEQ_ENQUEUED_AT, LEASEQ_LEASE_SECONDS,
/// LEASEQ_LEASE_EXPIRES_AT, a `LEASEQ_HEADER_<NAME>` for each header, TRACEPARENT and TRACESTATE.
///
/// Its exit code decides: 0 acks, with stdout as the result where it is JSON of at most 256 KiB;
/// 75 releases the task for --retry-after, attempt unspent; 65 makes it a dead letter; any other code
/// or a signal nacks it, with the end of stderr as the message.
///
/// The lease is prolonged while the program runs. A lost lease or a cancelled task stops the program.
/// SIGTERM and SIGINT stop leasing, give running programs the grace time, then stop them and
/// release their tasks; a second signal skips the grace time. No process outlives its worker.
#[derive(Debug, clap::Args)]
pub(super) struct Work {
    /// Several are asked in this order
    #[arg(required = true, value_name = "QUEUE", value_parser = input::queue)]
    queues: Vec<QueueName>,
    /// Tasks at once
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    concurrency: u32,
    /// How long a lease lasts without a sign of life, 1s to 12h; the queue decides by default
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    lease: Option<Duration>,
    /// Take only tasks of this name; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Name to be listed under; host:pid by default
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// Stop after one task
    #[arg(long, conflicts_with = "max_tasks")]
    once: bool,
    /// Stop after this many tasks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_tasks: Option<u64>,
    /// Stop when there is nothing to lease; exit with 3 if there never was
    #[arg(long)]
    exit_empty: bool,
    /// How long one request waits for a task, at most 60s; 20s by default, 0 with --exit-empty
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
    /// How long a task waits after exit code 75
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    retry_after: Duration,
    /// How long running programs may go on after SIGTERM or SIGINT
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = duration::parse)]
    grace: Duration,
    /// Tell each task that went well, too
    #[arg(long, short)]
    verbose: bool,
    /// Do not pass the programs' stderr on
    #[arg(long, short)]
    quiet: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
    #[command(flatten)]
    connect: Connect,
}

/// How long one request waits, unless told.
const WAIT_DEFAULT: Duration = Duration::from_secs(20);

impl Work {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        program::check(&self.command[0])?;
        let journal = Journal::start(self.verbose);
        let worker = Arc::new(Worker {
            api,
            command: self.command.clone(),
            retry_after: self.retry_after,
            pass_stderr: !self.quiet,
            journal: journal.handle(),
            watchdog: watchdog::Handle::start(),
            forced: CancellationToken::new(),
        });
        let signals = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(Exit::Error, format!("signals cannot be received: {error}")))
        };
        let mut shift = Shift {
            name: self.worker.clone().unwrap_or_else(worker_name),
            args: &self,
            worker,
            running: JoinSet::new(),
            tally: Tally::default(),
            term: signals(SignalKind::terminate())?,
            interrupt: signals(SignalKind::interrupt())?,
        };
        let leasing = shift.lease_until_told_otherwise().await;
        let interrupted = shift.see_out().await;
        let Tally {
            started,
            acked,
            nacked,
            released,
            lost,
        } = shift.tally;
        drop(shift);
        journal.end(&format!(
            "{acked} acked, {nacked} nacked, {released} released, {lost} lost"
        ));
        leasing?;
        Ok(match () {
            () if interrupted => Exit::Interrupted,
            () if self.exit_empty && started == 0 => Exit::Empty,
            () if self.is_bounded() && acked < started => Exit::Partial,
            () => Exit::Ok,
        })
    }

    fn tasks_max(&self) -> u64 {
        if self.once {
            1
        } else {
            self.max_tasks.unwrap_or(u64::MAX)
        }
    }

    /// Runs in a script that wants to know how it went.
    fn is_bounded(&self) -> bool {
        self.exit_empty || self.tasks_max() < u64::MAX
    }

    fn wait(&self) -> Duration {
        let default = if self.exit_empty {
            Duration::ZERO
        } else {
            WAIT_DEFAULT
        };
        self.wait.unwrap_or(default)
    }
}

fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "worker" } else { host };
    format!("{host}:{}", std::process::id())
}

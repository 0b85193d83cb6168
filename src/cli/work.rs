//! `leaseq work`: runs any program as a safe worker.

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

/// Run a program for each task: payload on stdin, outcome by exit code
///
/// The program gets the payload as JSON on stdin and the task's fields in its environment:
/// LEASEQ_TASK_ID, LEASEQ_QUEUE, LEASEQ_NAME, LEASEQ_GROUP, LEASEQ_ATTEMPT, LEASEQ_MAX_ATTEMPTS,
/// LEASEQ_GRANT, LEASEQ_LEASE_ID, LEASEQ_PRIORITY, LEASEQ_ENQUEUED_AT, LEASEQ_LEASE_SECONDS,
/// LEASEQ_LEASE_EXPIRES_AT, a `LEASEQ_HEADER_<NAME>` for each header, TRACEPARENT and TRACESTATE.
///
/// Its exit code decides the outcome. 0 acks the task; stdout is the result if it is JSON of at most 256 KiB.
/// 75 releases the task for --retry-after without spending the attempt. 65 makes it a dead letter. Any other
/// code, or death by a signal, nacks the task with the end of stderr as the message.
///
/// The worker extends the lease while the program runs. It stops the program when the lease is lost or the
/// task is cancelled. On SIGTERM or SIGINT it stops leasing and gives running programs the grace time; then
/// it stops them and releases their tasks. A second signal skips the grace time. No process outlives its
/// worker.
#[derive(Debug, clap::Args)]
pub(super) struct Work {
    /// Queues to lease from; several are tried in this order
    #[arg(required = true, value_name = "QUEUE", value_parser = input::queue)]
    queues: Vec<QueueName>,
    /// Programs to run at the same time
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    concurrency: u32,
    /// Length of a lease, 1s to 12h; by default the setting of the task or queue
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    lease: Option<Duration>,
    /// Lease only tasks of this name; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Name of the worker, for the list of workers; host:pid by default
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// Stop after one task
    #[arg(long, conflicts_with = "max_tasks")]
    once: bool,
    /// Stop after this many tasks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_tasks: Option<u64>,
    /// Stop when the queues are empty; exit with 3 if no task was leased at all
    #[arg(long)]
    exit_empty: bool,
    /// Longest wait of one lease request, at most 60s; 20s by default, 0 with --exit-empty
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
    /// Delay of a task whose program exited with 75
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    retry_after: Duration,
    /// Time that running programs have to finish after SIGTERM or SIGINT
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = duration::parse)]
    grace: Duration,
    /// Print a line for each acked task, too
    #[arg(long, short)]
    verbose: bool,
    /// Do not print the stderr of the programs
    #[arg(long, short)]
    quiet: bool,
    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
    #[command(flatten)]
    connect: Connect,
}

/// The wait of one lease request if none is given.
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
                .map_err(|error| Failure::new(Exit::Error, format!("cannot receive signals: {error}")))
        };
        let mut shift = Shift {
            name: self.worker.clone().unwrap_or_else(default_name),
            args: &self,
            worker,
            running: JoinSet::new(),
            tally: Tally::default(),
            term: signals(SignalKind::terminate())?,
            interrupt: signals(SignalKind::interrupt())?,
        };
        let leasing = shift.lease_until_stopped().await;
        let interrupted = shift.shut_down().await;
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

    /// Whether the worker stops by itself. A script that started it can then use the exit code.
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

fn default_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "worker" } else { host };
    format!("{host}:{}", std::process::id())
}

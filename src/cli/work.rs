//! `leaseq work`: any program becomes a safe worker.

mod backoff;
mod heartbeat;
mod journal;
mod perform;
mod program;
mod settle;
mod task;
pub(super) mod watchdog;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::{Api, CallError};
use super::connect::Connect;
use super::exit::{Exit, Failure};
use super::lease::LeaseCall;
use super::{Done, client, duration, input};
use crate::config::Env;
use crate::domain::QueueName;
use crate::domain::limits::LEASE_TASKS_MAX;
use backoff::Backoff;
use journal::Journal;
use perform::{Outcome, Worker};
use task::Task;

/// Run a program for each task: payload on stdin, exit code decides
///
/// The program gets the payload as JSON on stdin and the task's fields in its environment:
/// LEASEQ_TASK_ID, LEASEQ_QUEUE, LEASEQ_NAME, LEASEQ_GROUP, LEASEQ_ATTEMPT, LEASEQ_MAX_ATTEMPTS,
/// LEASEQ_GRANT, LEASEQ_LEASE_ID, LEASEQ_PRIORITY, LEASEQ_ENQUEUED_AT, LEASEQ_LEASE_SECONDS,
/// LEASEQ_LEASE_EXPIRES_AT, a LEASEQ_HEADER_<NAME> for each header, TRACEPARENT and TRACESTATE.
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
    #[command(flatten)]
    connect: Connect,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// A lease call that is cut off on a stop could hide tasks for a whole lease. One that has tasks to
/// give answers within this time; one that waits on an empty queue may be cut.
const LAST_ANSWER_WAIT: Duration = Duration::from_millis(300);
/// An empty answer that came sooner than asked is no reason to ask again at once.
const EMPTY_PACE: Duration = Duration::from_secs(1);
const WAIT_DEFAULT: Duration = Duration::from_secs(20);
/// While the service is away, it is told again this often.
const AWAY_TOLD_EVERY: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Leased {
    tasks: Vec<Task>,
    retry_after_seconds: Option<f64>,
}

/// What has been done so far.
#[derive(Debug, Default)]
struct Tally {
    started: u64,
    acked: u64,
    nacked: u64,
    released: u64,
    lost: u64,
}

impl Work {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        program::check(&self.command[0])?;
        let journal = Journal::start(self.verbose);
        let worker = Arc::new(Worker {
            api: api.clone(),
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
            api,
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

/// One run of the worker.
struct Shift<'a> {
    args: &'a Work,
    name: String,
    api: Api,
    worker: Arc<Worker>,
    running: JoinSet<Outcome>,
    tally: Tally,
    term: Signal,
    interrupt: Signal,
}

/// What a lease call came to.
enum Asked {
    Tasks(Vec<Task>),
    Empty {
        came_early: bool,
        retry_after: Option<Duration>,
    },
    Failed(CallError),
    /// A signal came first.
    Stopped,
}

impl Shift<'_> {
    /// Leases and starts tasks until a signal, a limit, an empty queue, or a refusal ends it.
    /// One call is out at a time, for as many tasks as can start at once: while it waits, there is
    /// nothing to lease, so a place that frees meanwhile misses nothing.
    async fn lease_until_told_otherwise(&mut self) -> Result<(), Failure> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));
        let mut away_told: Option<Instant> = None;
        let mut request_id = fresh_request_id();
        loop {
            while let Some(done) = self.running.try_join_next() {
                self.count(done);
            }
            let places = u64::from(self.args.concurrency) - self.running.len() as u64;
            let wanted = places.min(self.args.tasks_max() - self.tally.started);
            if self.tally.started >= self.args.tasks_max() {
                return Ok(());
            }
            if wanted == 0 {
                if self.one_done_or_signal().await {
                    return Ok(());
                }
                continue;
            }
            let asked = self.ask(wanted, &request_id).await;
            let pause = match asked {
                Asked::Stopped => return Ok(()),
                Asked::Tasks(tasks) => {
                    self.back_again(&mut away_told);
                    backoff.reset();
                    request_id = fresh_request_id();
                    self.start(tasks);
                    continue;
                }
                Asked::Empty {
                    came_early,
                    retry_after,
                } => {
                    self.back_again(&mut away_told);
                    request_id = fresh_request_id();
                    if self.args.exit_empty {
                        // A running program may make new tasks: ask again when it is done.
                        if self.running.is_empty() || self.one_done_or_signal().await {
                            return Ok(());
                        }
                        continue;
                    }
                    if !came_early {
                        backoff.reset();
                        continue;
                    }
                    retry_after.unwrap_or(EMPTY_PACE).max(backoff.next())
                }
                Asked::Failed(error) if settle::is_transient(&error) => {
                    if away_told.is_none_or(|told| told.elapsed() > AWAY_TOLD_EVERY) {
                        self.worker.journal.tell(&format!("{error}; trying again"));
                        away_told = Some(Instant::now());
                    }
                    // The same request_id goes out again: if the call was served and only its answer
                    // lost, the repeat brings the same grants.
                    backoff.next().max(error.retry_after().unwrap_or_default())
                }
                Asked::Failed(error) => return Err(error.into()),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop_signal(&mut self.term, &mut self.interrupt) => return Ok(()),
            }
        }
    }

    async fn ask(&mut self, wanted: u64, request_id: &str) -> Asked {
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(LEASE_TASKS_MAX);
        let wait = self.args.wait();
        let call = LeaseCall {
            queues: None,
            max_tasks: u32::try_from(wanted).unwrap_or(u32::MAX),
            wait_seconds: wait.as_secs_f64(),
            lease_seconds: self.args.lease.map(|lease| lease.as_secs_f64()),
            worker: Some(&self.name),
            names: &self.args.names,
            request_id: Some(request_id),
        };
        let (path, body) = call.request(&self.args.queues);
        let sent = Instant::now();
        let api = self.api.clone();
        let mut answer = std::pin::pin!(api.post(&path, body, wait));
        let answer = tokio::select! {
            answer = &mut answer => answer,
            () = stop_signal(&mut self.term, &mut self.interrupt) => {
                let last = tokio::time::timeout(LAST_ANSWER_WAIT, answer).await;
                if let Ok(Ok(body)) = last {
                    self.give_back(&body).await;
                }
                return Asked::Stopped;
            }
        };
        match answer.map(|body| serde_json::from_slice::<Leased>(&body)) {
            Ok(Ok(leased)) if leased.tasks.is_empty() => Asked::Empty {
                came_early: sent.elapsed() < wait.min(EMPTY_PACE),
                retry_after: leased
                    .retry_after_seconds
                    .filter(|seconds| (0.0..=60.0).contains(seconds))
                    .map(Duration::from_secs_f64),
            },
            Ok(Ok(leased)) => Asked::Tasks(leased.tasks),
            Ok(Err(error)) => Asked::Failed(CallError::NoAnswer(format!(
                "its answer is not what LeaseQ answers: {error}"
            ))),
            Err(error) => Asked::Failed(error),
        }
    }

    fn start(&mut self, tasks: Vec<Task>) {
        for task in tasks {
            self.tally.started += 1;
            self.running
                .spawn(perform::perform(Arc::clone(&self.worker), task));
        }
    }

    /// Tasks that arrived with the stop go back untouched.
    async fn give_back(&mut self, body: &[u8]) {
        let Ok(leased) = client::decode::<Leased>(body) else {
            return;
        };
        for task in leased.tasks {
            let release = settle::Operation::Release {
                retry_after: None,
                reason: "the worker stops",
            };
            settle::settle(&self.worker, &task, release).await;
        }
    }

    /// Waits for a running task to end; `true` when a signal came first.
    async fn one_done_or_signal(&mut self) -> bool {
        tokio::select! {
            done = self.running.join_next() => {
                if let Some(done) = done {
                    self.count(done);
                }
                false
            }
            () = stop_signal(&mut self.term, &mut self.interrupt) => true,
        }
    }

    /// Lets running tasks end; stops them after the grace time or another signal. Whether it was a signal.
    async fn see_out(&mut self) -> bool {
        if self.running.is_empty() {
            return false;
        }
        let bounded = self.tally.started >= self.args.tasks_max();
        let mut interrupted = false;
        if bounded {
            // No signal yet: nobody asked to hurry.
            while !self.running.is_empty() {
                if self.one_done_or_signal().await {
                    break;
                }
            }
        }
        let grace = tokio::time::sleep(self.args.grace);
        let mut grace = std::pin::pin!(grace);
        while !self.running.is_empty() {
            tokio::select! {
                done = self.running.join_next() => {
                    if let Some(done) = done {
                        self.count(done);
                    }
                }
                () = &mut grace, if !self.worker.forced.is_cancelled() => {
                    self.worker.forced.cancel();
                }
                () = stop_signal(&mut self.term, &mut self.interrupt) => {
                    interrupted = true;
                    self.worker.forced.cancel();
                }
            }
        }
        interrupted
    }

    fn count(&mut self, done: Result<Outcome, tokio::task::JoinError>) {
        match done {
            Ok(Outcome::Acked) => self.tally.acked += 1,
            Ok(Outcome::Nacked) => self.tally.nacked += 1,
            Ok(Outcome::Released) => self.tally.released += 1,
            // A task that panicked holds no process (it is killed on drop), and its lease runs out.
            Ok(Outcome::Lost) | Err(_) => self.tally.lost += 1,
        }
    }

    fn back_again(&self, away_told: &mut Option<Instant>) {
        if away_told.take().is_some() {
            self.worker.journal.tell("the service answers again");
        }
    }
}

async fn stop_signal(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "worker" } else { host };
    format!("{host}:{}", std::process::id())
}

fn fresh_request_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

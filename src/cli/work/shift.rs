//! The main loop of a worker: it leases tasks, starts programs, counts outcomes and shuts down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde::Deserialize;
use tokio::signal::unix::Signal;
use tokio::task::JoinSet;

use super::perform::{self, Outcome};
use super::task::Task;
use super::worker::Worker;
use super::{Work, settle};
use crate::backoff::Backoff;
use crate::cli::client::{self, CallError};
use crate::cli::exit::Failure;
use crate::cli::lease::LeaseCall;
use crate::domain::limits::LEASE_TASKS_MAX;

/// How long a stopping worker waits for its last lease request. Cutting off a request that is granted tasks
/// would hide them for a whole lease. Such a response arrives within this time; a request that waits on an
/// empty queue may be cut off.
const LAST_RESPONSE_WAIT: Duration = Duration::from_millis(300);
/// The least pause after an empty response that came earlier than asked for.
const EMPTY_PACE: Duration = Duration::from_secs(1);
/// While the service is unreachable, this is logged again after this time.
const AWAY_LOGGED_EVERY: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Leased {
    tasks: Vec<Task>,
    retry_after_seconds: Option<f64>,
}

/// Counts of the tasks so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) started: u64,
    pub(super) acked: u64,
    pub(super) nacked: u64,
    pub(super) released: u64,
    pub(super) lost: u64,
}

/// One run of the worker.
pub(super) struct Shift<'a> {
    pub(super) args: &'a Work,
    pub(super) name: String,
    pub(super) worker: Arc<Worker>,
    pub(super) running: JoinSet<Outcome>,
    pub(super) tally: Tally,
    pub(super) term: Signal,
    pub(super) interrupt: Signal,
}

/// The outcome of a lease request.
enum LeaseOutcome {
    Tasks(Vec<Task>),
    Empty {
        came_early: bool,
        retry_after: Option<Duration>,
    },
    Failed(CallError),
    /// A response that cannot be parsed. Another request could lease more tasks that are then lost.
    Broken(Failure),
    /// A signal arrived first.
    Stopped,
}

impl Shift<'_> {
    /// Leases and starts tasks until a signal, a limit, an empty queue or a refusal. Only one request is in
    /// flight, for as many tasks as can start now. If a place becomes free while it waits, nothing is missed:
    /// a waiting request means that there is no task to lease.
    pub(super) async fn lease_until_stopped(&mut self) -> Result<(), Failure> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));
        let mut away_logged: Option<Instant> = None;
        let mut request_id = new_request_id();
        loop {
            while let Some(done) = self.running.try_join_next() {
                self.count(done);
            }
            let left = self.args.tasks_max().saturating_sub(self.tally.started);
            if left == 0 {
                return Ok(());
            }
            // Saturating, because a service may return more tasks than requested.
            let places = u64::from(self.args.concurrency).saturating_sub(self.running.len() as u64);
            let wanted = places.min(left);
            if wanted == 0 {
                if self.one_done_or_signal().await {
                    return Ok(());
                }
                continue;
            }
            let outcome = self.lease_once(wanted, &request_id).await;
            let pause = match outcome {
                LeaseOutcome::Stopped => return Ok(()),
                LeaseOutcome::Tasks(tasks) => {
                    self.log_return(&mut away_logged);
                    backoff.reset();
                    request_id = new_request_id();
                    self.start(tasks);
                    continue;
                }
                LeaseOutcome::Empty {
                    came_early,
                    retry_after,
                } => {
                    self.log_return(&mut away_logged);
                    request_id = new_request_id();
                    if self.args.exit_empty {
                        // A running program may enqueue new tasks, so look again when it has ended.
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
                LeaseOutcome::Failed(error) if settle::is_transient(&error) => {
                    if away_logged.is_none_or(|logged| logged.elapsed() > AWAY_LOGGED_EVERY) {
                        self.worker.journal.log(&format!("{error}; trying again"));
                        away_logged = Some(Instant::now());
                    }
                    // The same request_id is sent again: if only the response was lost, the repeat returns
                    // the same grants.
                    backoff.next().max(error.retry_after().unwrap_or_default())
                }
                LeaseOutcome::Failed(error) => return Err(error.into()),
                LeaseOutcome::Broken(failure) => return Err(failure),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.signal() => return Ok(()),
            }
        }
    }

    async fn lease_once(&mut self, wanted: u64, request_id: &str) -> LeaseOutcome {
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
        // After a signal that arrived together with the end of a task, nothing more is leased.
        if self.signal().now_or_never().is_some() {
            return LeaseOutcome::Stopped;
        }
        let sent = Instant::now();
        let api = self.worker.api.clone();
        let mut response = std::pin::pin!(api.post(&path, body, wait));
        let response = tokio::select! {
            response = &mut response => response,
            () = stop_signal(&mut self.term, &mut self.interrupt) => {
                let last = tokio::time::timeout(LAST_RESPONSE_WAIT, response).await;
                if let Ok(Ok(body)) = last {
                    self.give_back(&body).await;
                }
                return LeaseOutcome::Stopped;
            }
        };
        match response.map(|body| client::decode::<Leased>(&body)) {
            Ok(Ok(leased)) if leased.tasks.is_empty() => LeaseOutcome::Empty {
                came_early: sent.elapsed() < wait.min(EMPTY_PACE),
                retry_after: leased
                    .retry_after_seconds
                    .filter(|seconds| (0.0..=60.0).contains(seconds))
                    .map(Duration::from_secs_f64),
            },
            Ok(Ok(leased)) => LeaseOutcome::Tasks(leased.tasks),
            Ok(Err(failure)) => LeaseOutcome::Broken(failure),
            Err(error) => LeaseOutcome::Failed(error),
        }
    }

    fn start(&mut self, tasks: Vec<Task>) {
        for task in tasks {
            self.tally.started += 1;
            self.running
                .spawn(perform::perform(Arc::clone(&self.worker), task));
        }
    }

    /// Releases tasks that arrived while the worker was stopping.
    async fn give_back(&mut self, body: &[u8]) {
        let Ok(leased) = client::decode::<Leased>(body) else {
            return;
        };
        for task in leased.tasks {
            let release = settle::Operation::Release {
                retry_after: None,
                reason: "the worker is stopping",
            };
            settle::settle(&self.worker, &task, release).await;
        }
    }

    /// Waits for a running task to end. Returns `true` if a signal came first.
    async fn one_done_or_signal(&mut self) -> bool {
        tokio::select! {
            biased;
            () = stop_signal(&mut self.term, &mut self.interrupt) => true,
            done = self.running.join_next() => {
                if let Some(done) = done {
                    self.count(done);
                }
                false
            }
        }
    }

    /// Waits for running tasks to end, and stops them after the grace time or another signal. Returns whether
    /// it was a signal.
    pub(super) async fn shut_down(&mut self) -> bool {
        if self.running.is_empty() {
            return false;
        }
        let bounded = self.tally.started >= self.args.tasks_max();
        let mut interrupted = false;
        if bounded {
            // Without a signal there is no time limit.
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
            // The process of a task that panicked is killed on drop, and its lease expires.
            Ok(Outcome::Lost) | Err(_) => self.tally.lost += 1,
        }
    }

    async fn signal(&mut self) {
        stop_signal(&mut self.term, &mut self.interrupt).await;
    }

    fn log_return(&self, away_logged: &mut Option<Instant>) {
        if away_logged.take().is_some() {
            self.worker.journal.log("the service responds again");
        }
    }
}

async fn stop_signal(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn new_request_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

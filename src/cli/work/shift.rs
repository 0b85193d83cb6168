//! One run of the worker: lease, start, count, and see out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde::Deserialize;
use tokio::signal::unix::Signal;
use tokio::task::JoinSet;

use super::backoff::Backoff;
use super::perform::{self, Outcome};
use super::task::Task;
use super::worker::Worker;
use super::{Work, settle};
use crate::cli::client::{self, CallError};
use crate::cli::exit::Failure;
use crate::cli::lease::LeaseCall;
use crate::domain::limits::LEASE_TASKS_MAX;

/// A lease call that is cut off on a stop could hide tasks for a whole lease. One that has tasks to
/// give answers within this time; one that waits on an empty queue may be cut.
const LAST_ANSWER_WAIT: Duration = Duration::from_millis(300);
/// An empty answer that came sooner than asked is no reason to ask again at once.
const EMPTY_PACE: Duration = Duration::from_secs(1);
/// While the service is away, it is told again this often.
const AWAY_TOLD_EVERY: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Leased {
    tasks: Vec<Task>,
    retry_after_seconds: Option<f64>,
}

/// What has been done so far.
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

/// What a lease call came to.
enum Asked {
    Tasks(Vec<Task>),
    Empty {
        came_early: bool,
        retry_after: Option<Duration>,
    },
    Failed(CallError),
    /// An answer that makes no sense. Asking again could lease more tasks that nobody works on.
    Broken(Failure),
    /// A signal came first.
    Stopped,
}

impl Shift<'_> {
    /// Leases and starts tasks until a signal, a limit, an empty queue, or a refusal ends it.
    /// One call is out at a time, for as many tasks as can start at once: while it waits, there is
    /// nothing to lease, so a place that frees meanwhile misses nothing.
    pub(super) async fn lease_until_told_otherwise(&mut self) -> Result<(), Failure> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));
        let mut away_told: Option<Instant> = None;
        let mut request_id = fresh_request_id();
        loop {
            while let Some(done) = self.running.try_join_next() {
                self.count(done);
            }
            let left = self.args.tasks_max().saturating_sub(self.tally.started);
            if left == 0 {
                return Ok(());
            }
            // Saturating: whether a service keeps to what was asked is not ours to assume.
            let places = u64::from(self.args.concurrency).saturating_sub(self.running.len() as u64);
            let wanted = places.min(left);
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
                Asked::Broken(failure) => return Err(failure),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.signal() => return Ok(()),
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
        // A signal that came with the end of a task must not be answered with another lease.
        if self.signal().now_or_never().is_some() {
            return Asked::Stopped;
        }
        let sent = Instant::now();
        let api = self.worker.api.clone();
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
        match answer.map(|body| client::decode::<Leased>(&body)) {
            Ok(Ok(leased)) if leased.tasks.is_empty() => Asked::Empty {
                came_early: sent.elapsed() < wait.min(EMPTY_PACE),
                retry_after: leased
                    .retry_after_seconds
                    .filter(|seconds| (0.0..=60.0).contains(seconds))
                    .map(Duration::from_secs_f64),
            },
            Ok(Ok(leased)) => Asked::Tasks(leased.tasks),
            Ok(Err(failure)) => Asked::Broken(failure),
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

    /// Lets running tasks end; stops them after the grace time or another signal. Whether it was a signal.
    pub(super) async fn see_out(&mut self) -> bool {
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

    async fn signal(&mut self) {
        stop_signal(&mut self.term, &mut self.interrupt).await;
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

fn fresh_request_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

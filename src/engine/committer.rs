//! Group commit: what arrived while the last flush was on its way forms the next one. No timer: an idle service
//! adds no latency, a busy one shares script calls and syncs among its callers.
//!
//! A committer owns a share of the queues: their pending work, their waiting leases, a connection. All of it
//! is touched by one task only, so between "the queue was empty" and "wait" nothing can slip through.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::command::{Command, EnqueueJob, Grants, LeaseJob, Watch};
use super::failure::Failure;
use super::lease::EmptyReason;
use super::line::{Ending, Item, Line};
use super::looks::{FALLBACK, sleep_until};
use super::pulse::Gathering;
use super::redis_clock::RedisClock;
use super::sent::Sent;
use super::waiting::{Waiting, Waits};
use super::waitlist::WaitList;
use super::{EngineSettings, SettleOutcome};
use crate::domain::settle::Settle;
use crate::domain::{Millis, QueueName, TaskName};
use crate::store::{Answers, Conn, Store, StoreError};

/// Queues of one flush; the others come with the next.
const FLUSH_QUEUES_MAX: usize = 64;
/// Commands taken between two flushes.
const TAKE_MAX: usize = 8192;

pub(super) enum Waiter {
    Lease {
        job: LeaseJob,
        _waits: Waits,
    },
    /// Counted by the call itself, once for all its watches.
    Watch(Watch),
}

impl Waiter {
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Lease { job, .. } => !job.reply.is_closed(),
            Self::Watch(watch) => !watch.wake.is_closed(),
        }
    }
}

/// Answers of one settle command, until all are there.
struct SettleJob {
    answers: Vec<Option<SettleOutcome>>,
    left: usize,
    reply: oneshot::Sender<Vec<SettleOutcome>>,
}

pub(super) struct Committer {
    pub(super) store: Store,
    pub(super) conn: Conn,
    pub(super) settings: Arc<EngineSettings>,
    /// For give-backs and for what this committer asks of itself.
    pub(super) me: mpsc::Sender<Command>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Due times for the registry.
    pub(super) hints: mpsc::Sender<(QueueName, Millis)>,
    pub(super) redis_clock: RedisClock,
    waiting: Waiting,
    pub(super) gathering: Gathering,
    pub(super) lines: HashMap<QueueName, Line>,
    pub(super) waiters: WaitList<QueueName, Vec<TaskName>, Instant, Waiter>,
    dirty: VecDeque<QueueName>,
    pub(super) looks: BTreeSet<(Instant, QueueName)>,
    jobs: HashMap<u64, SettleJob>,
    next_job: u64,
    draining: bool,
    stopping: bool,
}

impl Committer {
    pub(super) fn new(
        store: &Store,
        settings: Arc<EngineSettings>,
        channel: (mpsc::Sender<Command>, mpsc::Receiver<Command>),
        hints: mpsc::Sender<(QueueName, Millis)>,
        waiting: Waiting,
    ) -> Self {
        Self {
            store: store.clone(),
            conn: store.conn(),
            settings,
            me: channel.0,
            commands: channel.1,
            hints,
            redis_clock: RedisClock::default(),
            waiting,
            gathering: Gathering::default(),
            lines: HashMap::new(),
            waiters: WaitList::new(),
            dirty: VecDeque::new(),
            looks: BTreeSet::new(),
            jobs: HashMap::new(),
            next_job: 0,
            draining: false,
            stopping: false,
        }
    }

    /// Runs until it is stopped and nothing is left to send: what was taken is sent before it ends.
    pub(super) async fn run(mut self) {
        loop {
            if self.dirty.is_empty() {
                if self.stopping && self.commands.is_empty() && self.jobs.is_empty() {
                    return;
                }
                let wake_at = self.next_timer();
                tokio::select! {
                    command = self.commands.recv() => match command {
                        Some(command) => self.take(command),
                        None => return,
                    },
                    () = sleep_until(wake_at) => {}
                }
            }
            for _ in 0..TAKE_MAX {
                let Ok(command) = self.commands.try_recv() else {
                    break;
                };
                self.take(command);
            }
            self.timers(Instant::now());
            self.flush().await;
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Enqueue(queue, job) => {
                let line = self.line(&queue);
                line.enqueues.push_back(job);
                self.soil(&queue);
            }
            Command::Settle(queue, ops, reply) => self.take_settles(&queue, ops, reply),
            Command::Lease(queue, job) => self.take_lease(queue, job),
            Command::Watch(queue, watch) => {
                if !self.draining {
                    let deadline = watch.deadline;
                    self.waiters
                        .park(queue.clone(), watch.names.clone(), deadline, Waiter::Watch(watch));
                    self.look_at(&queue, Instant::now() + FALLBACK, false);
                }
            }
            Command::GiveBack(queue, leases, call) => {
                let line = self.line(&queue);
                let give_back = |lease| Item {
                    home: None,
                    again: false,
                    op: Ending::GiveBack(lease, call.clone()),
                };
                line.endings.extend(leases.into_iter().map(give_back));
                self.soil(&queue);
            }
            Command::Hint(queue, tasks) => self.wake(&queue, tasks),
            Command::Sweep(queue) => {
                self.line(&queue).sweep = true;
                self.soil(&queue);
            }
            Command::Made(queue, result) => self.made(&queue, result),
            Command::CountWaiting(queue, name, reply) => {
                let _ = reply.send(self.workers_waiting(&queue, name.as_ref()));
            }
            Command::Beat(reply) => {
                // Unheard, it is lost as with the process.
                let _ = reply.send(self.beats(Instant::now()));
            }
            Command::Changed(queue) => {
                self.moved(&queue);
            }
            Command::Forget(queue) => {
                let line = self.line(&queue);
                (line.config, line.hinted) = ((0, Arc::default()), None);
            }
            Command::Drain => self.drain(),
            Command::Stop => self.stopping = true,
        }
    }

    fn take_settles(
        &mut self,
        queue: &QueueName,
        ops: Vec<Settle>,
        reply: oneshot::Sender<Vec<SettleOutcome>>,
    ) {
        self.next_job += 1;
        let job = self.next_job;
        let count = ops.len();
        let line = self.line(queue);
        for (index, op) in ops.into_iter().enumerate() {
            line.endings.push_back(Item {
                home: Some((job, index)),
                again: false,
                op: Ending::Worker(op),
            });
        }
        self.jobs.insert(
            job,
            SettleJob {
                answers: (0..count).map(|_| None).collect(),
                left: count,
                reply,
            },
        );
        self.soil(queue);
    }

    fn take_lease(&mut self, queue: QueueName, job: LeaseJob) {
        if let Some(worker) = &job.wish.worker {
            self.beat(&queue).called(worker);
        }
        if self.draining {
            self.answer_empty(&queue, job);
        } else if let Some(deadline) = job.deadline
            // A named call may have been granted something before, which only Redis knows.
            && job.wish.request_key.is_none()
            && self.waiters.waits_in_class(&queue, &job.names)
        {
            // Others wait already, so the queue has nothing; behind them, without asking Redis.
            let names = job.names.clone();
            let waiter = self.waiter(job);
            self.waiters.park(queue, names, deadline, waiter);
        } else {
            self.line(&queue).leases.push_back(job);
            self.soil(&queue);
        }
    }

    fn waiter(&self, job: LeaseJob) -> Waiter {
        let _waits = self.waiting.begin();
        Waiter::Lease { job, _waits }
    }

    /// Sends the waiting to look: a hint is never a task.
    pub(super) fn wake(&mut self, queue: &QueueName, tasks: usize) {
        let woken = self
            .waiters
            .wake(queue, tasks.min(self.settings.script_items), Waiter::is_there);
        if woken.is_empty() {
            return;
        }
        for (_, waiter) in woken {
            match waiter {
                Waiter::Lease { job, .. } => self.line(queue).leases.push_back(job),
                // A full channel means that it is being woken already.
                Waiter::Watch(watch) => drop(watch.wake.try_send(queue.clone())),
            }
        }
        self.soil(queue);
    }

    fn made(&mut self, queue: &QueueName, result: Result<(), Failure>) {
        let line = self.line(queue);
        line.making = false;
        if let Err(failure) = result {
            for job in line.enqueues.drain(..) {
                let _ = job.reply.send(Err(failure.clone()));
            }
        }
        self.soil(queue);
    }

    fn drain(&mut self) {
        self.draining = true;
        for (queue, waiter) in self.waiters.drain() {
            if let Waiter::Lease { job, .. } = waiter {
                self.answer_empty(&queue, job);
            }
        }
    }

    async fn flush(&mut self) {
        let mut batch = self.store.batch();
        let mut sent: Vec<(QueueName, Sent)> = Vec::new();
        for _ in 0..self.dirty.len().min(FLUSH_QUEUES_MAX) {
            let Some(queue) = self.dirty.pop_front() else {
                break;
            };
            self.line(&queue).dirty = false;
            for call in self.calls_of(&queue, &mut batch) {
                sent.push((queue.clone(), call));
            }
            self.soil(&queue);
        }
        if batch.is_empty() {
            return;
        }
        let started = Instant::now();
        let Answers { replies, confirmed } = self.conn.send(batch).await;
        let seconds = started.elapsed().as_secs_f64();
        let mut woken = Vec::new();
        for ((queue, call), answer) in sent.into_iter().zip(replies) {
            let answer = match &confirmed {
                Ok(()) => answer,
                Err(error) => answer.and_then(|reply| self.unconfirmed(&queue, &call, reply, error)),
            };
            let class = answer.as_ref().err().map(StoreError::class);
            self.settings
                .metrics
                .store
                .called(call.script(), call.items(), seconds, class);
            self.answered(&queue, call, answer, started);
            woken.push(queue);
        }
        woken.dedup();
        for queue in woken {
            let fresh = std::mem::take(&mut self.line(&queue).fresh);
            if fresh > 0 {
                self.wake(&queue, fresh);
            }
        }
    }

    pub(super) fn line(&mut self, queue: &QueueName) -> &mut Line {
        if !self.lines.contains_key(queue) {
            self.lines.insert(queue.clone(), Line::new(queue));
        }
        self.lines.get_mut(queue).expect("inserted above")
    }

    /// Puts the queue into the next flush, if it has something to send.
    pub(super) fn soil(&mut self, queue: &QueueName) {
        let line = self.line(queue);
        if !line.dirty && line.has_work() {
            line.dirty = true;
            self.dirty.push_back(queue.clone());
        }
    }

    pub(super) fn answer_empty(&self, queue: &QueueName, job: LeaseJob) {
        let mut grants = self.no_grants(queue);
        if let Some(line) = self.lines.get(queue) {
            let (shut, look_at) = line.shut.of(&job.names).unzip();
            grants.reason = shut.map_or(EmptyReason::Empty, EmptyReason::Shut);
            let soonest = [line.first_due, look_at.flatten()].into_iter().flatten().min();
            grants.retry_after = soonest.map(|at| at.saturating_duration_since(Instant::now()));
        }
        let _ = job.reply.send(Ok(grants));
    }

    pub(super) fn no_grants(&self, queue: &QueueName) -> Grants {
        self.grants(queue, Millis::default(), Instant::now(), Vec::new())
    }

    pub(super) fn grants(
        &self,
        queue: &QueueName,
        now: Millis,
        asked_at: Instant,
        grants: Vec<crate::store::ops::lease::Grant>,
    ) -> Grants {
        Grants {
            queue: queue.clone(),
            now,
            asked_at,
            grants,
            call: None,
            recalled: false,
            reason: EmptyReason::Empty,
            retry_after: None,
            home: self.me.clone(),
        }
    }

    /// Grants that the caller of a job is to have; dropped, they are given back as those of its call.
    pub(super) fn grants_to(
        &self,
        job: &LeaseJob,
        queue: &QueueName,
        now: Millis,
        asked_at: Instant,
        grants: Vec<crate::store::ops::lease::Grant>,
    ) -> Grants {
        let mut grants = self.grants(queue, now, asked_at, grants);
        grants.call.clone_from(&job.wish.request_key);
        grants
    }

    pub(super) fn settle_answered(&mut self, home: Option<(u64, usize)>, answer: SettleOutcome) {
        let Some((id, index)) = home else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.answers[index].replace(answer).is_none() {
            job.left -= 1;
        }
        if job.left == 0
            && let Some(job) = self.jobs.remove(&id)
        {
            let _ = job.reply.send(job.answers.into_iter().flatten().collect());
        }
    }

    /// Waits again, still the first: these were woken in vain, or asked an empty queue.
    pub(super) fn park(&mut self, queue: &QueueName, jobs: Vec<LeaseJob>) {
        let waits = !jobs.is_empty();
        for job in jobs.into_iter().rev() {
            match job.deadline {
                Some(deadline) if !self.draining && deadline > Instant::now() => {
                    let names = job.names.clone();
                    let waiter = self.waiter(job);
                    self.waiters.park_again(queue.clone(), names, deadline, waiter);
                }
                _ => self.answer_empty(queue, job),
            }
        }
        if waits {
            self.look_at(queue, Instant::now() + FALLBACK, false);
        }
    }

    /// Makes the queue beside the flushes; its enqueues wait.
    pub(super) fn make_queue(&mut self, queue: &QueueName) {
        self.line(queue).making = true;
        let (store, settings, me, queue) = (
            self.store.clone(),
            self.settings.clone(),
            self.me.clone(),
            queue.clone(),
        );
        // Ends by itself after a few calls; should it be lost with the process, so are the enqueues that wait for it.
        tokio::spawn(async move {
            let result = super::queues::make(&store, &settings, &queue).await;
            let _ = me.send(Command::Made(queue, result)).await;
        });
    }

    /// Those who were woken and have not asked yet wait, too.
    pub(super) fn workers_waiting(&self, queue: &QueueName, name: Option<&TaskName>) -> usize {
        let takes = |names: &Vec<TaskName>| name.is_none_or(|name| names.is_empty() || names.contains(name));
        let woken = self.lines.get(queue).into_iter().flat_map(|line| &line.leases);
        let woken = woken.filter(|job| job.deadline.is_some() && !job.reply.is_closed() && takes(&job.names));
        woken.count() + self.waiters.count(queue, takes, Waiter::is_there)
    }

    pub(super) fn refuse_enqueues(jobs: Vec<EnqueueJob>, failure: &Failure) {
        for job in jobs {
            let _ = job.reply.send(Err(failure.clone()));
        }
    }
}

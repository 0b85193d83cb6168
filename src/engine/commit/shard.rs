//! One committer's share of the queues: their pending work, their waiters, and what this process knows of
//! them.
//!
//! A shard decides and waits for nothing: time is passed in, and errands that need Redis beside the flushes
//! are left to the committer. One task owns it, so nothing can slip between "the queue was empty" and "wait".

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::command::{Command, EnqueueJob, LeaseJob, Leased, SettleOutcome, Watch};
use super::gather::Gathering;
use super::looks::{FALLBACK, Looks};
use super::pending::{Origin, Pending, PendingSettle, Ticket};
use super::redis_clock::RedisClock;
use super::undelivered::GiveBack;
use super::waiting::{WaitingCall, WaitingCalls};
use super::waitlist::WaitList;
use crate::domain::gate::EmptyReason;
use crate::domain::settle::Settle;
use crate::domain::{Millis, QueueName, TaskName};
use crate::engine::failure::Failure;
use crate::metrics::Metrics;
use crate::store::StoreError;
use crate::store::reply::Reply;

mod flight;

use flight::Call;
pub(super) use flight::{Flight, Kind};

/// Queues of one flush; the others go with the next.
const FLUSH_QUEUES_MAX: usize = 64;
/// Idle queues whose knowledge is kept.
const IDLE_QUEUES_MAX: usize = 16_384;

/// How a shard works.
#[derive(Clone)]
pub(in crate::engine) struct ShardSettings {
    /// This process among its replicas.
    pub(in crate::engine) replica: Arc<str>,
    /// Items of one script call at most.
    pub(in crate::engine) script_items: usize,
    /// Whether an enqueue creates its queue.
    pub(in crate::engine) auto_create: bool,
    /// How long Redis may take to reply before the outcome counts as unknown.
    pub(in crate::engine) response_timeout: Duration,
    pub(in crate::engine) metrics: Arc<Metrics>,
}

/// Work that a shard leaves to its committer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Create the queue, then report [`Command::Created`].
    Create(QueueName),
    /// Tell the registry when an entry of the queue is due. May be lost: the slow sweep makes up for it.
    Hint(QueueName, Millis),
}

/// A call that waits in the shard.
pub(super) enum Waiter {
    Lease {
        job: LeaseJob,
        _counted: WaitingCall,
    },
    /// Not counted here: the call on several queues counts itself once for all its watches.
    Watch(Watch),
}

impl Waiter {
    /// Returns whether the caller is still there.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Lease { job, .. } => !job.caller.reply.is_closed(),
            Self::Watch(watch) => !watch.wake.is_closed(),
        }
    }
}

/// The outcomes of one settle command, until all are known.
struct SettleReplies {
    outcomes: Vec<Option<SettleOutcome>>,
    missing: usize,
    reply: oneshot::Sender<Vec<SettleOutcome>>,
}

pub(super) struct Shard {
    settings: ShardSettings,
    /// The way of give-backs to this shard.
    home: mpsc::Sender<GiveBack>,
    waiting: WaitingCalls,
    queues: HashMap<QueueName, Pending>,
    waiters: WaitList<QueueName, Vec<TaskName>, Instant, Waiter>,
    /// Queues with something to send, in order.
    flush: VecDeque<QueueName>,
    looks: Looks,
    redis_clock: RedisClock,
    pub(super) gathering: Gathering,
    settle_commands: HashMap<u64, SettleReplies>,
    last_settle_command: u64,
    /// Queues in which tasks became ready since the last flush was sent.
    freshened: Vec<QueueName>,
    errands: Vec<Errand>,
    draining: bool,
}

impl Shard {
    pub(super) fn new(settings: ShardSettings, home: mpsc::Sender<GiveBack>, waiting: WaitingCalls) -> Self {
        Self {
            settings,
            home,
            waiting,
            queues: HashMap::new(),
            waiters: WaitList::new(),
            flush: VecDeque::new(),
            looks: Looks::default(),
            redis_clock: RedisClock::default(),
            gathering: Gathering::default(),
            settle_commands: HashMap::new(),
            last_settle_command: 0,
            freshened: Vec::new(),
            errands: Vec::new(),
            draining: false,
        }
    }

    /// Takes a command into the pending work of its queue.
    pub(super) fn take(&mut self, command: Command, now: Instant) {
        match command {
            Command::Enqueue(queue, job) => self.take_enqueue(&queue, job),
            Command::Settle(queue, settles, reply) => self.take_settles(&queue, settles, reply),
            Command::Lease(queue, job) => self.take_lease(queue, job, now),
            Command::Watch(queue, watch) => self.take_watch(&queue, watch, now),
            Command::Hint(queue, tasks) => self.wake(&queue, tasks),
            Command::Sweep(queue) => {
                self.pending(&queue).sweep = true;
                self.flush_soon(&queue);
            }
            Command::Created(queue, result) => self.created(&queue, result),
            Command::CountWaiting(queue, name, reply) => {
                let _ = reply.send(self.waiting_calls(&queue, name.as_ref()));
            }
            // If the receiver is gone, these observations are lost, as they would be with the process.
            Command::Beat(reply) => drop(reply.send(self.beats(now))),
            Command::Changed(queue) => {
                self.moved(&queue);
            }
            Command::Forget(queue) => {
                let pending = self.pending(&queue);
                (pending.version, pending.config, pending.hinted) = (0, Arc::default(), None);
            }
            Command::Drain => self.drain(now),
            // The committer stops once this shard is done.
            Command::Stop => {}
        }
    }

    /// Takes undelivered grants into the pending work of their queue.
    pub(super) fn take_give_back(&mut self, give_back: GiveBack) {
        let GiveBack { queue, leases, call } = give_back;
        let settle = |lease| PendingSettle::give_back(lease, call.clone());
        self.pending(&queue)
            .settles
            .extend(leases.into_iter().map(settle));
        self.flush_soon(&queue);
    }

    /// Waiters look in the flush that sends the enqueue, so that a task reaches a waiting worker in one round
    /// trip.
    fn take_enqueue(&mut self, queue: &QueueName, job: EnqueueJob) {
        let tasks = job.tasks.len();
        let pending = self.pending(queue);
        pending.enqueues.push_back(job);
        // Without a config the script refuses the first try.
        let accepts_now = pending.version > 0 && !pending.creating;
        self.flush_soon(queue);
        if accepts_now {
            self.wake(queue, tasks);
        }
    }

    fn take_settles(
        &mut self,
        queue: &QueueName,
        settles: Vec<Settle>,
        reply: oneshot::Sender<Vec<SettleOutcome>>,
    ) {
        self.last_settle_command += 1;
        let command = self.last_settle_command;
        let replies = SettleReplies {
            outcomes: settles.iter().map(|_| None).collect(),
            missing: settles.len(),
            reply,
        };
        self.settle_commands.insert(command, replies);
        let ticketed = settles.into_iter().enumerate();
        let pending = ticketed.map(|(index, settle)| PendingSettle::new(settle, Ticket { command, index }));
        self.pending(queue).settles.extend(pending);
        self.flush_soon(queue);
    }

    fn take_lease(&mut self, queue: QueueName, job: LeaseJob, now: Instant) {
        if let Some(worker) = &job.wish.worker {
            self.beat(&queue).called(worker);
        }
        if self.draining {
            self.reply_empty(&queue, job, now);
        } else if let Some(deadline) = job.caller.deadline
            // A call with a `request_id` may have grants of an earlier try, which only Redis knows.
            && job.wish.request_key.is_none()
            && self.waiters.waits_in_class(&queue, &job.caller.names)
        {
            // Others wait already, so the queue is empty: wait behind them without a call.
            let names = job.caller.names.clone();
            let waiter = self.waiter(job);
            self.waiters.park(queue, names, deadline, waiter);
        } else {
            self.pending(&queue).leases.push_back(job);
            self.flush_soon(&queue);
        }
    }

    fn take_watch(&mut self, queue: &QueueName, watch: Watch, now: Instant) {
        if !self.draining {
            let (names, deadline) = (watch.names.clone(), watch.deadline);
            self.waiters
                .park(queue.clone(), names, deadline, Waiter::Watch(watch));
            self.look_at(queue, now + FALLBACK, false);
        }
    }

    fn created(&mut self, queue: &QueueName, result: Result<(), Failure>) {
        let pending = self.pending(queue);
        pending.creating = false;
        if let Err(failure) = result {
            for job in pending.enqueues.drain(..) {
                let _ = job.reply.send(Err(failure.clone()));
            }
        }
        self.flush_soon(queue);
    }

    fn drain(&mut self, now: Instant) {
        self.draining = true;
        for (queue, waiter) in self.waiters.drain() {
            if let Waiter::Lease { job, .. } = waiter {
                self.reply_empty(&queue, job, now);
            }
        }
    }

    /// Ends waits whose deadline has passed, and looks at the queues whose time has come.
    pub(super) fn tick(&mut self, now: Instant) {
        for (queue, waiter) in self.waiters.expire(now) {
            if let Waiter::Lease { job, .. } = waiter {
                self.reply_empty(&queue, job, now);
            }
        }
        while let Some((queue, due)) = self.looks.take_due(now) {
            if due {
                self.pending(&queue).sweep = true;
                self.flush_soon(&queue);
            }
            self.waiters.prune(&queue, Waiter::is_there);
            if self.waits(&queue) {
                self.wake(&queue, 1);
                self.look_at(&queue, now + FALLBACK, false);
            }
        }
        if self.queues.len() > IDLE_QUEUES_MAX {
            let (waiters, looks) = (&self.waiters, &self.looks);
            self.queues.retain(|queue, pending| {
                !pending.is_idle() || looks.is_planned(queue) || waiters.waits(queue)
            });
        }
    }

    /// Returns when [`Self::tick`] has something to do next.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        let deadline = self.waiters.next_deadline();
        [self.looks.next(), deadline].into_iter().flatten().min()
    }

    /// Takes the script calls of the next flush. Per queue settles go first, so that what they free can be
    /// leased, then the sweep, then enqueues, then leases.
    pub(super) fn calls(&mut self, now: Instant) -> Vec<Flight> {
        let mut flights = Vec::new();
        for _ in 0..self.flush.len().min(FLUSH_QUEUES_MAX) {
            let Some(queue) = self.flush.pop_front() else {
                break;
            };
            self.pending(&queue).listed = false;
            let mut calls = self.settle_calls(&queue);
            calls.extend(self.sweep_call(&queue));
            calls.extend(self.enqueue_call(&queue, now));
            calls.extend(self.lease_calls(&queue, now));
            let keys = &self.pending(&queue).keys;
            flights.extend(calls.into_iter().map(|call| Flight {
                queue: queue.clone(),
                keys: keys.clone(),
                call,
            }));
            self.flush_soon(&queue);
        }
        flights
    }

    /// Reads the reply of a call that was sent at `asked_at`, and sends the outcomes to its callers.
    pub(super) fn landed(
        &mut self,
        flight: Flight,
        reply: Result<Reply, StoreError>,
        asked_at: Instant,
        now: Instant,
    ) {
        let queue = &flight.queue;
        match flight.call {
            Call::Enqueue(flight) => self.enqueue_landed(queue, flight, reply, now),
            Call::Ack(flight) => self.settles_landed(queue, flight, reply, now),
            Call::Nack(flight) => self.settles_landed(queue, flight, reply, now),
            Call::Extend(flight) => self.settles_landed(queue, flight, reply, now),
            Call::Return(flight) => self.settles_landed(queue, flight, reply, now),
            Call::Sweep(op) => self.sweep_landed(queue, &op, reply, now),
            Call::Lease(flight) => self.lease_landed(queue, flight, reply, (asked_at, now)),
            Call::Recall(flight) => self.recall_landed(queue, flight, reply, asked_at),
        }
    }

    /// Decides about a reply that too few replicas confirmed. Redis applied the call, but its callers get an
    /// error. A sweep has no caller, and proceeds.
    pub(super) fn unconfirmed(
        &self,
        flight: &Flight,
        reply: Reply,
        error: &StoreError,
        asked_at: Instant,
    ) -> Result<Reply, StoreError> {
        match &flight.call {
            Call::Sweep(_) => Ok(reply),
            Call::Lease(lease) => self.unconfirmed_lease(&flight.queue, lease, reply, error, asked_at),
            _ => Err(error.clone()),
        }
    }

    /// Ends a flush: wakes one waiter per task that became ready in it and was not granted in it.
    pub(super) fn flush_landed(&mut self) {
        for queue in std::mem::take(&mut self.freshened) {
            let tasks = std::mem::take(&mut self.pending(&queue).new_ready);
            if tasks > 0 {
                self.wake(&queue, tasks);
            }
        }
    }

    pub(super) fn errands(&mut self) -> Vec<Errand> {
        std::mem::take(&mut self.errands)
    }

    /// Returns whether there is something to send.
    pub(super) fn has_work(&self) -> bool {
        !self.flush.is_empty()
    }

    /// Returns whether nothing is left to send, and every settle has its outcome.
    pub(super) fn is_done(&self) -> bool {
        self.flush.is_empty() && self.settle_commands.is_empty()
    }

    /// Lets the first waiters of a queue look, `tasks` of each class. A wake is a hint: only the script
    /// grants.
    pub(super) fn wake(&mut self, queue: &QueueName, tasks: usize) {
        let count = tasks.min(self.settings.script_items);
        let woken = self.waiters.wake(queue, count, Waiter::is_there);
        if woken.is_empty() {
            return;
        }
        for (_, waiter) in woken {
            match waiter {
                Waiter::Lease { job, .. } => self.pending(queue).leases.push_back(job),
                // A full channel means that the call was woken already.
                Waiter::Watch(watch) => drop(watch.wake.try_send(queue.clone())),
            }
        }
        self.flush_soon(queue);
    }

    /// Lets jobs that got nothing wait again, in front of the others. Those that cannot wait get an empty
    /// outcome.
    pub(super) fn park(&mut self, queue: &QueueName, jobs: Vec<LeaseJob>, now: Instant) {
        if jobs.is_empty() {
            return;
        }
        for job in jobs.into_iter().rev() {
            match job.caller.deadline {
                Some(deadline) if !self.draining && deadline > now => {
                    let names = job.caller.names.clone();
                    let waiter = self.waiter(job);
                    self.waiters.park_again(queue.clone(), names, deadline, waiter);
                }
                _ => self.reply_empty(queue, job, now),
            }
        }
        self.look_at(queue, now + FALLBACK, false);
    }

    fn waiter(&self, job: LeaseJob) -> Waiter {
        let _counted = self.waiting.begin();
        Waiter::Lease { job, _counted }
    }

    fn reply_empty(&self, queue: &QueueName, job: LeaseJob, now: Instant) {
        let (mut reason, mut soonest) = (EmptyReason::Empty, None);
        if let Some(pending) = self.queues.get(queue) {
            let (shut, look_at) = pending.shut.of(&job.caller.names).unzip();
            reason = shut.map_or(EmptyReason::Empty, EmptyReason::Shut);
            soonest = [pending.first_due, look_at.flatten()].into_iter().flatten().min();
        }
        let retry_after = soonest.map(|at| at.saturating_duration_since(now));
        let _ = job.caller.reply.send(Ok(Leased::Empty { reason, retry_after }));
    }

    /// Sends the outcomes of a settle command once the last one is known.
    pub(super) fn settled(&mut self, origin: Origin, outcome: SettleOutcome) {
        let Some(Ticket { command, index }) = origin.ticket else {
            return;
        };
        let Some(replies) = self.settle_commands.get_mut(&command) else {
            return;
        };
        if replies.outcomes[index].replace(outcome).is_none() {
            replies.missing -= 1;
        }
        if replies.missing == 0
            && let Some(replies) = self.settle_commands.remove(&command)
        {
            let _ = replies
                .reply
                .send(replies.outcomes.into_iter().flatten().collect());
        }
    }

    /// Counts lease calls that wait and would take a task of this name, including woken ones that were not
    /// sent yet.
    pub(super) fn waiting_calls(&self, queue: &QueueName, name: Option<&TaskName>) -> usize {
        let takes = |names: &Vec<TaskName>| name.is_none_or(|name| names.is_empty() || names.contains(name));
        let woken = self
            .queues
            .get(queue)
            .into_iter()
            .flat_map(|pending| &pending.leases);
        let woken = woken.filter(|LeaseJob { caller, .. }| {
            caller.deadline.is_some() && !caller.reply.is_closed() && takes(&caller.names)
        });
        woken.count() + self.waiters.count(queue, takes, Waiter::is_there)
    }

    /// Returns the queues that have waiters.
    pub(super) fn awaited_queues(&self) -> impl Iterator<Item = &QueueName> {
        self.waiters.queues()
    }

    pub(super) fn pending(&mut self, queue: &QueueName) -> &mut Pending {
        if !self.queues.contains_key(queue) {
            self.queues.insert(queue.clone(), Pending::new(queue));
        }
        self.queues.get_mut(queue).expect("inserted above")
    }

    /// Lists the queue for the next flush, if it has something to send.
    pub(super) fn flush_soon(&mut self, queue: &QueueName) {
        let pending = self.pending(queue);
        if !pending.listed && pending.has_work() {
            pending.listed = true;
            self.flush.push_back(queue.clone());
        }
    }

    /// Counts tasks that became ready in this flush.
    pub(super) fn add_ready(&mut self, queue: &QueueName, tasks: u64) {
        if tasks > 0 {
            self.pending(queue).new_ready += usize::try_from(tasks).unwrap_or(usize::MAX);
            if self.freshened.last() != Some(queue) {
                self.freshened.push(queue.clone());
            }
        }
    }

    /// Plans a look at the queue. `due`: an entry is due by then.
    pub(super) fn look_at(&mut self, queue: &QueueName, at: Instant, due: bool) {
        self.looks.plan(queue, at, due);
    }

    /// Plans the sweep of an entry that is due at `due_at` of Redis's clock, which read `redis_now` before
    /// `now`.
    pub(super) fn due_at(
        &mut self,
        queue: &QueueName,
        due_at: Option<Millis>,
        redis_now: Millis,
        now: Instant,
    ) {
        let Some(due_at) = due_at else { return };
        if due_at <= redis_now {
            self.pending(queue).sweep = true;
            self.flush_soon(queue);
            return;
        }
        self.look_at(queue, now + Duration::from_millis(due_at.since(redis_now)), true);
        let pending = self.pending(queue);
        if pending
            .hinted
            .is_none_or(|hinted| due_at < hinted || hinted <= redis_now)
        {
            pending.hinted = Some(due_at);
            self.errand(Errand::Hint(queue.clone(), due_at));
        }
    }

    pub(super) fn errand(&mut self, errand: Errand) {
        self.errands.push(errand);
    }

    pub(super) fn waits(&self, queue: &QueueName) -> bool {
        self.waiters.waits(queue)
    }

    pub(super) fn heard_redis_time(&mut self, redis_now: Millis, now: Instant) {
        self.redis_clock.set(redis_now, now);
    }

    pub(super) fn forget_redis_time(&mut self) {
        self.redis_clock.forget();
    }

    pub(super) fn redis_time_after(&self, wait: Duration, now: Instant) -> Option<Millis> {
        self.redis_clock.after(wait, now)
    }

    pub(super) fn home(&self) -> mpsc::Sender<GiveBack> {
        self.home.clone()
    }

    pub(super) fn replica(&self) -> Arc<str> {
        self.settings.replica.clone()
    }

    pub(super) fn items_max(&self) -> usize {
        self.settings.script_items
    }

    pub(super) fn creates_queues(&self) -> bool {
        self.settings.auto_create
    }

    pub(super) fn response_timeout(&self) -> Duration {
        self.settings.response_timeout
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.settings.metrics
    }
}

#[cfg(test)]
mod tests;

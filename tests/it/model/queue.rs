//! The queue as a whole: its tasks, its counters, its clock; and enqueue.

use std::collections::{BTreeMap, BTreeSet};

use leaseq::domain::full::Full;
use leaseq::domain::gate::TURN;
use leaseq::domain::queue::{Order, QueueConfig, defaults};
use leaseq::domain::task::{Enqueued, NotEnqueued};
use leaseq::domain::{Millis, NewTask, Start, TaskId};

use super::answer::{Accepted, Answer};
use super::gates::Gates;
use super::grant::Requests;
use super::marks::Marks;
use super::pause::Paused;
use super::repeats::Repeats;
use super::task::{PLACES, State, Task};
use super::turns::Turns;
use super::unique::Keys;

#[derive(Debug, Clone)]
pub struct Queue {
    pub now: Millis,
    pub config: QueueConfig,
    pub version: u64,
    pub tasks: BTreeMap<TaskId, Task>,
    /// The moment of the last acceptance.
    pub accepted: u64,
    pub turns: Turns,
    pub marks: Marks,
    pub requests: Requests,
    pub keys: Keys,
    pub repeats: Repeats,
    pub paused: Option<Paused>,
    pub gates: Gates,
    /// Finished tasks that are kept, oldest first.
    pub finished: Vec<TaskId>,
    /// Until when somebody waits for the end of a task.
    pub followed: BTreeMap<TaskId, Millis>,
    /// Ended tasks that nothing else keeps, shown until the wait is over. Counted and listed nowhere.
    pub lingering: BTreeMap<TaskId, Millis>,
    pub totals: Totals,
}

#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub accepted: u64,
    pub completed: u64,
    pub cancelled: u64,
    pub purged: u64,
    pub dead_evicted: u64,
    pub dead_aged: u64,
    pub replayed: u64,
    pub leases_expired: u64,
    pub duplicates: u64,
}

impl Queue {
    pub fn new(now: Millis, config: QueueConfig) -> Self {
        let mut queue = Self {
            now,
            config,
            // Versions of one name never come again, though its queue was deleted.
            version: now.get(),
            tasks: BTreeMap::new(),
            accepted: 0,
            turns: Turns::default(),
            marks: Marks::default(),
            requests: Requests::default(),
            keys: Keys::default(),
            repeats: Repeats::default(),
            paused: None,
            gates: Gates::default(),
            finished: Vec::new(),
            followed: BTreeMap::new(),
            lingering: BTreeMap::new(),
            totals: Totals::default(),
        };
        queue.gates_configured(None);
        queue
    }

    pub fn configure(&mut self, config: QueueConfig) -> Answer {
        let before = std::mem::replace(&mut self.config, config);
        self.gates_configured(Some(&before));
        self.version += 1;
        Answer::Configured {
            version: self.version,
        }
    }

    /// Accepts what it does not know yet. A repeat of an enqueue whose outcome was unknown is answered as the
    /// first.
    pub fn enqueue(&mut self, batch: &[NewTask]) -> Accepted {
        let mut outcomes = Vec::new();
        let mut ready = Vec::new();
        let refuses = self.refuses();
        for new in batch {
            if let Some(known) = self.tasks.get(&new.id) {
                outcomes.push(Ok(Enqueued::new(new.id, known.run_at)));
                continue;
            }
            let full_of_dead = refuses.then_some(Err(NotEnqueued::Full(Full::DeadLetters)));
            let met = self
                .repeat(new)
                .or_else(|| self.meet(new))
                .or_else(|| self.refuse_while_paused().map(Err))
                .or(full_of_dead)
                .or_else(|| self.is_full().map(|full| Err(NotEnqueued::Full(full))));
            let outcome = met.unwrap_or_else(|| {
                let task = self.accept(new);
                let made = Enqueued::new(task.id, task.run_at);
                if task.is_ready() {
                    ready.push(task.id);
                }
                if let Some(unique) = &new.unique {
                    self.hold(task.id, unique);
                }
                self.tasks.insert(task.id, task);
                Ok(made)
            });
            if let Ok(told) = &outcome
                && !told.replayed
            {
                self.remember(new, told);
            }
            outcomes.push(outcome);
        }
        self.arrive(&ready);
        Accepted {
            ready: ready.len() as u64,
            outcomes,
        }
    }

    /// Whether as many tasks are unfinished as may be. Their bytes are the auditor's to count: the model
    /// knows no records.
    pub(super) fn is_full(&self) -> Option<Full> {
        let unfinished = self.tasks.values().filter(|task| task.is_unfinished()).count() as u64;
        let max_tasks = self.config.max_tasks?;
        (unfinished >= max_tasks).then_some(Full::Tasks)
    }

    pub(super) fn accept(&mut self, new: &NewTask) -> Task {
        self.accepted = self.accepted.max(self.now.get() * PLACES) + 1;
        self.totals.accepted += 1;
        let due = match new.start {
            Start::Now => self.now,
            Start::After(ms) => self.now.plus(ms),
            Start::At(at) => at,
        };
        let run_at = (due > self.now).then_some(due);
        let expires_at = new.expiry.map(|expiry| expiry.at(self.now));
        let policy = self.config.policy(new);
        let mut task = Task {
            id: new.id,
            name: new.name.clone(),
            group: new.group.as_ref().map_or("", |group| group.as_str()).to_owned(),
            payload: new.payload.bytes().clone(),
            priority: new.priority.get(),
            max_attempts: policy.max_attempts,
            lease_ms: policy.lease_ms,
            retry: policy.retry,
            accepted: self.accepted,
            run_at,
            expires_at,
            place: self.accepted,
            state: State::READY,
            grants: 0,
            nonce: None,
            failed: 0,
            deferrals: 0,
            worker: None,
            progress: None,
            cancel_requested: false,
            attempts: Vec::new(),
            unique: new.unique.clone(),
        };
        if let Some(due) = run_at {
            task.place = task.place_at(due);
            task.state = State::Scheduled { due, ran_out: None };
        }
        task
    }

    /// Tasks became ready: their groups have turns now.
    pub fn arrive(&mut self, ready: &[TaskId]) {
        let groups: BTreeSet<_> = ready.iter().map(|id| self.tasks[id].group.clone()).collect();
        let costs: Vec<_> = groups.iter().map(|group| self.turn_cost(group)).collect();
        self.turns.join(groups.iter().map(String::as_str).zip(costs));
    }

    /// A group of twice the weight has two turns for one.
    pub fn turn_cost(&self, group: &str) -> u64 {
        let weights = &self.config.group_weights;
        let weight = weights.get(group).or_else(|| weights.get("*"));
        weight.map_or(TURN, |weight| weight.stride())
    }

    /// A group with nothing ready has no turn.
    pub fn depart(&mut self, group: &str) {
        if !self
            .tasks
            .values()
            .any(|task| task.is_in_lane() && task.group == group)
        {
            self.turns.leave(group);
        }
    }

    /// Inside a group the lowest is next (I17). Ties are decided by acceptance.
    pub fn order_key(&self, task: &Task) -> (i128, u64) {
        let place = i128::from(task.place);
        let aging = i128::from(self.config.aging_ms.unwrap_or(defaults::AGING_MS) * PLACES);
        let key = match self.config.order.unwrap_or(defaults::ORDER) {
            Order::Aged => place - i128::from(task.priority) * aging,
            Order::Fifo => place,
            Order::Strict => i128::from(1000 - task.priority) << 64 | place,
        };
        (key, task.accepted)
    }
}

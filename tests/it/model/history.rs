//! Histories: the model and the scripts take the same steps, and must agree after each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::Bytes;
use leaseq::domain::change::Change;
use leaseq::domain::dead::Replay;
use leaseq::domain::gate::{Scope, Set};
use leaseq::domain::pause::Pause;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::settle::{Hold, RetryAfter};
use leaseq::domain::task::{DeadReason, Json};
use leaseq::domain::{Millis, NewTask, Priority, Start, TaskId, TaskName, TaskState};
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::answer::{Accepted, Answer, Grant};
use super::dead::Which;
use super::grant::Wish;
use super::operate::Filter;
use super::queue::Queue;
use super::settle::After;
use super::step::{self, Draft, Request, Step, Whose, any_step};
use super::task::{Fault, Proof, Task};
use super::world::{QUEUE, World};
use crate::support::audit::audit;
use crate::support::queue::T0;
use crate::support::redis::Redis;

/// A step with all that only the moment tells: ids, the clock, whose lease it is.
#[derive(Debug, Clone)]
enum Deed {
    Configure(QueueConfig),
    Enqueue(Vec<NewTask>),
    EnqueueAgain(Vec<NewTask>),
    Lease(Vec<TaskName>, Vec<Wish>, u16),
    /// Sweeps overdue tasks first, as the service does.
    SweptLease(Vec<TaskName>, Vec<Wish>, u16),
    Ack(Vec<Proof>, Option<Bytes>),
    Nack(Vec<Proof>, Fault, After, u32),
    Extend(Vec<Proof>, Option<u64>, Option<Bytes>),
    Release(Vec<Proof>, RetryAfter, Hold, u32),
    /// For so many ms; 0 ends it.
    Hold(Scope, u64),
    SetBreaker(TaskName, Set),
    GiveBack(Vec<Proof>),
    Follow(Vec<TaskId>, u64),
    Replay(Which, Vec<TaskId>, Replay, Start, bool),
    PurgeDead(Which),
    Clock(Millis),
    Sweep(usize),
    Flush,
    Cancel(Vec<TaskId>, Option<TaskState>),
    CancelMany(Filter),
    Change(TaskId, Change),
    Purge(Option<TaskState>, usize),
    Pause(Option<Pause>),
    Delete(QueueConfig),
}

/// More than a history enqueues.
const SWEPT: usize = 400;

/// The model, and what it did last.
#[derive(Clone)]
pub struct History {
    queue: Queue,
    /// All tasks go into one lane: the usual queue, for which the scripts have shorter ways.
    one_lane: bool,
    /// Whether operators pause, hold and open breakers.
    gates: bool,
    /// Ids of all tasks ever enqueued, in that order.
    ever: Vec<TaskId>,
    /// Every grant ever, the latest last.
    granted: Vec<Proof>,
    deed: Option<Deed>,
    answer: Answer,
}

/// How it began: what a reader of a failed history needs beside its steps.
impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a new queue with {:?}", self.queue.config)
    }
}

impl History {
    pub fn new(config: QueueConfig) -> Self {
        Self {
            queue: Queue::new(Millis::new(T0), config),
            one_lane: false,
            gates: true,
            ever: Vec::new(),
            granted: Vec::new(),
            deed: None,
            answer: Answer::Nothing,
        }
    }

    fn deed(&mut self, step: &Step) -> Deed {
        let now = self.queue.now;
        match step {
            Step::Configure(config) => Deed::Configure(config.clone()),
            Step::Enqueue {
                tasks,
                again: false,
                request,
            } => Deed::Enqueue(self.new_tasks(tasks, *request)),
            Step::Enqueue {
                tasks,
                again: true,
                request,
            } => Deed::EnqueueAgain(self.new_tasks(tasks, *request)),
            Step::Lease { wishes, names, seed } => {
                let names = names
                    .iter()
                    .map(|name| TaskName::parse(name).expect("a valid name"));
                // The turn of a group whose task turns out to have expired goes to whoever is next: groups
                // without that bad luck are what the model tells of.
                let swept = self.queue.turns.len() > 1 && self.queue.holds_overdue();
                let lease = if swept { Deed::SweptLease } else { Deed::Lease };
                lease(names.collect(), wishes.clone(), *seed)
            }
            Step::Ack { whose, result } => Deed::Ack(self.proofs(whose), result.map(Bytes::from)),
            Step::Nack {
                whose,
                fault,
                after,
                chance,
            } => Deed::Nack(self.proofs(whose), *fault, *after, *chance),
            Step::Extend {
                whose,
                lease_ms,
                progress,
            } => Deed::Extend(self.proofs(whose), *lease_ms, progress.map(Bytes::from)),
            Step::Release {
                whose,
                retry_after,
                hold,
                chance,
            } => Deed::Release(self.proofs(whose), retry_after.retry_after(now), *hold, *chance),
            Step::Hold { scope, ms } => Deed::Hold(scope.clone(), *ms),
            Step::SetBreaker { name, set } => {
                Deed::SetBreaker(TaskName::parse(name).expect("a valid name"), *set)
            }
            Step::GiveBack { whose } => Deed::GiveBack(self.proofs(whose)),
            Step::Follow { latest, ms } => Deed::Follow(self.latest(latest), *ms),
            Step::Replay {
                which,
                start,
                max_attempts,
                priority,
                payload_bytes,
                again,
            } => {
                let which = which.at(now);
                let ids = self.new_ids(self.queue.find_dead(&which).len());
                let replay = Replay {
                    max_attempts: *max_attempts,
                    delay_ms: 0,
                    priority: priority.and_then(Priority::new),
                    payload: payload_bytes.map(|bytes| Json::from_checked(step::payload(bytes))),
                };
                Deed::Replay(which, ids, replay, start.start(now), *again)
            }
            Step::PurgeDead(which) => Deed::PurgeDead(which.at(now)),
            Step::Advance(ms) => Deed::Clock(now.plus(*ms)),
            Step::Sweep { limit } => Deed::Sweep(*limit),
            Step::Flush => Deed::Flush,
            Step::Cancel { whose, only } => Deed::Cancel(self.ids(whose), *only),
            Step::CancelMany(filter) => Deed::CancelMany(filter.clone()),
            Step::Change {
                whose,
                priority,
                when,
            } => match self.ids(&[*whose]).first() {
                Some(id) => Deed::Change(*id, when.change(*priority, now)),
                None => Deed::Flush,
            },
            Step::Purge { state, page } => Deed::Purge(*state, *page),
            Step::Pause(pause) => Deed::Pause(pause.map(|(mode, until)| until.pause(mode, now))),
            Step::Delete(config) => Deed::Delete(config.clone()),
        }
    }

    fn new_tasks(&mut self, drafts: &[Draft], request: Option<Request>) -> Vec<NewTask> {
        let mut tasks: Vec<_> = drafts
            .iter()
            .zip(self.ever.len()..)
            .map(|(draft, number)| draft.task(u32::try_from(number).expect("few"), self.queue.now))
            .collect();
        if let Some(request) = request {
            for (index, task) in (0..).zip(&mut tasks) {
                task.repeat_mark = Some(request.repeatable(drafts.len()).mark_of(index));
            }
            if let [only] = &mut tasks[..] {
                only.repeat_mark = Some(request.repeatable(1).mark());
            }
        }
        self.ever.extend(tasks.iter().map(|task| task.id));
        tasks
    }

    /// Distinct, as far as there are that many.
    fn latest(&self, latest: &[usize]) -> Vec<TaskId> {
        let ids: std::collections::BTreeSet<_> = latest
            .iter()
            .filter_map(|n| self.ever.iter().rev().nth(*n))
            .collect();
        ids.into_iter().copied().collect()
    }

    fn new_ids(&mut self, count: usize) -> Vec<TaskId> {
        let numbers = self.ever.len()..self.ever.len() + count;
        let ids: Vec<_> = numbers
            .map(|number| step::id(u32::try_from(number).expect("few")))
            .collect();
        self.ever.extend(&ids);
        ids
    }

    /// One per task: a second operation on one task comes in a later call.
    fn proofs(&self, whose: &[Whose]) -> Vec<Proof> {
        let held = |proof: &&Proof| {
            self.queue
                .tasks
                .get(&proof.task)
                .is_some_and(|task| task.held_by(**proof).is_some())
        };
        let leased: Vec<_> = self.granted.iter().filter(held).copied().collect();
        let mut proofs: Vec<Proof> = Vec::new();
        for whose in whose {
            let among = if whose.leased { &leased } else { &self.granted };
            let Some(latest) = whose.latest.checked_rem(among.len()) else {
                continue;
            };
            let mut proof = among[among.len() - 1 - latest];
            proof.nonce ^= u16::from(whose.forged);
            if proofs.iter().all(|other| other.task != proof.task) {
                proofs.push(proof);
            }
        }
        proofs
    }

    /// The n-th latest of those that wait or are leased, or of all there ever were; each once.
    fn ids(&self, whose: &[Whose]) -> Vec<TaskId> {
        let unfinished = |id: &&TaskId| self.queue.tasks.get(*id).is_some_and(Task::is_unfinished);
        let current: Vec<_> = self.ever.iter().filter(unfinished).copied().collect();
        let mut ids = Vec::new();
        for whose in whose {
            let among = if whose.leased { &current } else { &self.ever };
            let Some(latest) = whose.latest.checked_rem(among.len()) else {
                continue;
            };
            let id = among[among.len() - 1 - latest];
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    fn take(&mut self, deed: &Deed) -> Answer {
        let queue = &mut self.queue;
        match deed {
            Deed::Configure(config) => queue.configure(config.clone()),
            Deed::Enqueue(tasks) => Answer::Accepted(vec![queue.enqueue(tasks)]),
            Deed::EnqueueAgain(tasks) => {
                let (_, first) = tasks.split_last().expect("at least one");
                Answer::Accepted(vec![queue.enqueue(first), queue.enqueue(tasks)])
            }
            Deed::Lease(names, wishes, seed) => queue.lease(names, wishes, *seed),
            Deed::SweptLease(names, wishes, seed) => {
                queue.sweep(SWEPT);
                queue.lease(names, wishes, *seed)
            }
            Deed::Ack(proofs, result) => queue.ack(proofs, result.as_ref()),
            Deed::Nack(proofs, fault, after, chance) => queue.nack(proofs, *fault, *after, *chance),
            Deed::Extend(proofs, lease_ms, progress) => queue.extend(proofs, *lease_ms, progress.as_ref()),
            Deed::Release(proofs, retry_after, hold, chance) => {
                queue.release(proofs, *retry_after, *hold, *chance)
            }
            Deed::Hold(scope, ms) => queue.hold_for(scope, *ms),
            Deed::SetBreaker(name, set) => queue.set_breaker(name, *set),
            Deed::GiveBack(proofs) => queue.give_back(proofs),
            Deed::Follow(ids, ms) => queue.follow(ids, *ms),
            Deed::Replay(which, ids, replay, start, _) => queue.replay(which, ids, replay, *start),
            Deed::PurgeDead(which) => queue.purge_dead(which),
            Deed::Clock(now) => {
                queue.now = *now;
                Answer::Nothing
            }
            Deed::Sweep(limit) => queue.sweep(*limit),
            Deed::Flush => Answer::Nothing,
            Deed::Cancel(ids, only) => queue.cancel(ids, *only),
            Deed::CancelMany(filter) => queue.cancel_many(filter),
            Deed::Change(id, change) => queue.change(*id, *change),
            Deed::Purge(state, _) => queue.purge(*state),
            Deed::Pause(pause) => queue.pause(pause.as_ref()),
            Deed::Delete(config) => queue.delete(config.clone()),
        }
    }
}

impl World {
    fn take(&mut self, deed: &Deed) -> Answer {
        match deed {
            Deed::Configure(config) => self.configure(config),
            Deed::Enqueue(tasks) => Answer::Accepted(vec![self.enqueue(tasks, false)]),
            Deed::EnqueueAgain(tasks) => {
                let (_, first) = tasks.split_last().expect("at least one");
                let first = match first {
                    [] => Accepted {
                        ready: 0,
                        outcomes: Vec::new(),
                    },
                    first => self.enqueue(first, false),
                };
                Answer::Accepted(vec![first, self.enqueue(tasks, true)])
            }
            Deed::Lease(names, wishes, seed) => self.lease(names, wishes, *seed),
            Deed::SweptLease(names, wishes, seed) => {
                self.sweep(SWEPT);
                self.lease(names, wishes, *seed)
            }
            // A settle of nothing is not sent.
            Deed::Ack(proofs, ..)
            | Deed::Nack(proofs, ..)
            | Deed::Extend(proofs, ..)
            | Deed::Release(proofs, ..)
            | Deed::GiveBack(proofs)
                if proofs.is_empty() =>
            {
                Answer::Settled(Vec::new())
            }
            Deed::Ack(proofs, result) => self.ack(proofs, result.as_ref()),
            Deed::Nack(proofs, fault, after, chance) => self.nack(proofs, *fault, *after, *chance),
            Deed::Extend(proofs, lease_ms, progress) => self.extend(proofs, *lease_ms, progress.as_ref()),
            Deed::Release(proofs, retry_after, hold, chance) => {
                self.release(proofs, *retry_after, *hold, *chance)
            }
            Deed::Hold(scope, ms) => self.hold(scope, *ms),
            Deed::SetBreaker(name, set) => self.set_breaker(name, *set),
            Deed::GiveBack(proofs) => self.give_back(proofs),
            Deed::Follow(ids, ms) => self.follow(ids, *ms),
            Deed::Replay(which, ids, replay, start, again) => self.replay(which, ids, replay, *start, *again),
            Deed::PurgeDead(which) => self.purge_dead(which),
            Deed::Clock(now) => {
                self.redis.set_clock(now.get());
                Answer::Nothing
            }
            Deed::Sweep(limit) => self.sweep(*limit),
            Deed::Cancel(ids, only) => self.cancel(ids, *only),
            Deed::CancelMany(filter) => self.cancel_many(filter),
            Deed::Change(id, change) => self.change(*id, *change),
            Deed::Purge(state, page) => self.purge(*state, *page),
            Deed::Pause(pause) => self.pause(pause.as_ref()),
            Deed::Delete(config) => self.delete(config),
            Deed::Flush => {
                self.flush_scripts();
                Answer::Nothing
            }
        }
    }
}

impl ReferenceStateMachine for History {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        (step::config(), prop::bool::weighted(0.3), any::<bool>())
            .prop_map(|(config, one_lane, gates)| Self {
                one_lane,
                gates,
                ..Self::new(config)
            })
            .boxed()
    }

    fn transitions(history: &Self) -> BoxedStrategy<Step> {
        any_step(history.one_lane, history.gates)
    }

    fn apply(mut history: Self, step: &Step) -> Self {
        let deed = history.deed(step);
        history.answer = history.take(&deed);
        if let Answer::Leased { grants, .. } = &history.answer {
            let proof = |grant: &Grant| Proof {
                task: grant.id,
                grant: grant.grant,
                nonce: grant.nonce,
            };
            history.granted.extend(grants.iter().map(proof));
        }
        history.deed = Some(deed);
        history
    }
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Keeps one Redis for all cases that `test` runs, and ends it with them. Says what they met.
fn in_one_world(redis: Redis, test: impl FnOnce()) -> BTreeMap<&'static str, usize> {
    WORLD.set(Some(World::on(redis)));
    let outcome = catch_unwind(AssertUnwindSafe(test));
    let world = WORLD.take().expect("set above");
    if let Err(panic) = outcome {
        drop(world);
        resume_unwind(panic);
    }
    world.met
}

/// The scripts under test; the world itself waits in [`WORLD`].
struct Scripts;

impl StateMachineTest for Scripts {
    type SystemUnderTest = ();
    type Reference = History;

    fn init_test(history: &History) {
        WORLD.with_borrow_mut(|world| {
            let world = world.as_mut().expect("in_one_world");
            world.reset(history.queue.now, &history.queue.config);
        });
    }

    fn apply((): (), history: &History, _: Step) {
        WORLD.with_borrow_mut(|world| {
            let world = world.as_mut().expect("in_one_world");
            if world.is_lost {
                return;
            }
            let deed = history.deed.as_ref().expect("a step was taken");
            let answer = world.take(deed);
            if world.is_lost {
                return;
            }
            assert_eq!(
                answer, history.answer,
                "scripts (left) and model (right) answer {deed:?}"
            );
            if let Deed::Lease(names, ..) = deed
                && let Some(told) = world.told_short
            {
                let fits = history.queue.check_shut(names, told);
                assert_eq!(fits, Ok(()), "{told:?} was told after {deed:?}");
                if let Some(told) = told {
                    *world.met.entry(told.reason.word()).or_default() += 1;
                }
            }
            // Pages of several sizes, from one id to all.
            let page = 1 + history.ever.len() % 7;
            let seen = world.seen(&history.ever, page);
            let differences = seen.differences(&history.queue.seen(&history.ever));
            assert!(
                differences.is_empty(),
                "after {deed:?} a reader sees {differences:#?}"
            );
            let peeked = world.peek();
            let mut dead = history.queue.dead_letters();
            dead.reverse();
            assert_eq!(peeked, dead, "dead letters after {deed:?}");
            let problems = audit(&world.redis, QUEUE);
            assert!(problems.is_empty(), "after {deed:?}: {problems:#?}");
            if history.ever.len().is_multiple_of(LIVE_AUDIT_EVERY) {
                assert_eq!(world.live_problems(), [], "after {deed:?}");
            }
            let expired = seen
                .tasks
                .iter()
                .flatten()
                .filter(|task| task.reason == Some(DeadReason::Expired));
            for word in answer.words().into_iter().chain(expired.map(|_| "expired")) {
                *world.met.entry(word).or_default() += 1;
            }
        });
    }
}

/// Takes the steps, both ways.
pub fn replay(config: QueueConfig, steps: Vec<Step>) {
    in_one_world(Redis::start(), || {
        Scripts::test_sequential(Config::default(), History::new(config), steps, None)
    });
}

/// It takes a dozen calls: not after every step.
const LIVE_AUDIT_EVERY: usize = 4;

const CASES: u32 = 200;

fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    asked.unwrap_or(CASES)
}

prop_state_machine! {
    #![proptest_config(Config {
        cases: cases(),
        failure_persistence: None, // A failure becomes a test in promises.rs.
        max_shrink_iters: 4_000,
        ..Config::default()
    })]

    fn random_histories(sequential 20..60 => Scripts);
}

prop_state_machine! {
    #![proptest_config(Config {
        cases: cases() / 10,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Config::default()
    })]

    fn fewer_histories(sequential 20..60 => Scripts);
}

/// The same text as plain scripts, for Redis 6.2, which has no functions.
#[test]
fn plain_scripts_and_semantics_agree_on_random_histories() {
    let redis = Redis::start_with(&[
        "--rename-command",
        "FUNCTION",
        "",
        "--rename-command",
        "FCALL",
        "",
    ]);
    let met = in_one_world(redis, fewer_histories);
    assert!(
        met.contains_key("granted") && met.contains_key("acked"),
        "{met:#?}"
    );
}

/// I1 to I19 and I25, as far as one client at a time can tell.
#[test]
fn scripts_and_semantics_agree_on_random_histories() {
    let met = in_one_world(Redis::start(), || {
        random_histories();
        // Some of it is rare.
        for _ in 0..50 {
            if cases() < CASES
                || WORLD.with_borrow(|world| missed(&world.as_ref().expect("set").met).is_empty())
            {
                break;
            }
            fewer_histories();
        }
    });
    println!("{met:#?}");
    let missed = missed(&met);
    assert!(
        missed.is_empty() || cases() < CASES,
        "no history ever met {missed:?}"
    );
}

fn missed(met: &BTreeMap<&'static str, usize>) -> Vec<&'static str> {
    TO_MEET
        .iter()
        .filter(|word| !met.contains_key(*word))
        .copied()
        .collect()
}

/// The cases that histories must contain, or they prove less than they seem to.
const TO_MEET: &[&str] = &[
    "granted",
    "granted again",
    "granted after an uncounted grant",
    "recalled",
    "recalled nothing",
    "acked",
    "acked late",
    "acked already",
    "nacked ready",
    "nacked scheduled",
    "nacked dead",
    "nacked already",
    "extended",
    "released ready",
    "released scheduled",
    "released dead",
    "released already",
    "lost",
    "refused for its dead letters",
    "followed",
    "ended before",
    "gone before",
    "replayed ready",
    "replayed scheduled",
    "purged dead",
    "took back",
    "expired",
    "came due",
    "made",
    "duplicate",
    "rejected",
    "replaced",
    "replayed",
    "mismatched",
    "cancelled",
    "cancel requested",
    "cancel refused",
    "cancel of nothing",
    "nacked cancelled",
    "released cancelled",
    "extended and told to end",
    "changed, scheduled",
    "changed, ready",
    "change refused",
    "refused while paused",
    "refused by a full queue",
    "resumed with tasks",
    "not paused",
    "purged",
    "deleted",
    "rate_limited",
    "concurrency_limited",
    "held",
    "breaker_open",
];

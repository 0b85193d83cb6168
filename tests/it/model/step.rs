//! One step of a history, and how histories are made up.

use bytes::Bytes;
use leaseq::domain::change::{Change, When};
use leaseq::domain::dead::DeadFilter;
use leaseq::domain::gate::{Breaker, Limits, Positive, Scope, Set};
use leaseq::domain::idempotency::Repeatable;
use leaseq::domain::pause::{Pause, PauseMode};
use leaseq::domain::queue::{Keep, NameConfig, OnFull, Order, QueueConfig};
use leaseq::domain::retry::{Jitter, RetryConfig, Strategy as Growth, Thousandths};
use leaseq::domain::settle::Hold;
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::task::{DeadReason, Json};
use leaseq::domain::unique::{OnDuplicate, Unique, UniqueScope};
use leaseq::domain::{
    Expiry, Group, Millis, NewTask, Priority, RetryPolicy, Start, TaskId, TaskName, TaskState, UniqueKey,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::dead;
use super::grant::Wish;
use super::operate::Filter;
use super::settle::After;
use super::task::{FAULTS, Fault};

pub const NAMES: [&str; 3] = ["mail", "report", "sync"];
pub const GROUPS: [&str; 4] = ["", "acme", "zeta/corp", "Müller"];
const PRIORITIES: [u64; 6] = [0, 1, 10, 11, 50, 1000];

#[derive(Debug, Clone)]
pub enum Step {
    Configure(QueueConfig),
    Enqueue {
        tasks: Vec<Draft>,
        /// The outcome of the first try is unknown: the same batch is sent again, with one task more.
        again: bool,
        request: Option<Request>,
    },
    Lease {
        wishes: Vec<Wish>,
        names: Vec<&'static str>,
        seed: u16,
    },
    Ack {
        whose: Vec<Whose>,
        result: Option<&'static str>,
    },
    Nack {
        whose: Vec<Whose>,
        fault: Fault,
        after: After,
        chance: u32,
    },
    Extend {
        whose: Vec<Whose>,
        lease_ms: Option<u64>,
        progress: Option<&'static str>,
    },
    Release {
        whose: Vec<Whose>,
        retry_after: Retry,
        hold: Hold,
        chance: u32,
    },
    SetBreaker {
        name: &'static str,
        set: Set,
    },
    /// An operator's; 0 ends it.
    Hold {
        scope: Scope,
        ms: u64,
    },
    GiveBack {
        whose: Vec<Whose>,
    },
    /// Somebody waits for the ends of these, counted from the latest task ever.
    Follow {
        latest: Vec<usize>,
        ms: u64,
    },
    /// Dead letters become new tasks.
    Replay {
        which: Which,
        start: Retry,
        max_attempts: Option<u16>,
        priority: Option<u64>,
        payload_bytes: Option<usize>,
        /// The outcome of the first try is unknown.
        again: bool,
    },
    PurgeDead(Which),
    Advance(u64),
    Sweep {
        limit: usize,
    },
    /// Redis forgets the scripts.
    Flush,
    Cancel {
        whose: Vec<Whose>,
        only: Option<TaskState>,
    },
    CancelMany(Filter),
    Change {
        whose: Whose,
        priority: Option<u64>,
        when: Retry,
    },
    Purge {
        state: Option<TaskState>,
        page: usize,
    },
    /// The mode and the end of a pause; nothing, to resume.
    Pause(Option<(PauseMode, Retry)>),
    /// The queue goes, and is made anew.
    Delete(QueueConfig),
}

/// Which dead letters: by one of the filters.
#[derive(Debug, Clone, Copy)]
pub struct Which {
    pub by: By,
    pub limit: usize,
}

#[derive(Debug, Clone, Copy)]
pub enum By {
    All,
    Name(&'static str),
    Group(&'static str),
    Reason(DeadReason),
    ErrorType(&'static str),
    /// Died within these ms, or before them.
    Within(u64),
    Before(u64),
}

/// A task to enqueue, before it has an id.
#[derive(Debug, Clone)]
pub struct Draft {
    pub name: &'static str,
    pub group: &'static str,
    pub priority: u64,
    pub start: Retry,
    /// `Retry::Now` stands for never.
    pub expiry: Retry,
    pub retry: Option<RetryPolicy>,
    pub max_attempts: Option<u16>,
    pub lease_ms: Option<u64>,
    pub payload_bytes: usize,
    /// Which key, for how long, and what if it is held.
    pub unique: Option<(u8, UniqueScope, OnDuplicate)>,
}

/// An `Idempotency-Key` and a body, one of a few each.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub key: u8,
    pub body: u8,
}

impl Request {
    /// As the API makes it: a request of one task has another form than one of many.
    pub fn repeatable(self, tasks: usize) -> Repeatable {
        let form = if tasks == 1 { "task" } else { "batch" };
        Repeatable::new("", &format!("r{}", self.key), form, &[self.body])
    }
}

/// A time that is written down before the clock is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    Now,
    After(u64),
    /// An instant, in ms from now; below zero it is past.
    At(i64),
}

/// Whose lease: the n-th latest grant, modulo their number.
#[derive(Debug, Clone, Copy)]
pub struct Whose {
    pub latest: usize,
    /// Counted among those that are leased now, or among all there ever were.
    pub leased: bool,
    /// With another nonce.
    pub forged: bool,
}

pub const fn latest(latest: usize) -> Whose {
    Whose {
        latest,
        leased: false,
        forged: false,
    }
}

impl Retry {
    fn instant(self, now: Millis) -> Option<Millis> {
        match self {
            Self::At(ms) => Some(Millis::new(now.get().saturating_add_signed(ms))),
            _ => None,
        }
    }

    pub fn start(self, now: Millis) -> Start {
        match self {
            Self::Now => Start::Now,
            Self::After(ms) => Start::After(ms),
            Self::At(_) => Start::At(self.instant(now).expect("an instant")),
        }
    }

    fn expiry(self, now: Millis) -> Option<Expiry> {
        match self {
            Self::Now => None,
            Self::After(ms) => Some(Expiry::After(ms)),
            Self::At(_) => self.instant(now).map(Expiry::At),
        }
    }

    /// `Now` leaves the time as it is; an instant that is past means now.
    pub fn change(self, priority: Option<u64>, now: Millis) -> Change {
        Change {
            priority: priority.and_then(Priority::new),
            when: match self {
                Self::Now => When::AsItWas,
                Self::After(0) => When::Now,
                Self::After(ms) => When::At(now.plus(ms)),
                Self::At(_) => When::At(self.instant(now).expect("an instant")),
            },
        }
    }

    /// `Now` leaves the end open.
    pub fn pause(self, mode: PauseMode, now: Millis) -> Pause {
        Pause {
            mode,
            until: match self {
                Self::Now => None,
                Self::After(ms) => Some(now.plus(ms)),
                Self::At(_) => self.instant(now),
            },
            reason: None,
        }
    }

    pub fn retry_after(self, now: Millis) -> RetryAfter {
        match self {
            Self::Now => RetryAfter::None,
            Self::After(ms) => RetryAfter::Ms(ms),
            Self::At(_) => RetryAfter::At(self.instant(now).expect("an instant")),
        }
    }
}

impl Which {
    pub fn at(self, now: Millis) -> dead::Which {
        let ago = |ms| Some(Millis::new(now.get() - ms));
        let mut filter = DeadFilter::default();
        match self.by {
            By::All => {}
            By::Name(name) => filter.name = TaskName::parse(name).ok(),
            By::Group(group) => filter.group = Group::parse(group).ok(),
            By::Reason(reason) => filter.reason = Some(reason),
            By::ErrorType(kind) => filter.error_type = Some(kind.to_owned()),
            By::Within(ms) => filter.died_after = ago(ms),
            By::Before(ms) => filter.died_before = ago(ms),
        }
        dead::Which {
            filter,
            limit: self.limit,
        }
    }
}

/// A JSON string of so many bytes.
pub fn payload(bytes: usize) -> Bytes {
    format!("\"{}\"", "x".repeat(bytes - 2)).into()
}

impl Draft {
    /// A plain task of the first name.
    pub const fn new() -> Self {
        Self {
            name: NAMES[0],
            group: "",
            priority: 10,
            start: Retry::Now,
            expiry: Retry::Now,
            retry: None,
            max_attempts: None,
            lease_ms: None,
            payload_bytes: 2,
            unique: None,
        }
    }

    pub fn task(&self, number: u32, now: Millis) -> NewTask {
        NewTask {
            id: id(number),
            name: TaskName::parse(self.name).expect("a valid name"),
            group: Group::parse(self.group).ok(),
            priority: Priority::new(self.priority).expect("a valid priority"),
            start: self.start.start(now),
            expiry: self.expiry.expiry(now),
            retry: self.retry,
            max_attempts: self.max_attempts,
            lease_ms: self.lease_ms,
            unique: self.unique.map(|(key, scope, on_duplicate)| Unique {
                key: UniqueKey::parse(&format!("k{key}")).expect("a valid key"),
                scope,
                on_duplicate,
            }),
            ..NewTask::new(Json::from_checked(payload(self.payload_bytes)))
        }
    }
}

/// Ids differ and sort in another order than tasks are accepted in, so that nothing can lean on them.
pub fn id(number: u32) -> TaskId {
    let scrambled = number.wrapping_mul(0x9E37_79B1).to_be_bytes();
    let bytes: Vec<u8> = scrambled.into_iter().cycle().take(TaskId::BYTES).collect();
    TaskId::from_slice(&bytes).expect("fourteen bytes")
}

/// Any step; operators shut gates only where `gates` are: without them, more is leased.
pub fn any_step(one_lane: bool, gates: bool) -> BoxedStrategy<Step> {
    let step = step(one_lane);
    if gates {
        prop_oneof![7 => step, 1 => gate()].boxed()
    } else {
        step
    }
}

fn gate() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (select(NAMES.to_vec()), select(vec![Set::Closed, Set::Open { ms: None }, Set::Open { ms: Some(700) }, Set::Open { ms: Some(3_000) }]))
            .prop_map(|(name, set)| Step::SetBreaker { name, set }),
        2 => (scope(), prop_oneof![1 => Just(0), 2 => durations()]).prop_map(|(scope, ms)| Step::Hold { scope, ms }),
        2 => option::weighted(0.5, (select(PauseMode::ALL.to_vec()), retry())).prop_map(Step::Pause),
    ]
}

/// Those that move tasks on come more often.
fn step(one_lane: bool) -> BoxedStrategy<Step> {
    prop_oneof![
        1 => config().prop_map(Step::Configure),
        6 => (vec(draft(one_lane), 1..6), prop::bool::weighted(0.2), request())
            .prop_map(|(tasks, again, request)| Step::Enqueue { tasks, again, request }),
        8 => (vec(wish(), 1..3), names(), 0..2048u16).prop_map(|(mut wishes, names, seed)| {
            distinct_requests(&mut wishes);
            Step::Lease { wishes, names, seed }
        }),
        4 => (whose(), option::of(select(vec!["null", "{\"a\":[]}"]))).prop_map(|(whose, result)| Step::Ack { whose, result }),
        4 => (whose(), select(FAULTS.to_vec()), after(), chance())
            .prop_map(|(whose, fault, after, chance)| Step::Nack { whose, fault, after, chance }),
        4 => (whose(), option::of(durations()), option::of(Just("{\"done\":1}")))
            .prop_map(|(whose, lease_ms, progress)| Step::Extend { whose, lease_ms, progress }),
        3 => (whose(), retry(), select(vec![Hold::None, Hold::None, Hold::Name, Hold::Group, Hold::Queue]), chance())
            .prop_map(|(whose, retry_after, hold, chance)| Step::Release { whose, retry_after, hold, chance }),
        1 => whose().prop_map(|whose| Step::GiveBack { whose }),
        1 => (vec(0..12usize, 1..4), durations()).prop_map(|(latest, ms)| Step::Follow { latest, ms }),
        3 => replay(),
        1 => which().prop_map(Step::PurgeDead),
        4 => prop_oneof![6 => durations(), 1 => Just(600_000)].prop_map(Step::Advance),
        4 => select(vec![1, 2, 256]).prop_map(|limit| Step::Sweep { limit }),
        1 => Just(Step::Flush),
        3 => (whose(), option::weighted(0.2, select(vec![TaskState::Ready, TaskState::Leased])))
            .prop_map(|(whose, only)| Step::Cancel { whose, only }),
        1 => filter().prop_map(Step::CancelMany),
        4 => (whose(), option::weighted(0.6, select(PRIORITIES.to_vec())), retry())
            .prop_map(|(whose, priority, when)| Step::Change { whose: whose[0], priority, when }),
        1 => (option::weighted(0.9, select(TaskState::ALL.to_vec())), select(vec![1, 3, 256]))
            .prop_map(|(state, page)| Step::Purge { state, page }),
        1 => prop_oneof![2 => Just(Step::Flush), 1 => config().prop_map(Step::Delete)],
    ]
    .boxed()
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        1 => Just(Scope::Queue),
        3 => select(NAMES.to_vec()).prop_map(|name| Scope::Name(name.to_owned())),
        3 => select(GROUPS.to_vec()).prop_map(|group| Scope::Group(group.to_owned())),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let state = option::weighted(
        0.7,
        select(vec![TaskState::Scheduled, TaskState::Ready, TaskState::Leased]),
    );
    let name = option::of(select(NAMES.to_vec()));
    let group = option::of(select(GROUPS[1..].to_vec()));
    (state, name, group).prop_map(|(state, name, group)| Filter { state, name, group })
}

pub fn config() -> BoxedStrategy<QueueConfig> {
    let policy = (
        option::of(1..4u16),
        option::of(select(vec![1_000, 30_000])),
        option::of(retry_config()),
    );
    let order = select(vec![Order::Aged, Order::Strict, Order::Fifo]);
    let aging_ms = select(vec![0, 1, 500, 6_000]);
    let keep = select(vec![Keep::All, Keep::All, Keep::Results, Keep::None]);
    let bounds = (
        (
            option::of(select(vec![0, 1, 3])),
            option::of(select(vec![1_000, 40_000])),
            select(vec![
                OnFull::EvictOldest,
                OnFull::EvictOldest,
                OnFull::RejectEnqueue,
            ]),
        ),
        option::of(select(vec![0, 2])),
        option::of(select(vec![0, 1_000])),
        option::of(select(vec![0, 1])),
        option::of(select(vec![1_000, 40_000])),
        option::of(select(vec![1_000, 10_000])),
        option::weighted(0.2, select(vec![2, 6])),
    );
    (
        policy,
        order,
        aging_ms,
        keep,
        bounds,
        (names_config(), weights(), limits(), group_limits(), breaker()),
    )
        .prop_map(
            |(
                (max_attempts, lease_ms, retry),
                order,
                aging_ms,
                keep,
                bounds,
                (names, group_weights, limits, group_limits, breaker),
            )| {
                let (
                    dead,
                    completed_max,
                    completed_ms,
                    max_deferrals,
                    max_lease_ms,
                    idempotency_ms,
                    max_tasks,
                ) = bounds;
                let (dead_max_size, dead_max_age_ms, dead_on_full) = dead;
                QueueConfig {
                    lease_ms,
                    max_lease_ms,
                    max_attempts,
                    max_deferrals,
                    retry,
                    order: Some(order),
                    aging_ms: Some(aging_ms),
                    dead_max_size,
                    dead_max_age_ms,
                    dead_max_bytes: None,
                    dead_on_full: Some(dead_on_full),
                    keep: Some(keep),
                    completed_ms,
                    completed_max,
                    completed_bytes: None,
                    group_weights,
                    limits,
                    breaker,
                    group_limits,
                    idempotency_ms,
                    idempotency_max: None,
                    max_tasks,
                    max_bytes: None,
                    names,
                }
            },
        )
        .boxed()
}

/// Mostly none.
fn limits() -> impl Strategy<Value = Limits> {
    let positive = |numbers: Vec<f64>| {
        option::of(select(numbers).prop_map(|number| Positive::new(number).expect("positive")))
    };
    let limits = (
        positive(vec![0.3, 1.0, 7.0, 1000.0]),
        positive(vec![1.0, 2.5, 4.0]),
        option::of(1..4u64),
    );
    let limits = limits.prop_map(|(rate_per_second, burst, max_leased)| Limits {
        rate_per_second,
        burst: burst.filter(|_| rate_per_second.is_some()),
        max_leased,
    });
    prop_oneof![3 => Just(Limits::default()), 1 => limits]
}

fn breaker() -> impl Strategy<Value = Option<Breaker>> {
    let breaker = (1..4u64, select(vec![500, 2_000]), 1..3u64, 1..3u64);
    let breaker = breaker.prop_map(|(failures, reset_ms, probes, successes)| Breaker {
        failure_threshold: Some(failures),
        reset_ms: Some(reset_ms),
        half_open_max: Some(probes),
        success_threshold: Some(successes),
    });
    option::weighted(0.2, breaker)
}

fn group_limits() -> impl Strategy<Value = std::collections::BTreeMap<String, Limits>> {
    let groups = vec!["*".to_owned(), GROUPS[1].to_owned(), GROUPS[3].to_owned()];
    prop_oneof![2 => Just(std::collections::BTreeMap::new()), 1 => proptest::collection::btree_map(select(groups), limits(), 1..3)]
}

fn weights() -> impl Strategy<Value = std::collections::BTreeMap<String, Positive>> {
    let groups = vec!["*".to_owned(), GROUPS[1].to_owned(), GROUPS[2].to_owned()];
    let weight =
        select(vec![0.3, 1.0, 2.0, 10.0]).prop_map(|weight| Positive::new(weight).expect("positive"));
    prop_oneof![2 => Just(std::collections::BTreeMap::new()), 1 => proptest::collection::btree_map(select(groups), weight, 1..3)]
}

fn names_config() -> impl Strategy<Value = std::collections::BTreeMap<String, NameConfig>> {
    let settings = (
        option::of(1..3u16),
        option::of(Just(2_000)),
        option::of(retry_config()),
        limits(),
        breaker(),
    )
        .prop_map(|(max_attempts, lease_ms, retry, limits, breaker)| NameConfig {
            lease_ms,
            max_attempts,
            retry,
            limits,
            breaker,
        });
    proptest::collection::btree_map(select(vec![NAMES[1].to_owned(), "*".to_owned()]), settings, 0..2)
}

fn draft(one_lane: bool) -> impl Strategy<Value = Draft> {
    let lane = if one_lane {
        (Just(NAMES[0]), Just(GROUPS[0]), Just(10)).boxed()
    } else {
        let priority = prop_oneof![3 => Just(10), 2 => select(PRIORITIES.to_vec())];
        (select(NAMES.to_vec()), select(GROUPS.to_vec()), priority).boxed()
    };
    (
        lane,
        prop_oneof![4 => Just(Retry::Now), 1 => retry()],
        (
            prop_oneof![Just(Retry::Now), retry()],
            option::weighted(0.2, retry_config()),
        ),
        option::weighted(0.3, 1..4u16),
        option::weighted(0.2, select(vec![1_000, 10_000])),
        prop_oneof![8 => Just(2usize), 1 => Just(2048), 1 => Just(2049)],
        option::weighted(0.25, unique()),
    )
        .prop_map(
            move |(
                (name, group, priority),
                start,
                (expiry, retry),
                max_attempts,
                lease_ms,
                payload_bytes,
                unique,
            )| Draft {
                start,
                expiry,
                retry: retry.map(|set| set.policy()),
                max_attempts,
                lease_ms,
                payload_bytes,
                unique,
                ..match unique {
                    // Tasks of one key are in one lane: the entry of a replaced task that changed lanes is
                    // stale, and what stale entries do to turns is not the model's to know.
                    Some((key, ..)) if !one_lane => Draft {
                        name: NAMES[usize::from(key)],
                        group: GROUPS[usize::from(key)],
                        ..Draft::new()
                    },
                    _ => Draft {
                        name,
                        group,
                        priority,
                        ..Draft::new()
                    },
                }
            },
        )
}

fn unique() -> impl Strategy<Value = (u8, UniqueScope, OnDuplicate)> {
    let scope = prop_oneof![
        2 => select(vec![1_000, 30_000]).prop_map(UniqueScope::Ttl),
        1 => Just(UniqueScope::UntilLeased),
        2 => Just(UniqueScope::UntilFinished),
    ];
    let on_duplicate = select(vec![
        OnDuplicate::Return,
        OnDuplicate::Reject,
        OnDuplicate::Replace,
    ]);
    (0..3u8, scope, on_duplicate)
}

fn request() -> impl Strategy<Value = Option<Request>> {
    let request = (0..3u8, prop_oneof![4 => Just(0u8), 1 => Just(1)]);
    option::weighted(0.3, request.prop_map(|(key, body)| Request { key, body }))
}

fn wish() -> impl Strategy<Value = Wish> {
    let tasks = prop_oneof![3 => Just(1usize), 2 => 2..8usize];
    let lease_ms = option::weighted(0.3, select(vec![1_000, 20_000, 60_000]));
    let worker = option::weighted(0.3, select(vec!["w1".to_owned(), "w2".to_owned()]));
    let request_id = option::weighted(0.2, select(vec!["r1".to_owned(), "r2".to_owned()]));
    (tasks, lease_ms, worker, request_id).prop_map(|(tasks, lease_ms, worker, request_id)| Wish {
        tasks,
        lease_ms,
        worker,
        request_id,
    })
}

/// Requests of one call have names of their own: the caller sends a repeat in a later call.
fn distinct_requests(wishes: &mut [Wish]) {
    for i in 1..wishes.len() {
        if wishes[..i]
            .iter()
            .any(|wish| wish.request_id == wishes[i].request_id)
        {
            wishes[i].request_id = None;
        }
    }
}

fn names() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![
        2 => Just(Vec::new()),
        1 => proptest::sample::subsequence(NAMES.to_vec(), 1..3),
    ]
}

/// Mostly the latest grants, and those that are current.
fn whose() -> impl Strategy<Value = Vec<Whose>> {
    let index = prop_oneof![4 => 0..6usize, 1 => 0..100usize];
    let one = (index, prop::bool::weighted(0.6), prop::bool::weighted(0.05));
    let one = one.prop_map(|(latest, leased, forged)| Whose {
        latest,
        leased,
        forged,
    });
    vec(one, 1..5)
}

fn after() -> impl Strategy<Value = After> {
    prop_oneof![
        2 => Just(After::Backoff),
        2 => prop_oneof![Just(0), durations()].prop_map(After::Delay),
        1 => Just(After::Reject),
    ]
}

fn replay() -> impl Strategy<Value = Step> {
    (
        which(),
        prop_oneof![Just(Retry::Now), retry()],
        option::weighted(0.3, 1..4u16),
        option::weighted(0.3, select(PRIORITIES.to_vec())),
        option::weighted(0.3, select(vec![2usize, 2_049])),
        prop::bool::weighted(0.3),
    )
        .prop_map(
            |(which, start, max_attempts, priority, payload_bytes, again)| Step::Replay {
                which,
                start,
                max_attempts,
                priority,
                payload_bytes,
                again,
            },
        )
}

fn which() -> impl Strategy<Value = Which> {
    let by = prop_oneof![
        4 => Just(By::All),
        1 => select(NAMES.to_vec()).prop_map(By::Name),
        1 => select(GROUPS[1..].to_vec()).prop_map(By::Group),
        1 => select(DeadReason::ALL.to_vec()).prop_map(By::Reason),
        1 => select(vec!["error", "lease_expired"]).prop_map(By::ErrorType),
        1 => durations().prop_map(By::Within),
        1 => durations().prop_map(By::Before),
    ];
    let limit = prop_oneof![1 => Just(1usize), 2 => Just(100)];
    (by, limit).prop_map(|(by, limit)| Which { by, limit })
}

fn retry() -> impl Strategy<Value = Retry> {
    prop_oneof![
        1 => Just(Retry::Now),
        1 => prop_oneof![Just(0), durations()].prop_map(Retry::After),
        1 => select(vec![-1_000, 0, 500, 6_000]).prop_map(Retry::At),
    ]
}

/// Factors whose powers a double holds exactly, so that both sides round alike.
fn retry_config() -> impl Strategy<Value = RetryConfig> {
    let growth = option::of(select(Growth::ALL.to_vec()));
    let factor = option::of(select(vec![1_000, 1_500, 3_000]).prop_map(Thousandths));
    let jitter = option::of(select(Jitter::ALL.to_vec()));
    let base_ms = option::of(select(vec![0, 500, 6_000]));
    let max_ms = option::of(select(vec![6_000, 10_000]));
    (growth, factor, jitter, base_ms, max_ms).prop_map(|(strategy, factor, jitter, base_ms, max_ms)| {
        RetryConfig {
            strategy,
            base_ms,
            factor,
            max_ms,
            jitter,
        }
    })
}

fn chance() -> impl Strategy<Value = u32> {
    select(vec![0, 1, 500_000, 999_999])
}

/// Few and commensurable, so that ends, dues and ages meet in one millisecond often.
fn durations() -> impl Strategy<Value = u64> {
    select(vec![1, 500, 1_000, 6_000, 10_000, 30_000, 300_000])
}

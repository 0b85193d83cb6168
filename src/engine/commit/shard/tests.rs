//! The decisions of a shard, with made-up replies and times: no Redis, no clock, no sleep.

use std::sync::Arc;

use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::domain::gate::Reason;
use crate::domain::settle::{Ack, Nack, NotSettled, Settle, SettleOp, Settled};
use crate::domain::task::{Json, TaskError};
use crate::domain::{Lease, NewTask, TaskId};
use crate::engine::commit::command::{LeaseCaller, TaskOutcome};
use crate::engine::commit::undelivered::RawGrants;
use crate::store::ops::lease::Wish;
use crate::store::reply::Part;

const NOW: u64 = 1_000_000;
const SECOND: Duration = Duration::from_secs(1);
/// Wishes of one call in these tests, at most.
const WISHES_MAX: usize = 8;

type LeaseReceiver = oneshot::Receiver<Result<Leased<RawGrants>, Failure>>;

/// A shard under test, at a time of its own, and the channel that receives its give-backs.
struct Stage {
    shard: Shard,
    home: mpsc::Receiver<GiveBack>,
    now: Instant,
}

impl Stage {
    fn new() -> Self {
        let (sender, home) = mpsc::channel(8);
        let settings = ShardSettings {
            replica: "replica1,".into(),
            script_items: 256,
            auto_create: true,
            response_timeout: Duration::from_secs(5),
            metrics: Arc::default(),
        };
        Self {
            shard: Shard::new(settings, sender, WaitingCalls::default()),
            home,
            now: Instant::now(),
        }
    }

    /// A shard that knows the config of the queue.
    fn configured() -> Self {
        let mut stage = Self::new();
        stage.shard.pending(&queue()).version = 1;
        stage
    }

    fn take(&mut self, command: Command) {
        self.shard.take(command, self.now);
    }

    fn enqueue(&mut self, tasks: usize) -> oneshot::Receiver<Result<Vec<TaskOutcome>, Failure>> {
        let (reply, outcome) = oneshot::channel();
        let job = EnqueueJob {
            tasks: (0..tasks).map(|_| NewTask::new(Json::null())).collect(),
            bytes: 4 * tasks,
            again: false,
            all_or_none: false,
            reply,
        };
        self.take(Command::Enqueue(queue(), job));
        outcome
    }

    fn settle(&mut self, task: TaskId, op: SettleOp) -> oneshot::Receiver<Vec<SettleOutcome>> {
        let (reply, outcome) = oneshot::channel();
        let settle = Settle {
            lease: lease(task),
            op,
        };
        self.take(Command::Settle(queue(), vec![settle], reply));
        outcome
    }

    /// Sends a lease call for one task that waits for `wait`; zero: not at all.
    fn lease(&mut self, wait: Duration) -> LeaseReceiver {
        self.lease_with(wait, None)
    }

    fn lease_with(&mut self, wait: Duration, request_key: Option<&str>) -> LeaseReceiver {
        let (reply, outcome) = oneshot::channel();
        let job = LeaseJob {
            wish: Wish {
                tasks: 1,
                lease_ms: Some(30_000),
                worker: None,
                request_key: request_key.map(str::to_owned),
            },
            caller: LeaseCaller {
                bytes_max: 1 << 20,
                names: Vec::new(),
                deadline: (!wait.is_zero()).then(|| self.now + wait),
                recall: false,
                reply,
            },
        };
        self.take(Command::Lease(queue(), job));
        outcome
    }

    /// Parks a lease call that found the queue empty.
    fn waiter(&mut self, wait: Duration) -> LeaseReceiver {
        let outcome = self.lease(wait);
        if self.shard.has_work() {
            self.fly([Ok(leased(&[]))]);
        }
        outcome
    }

    fn calls(&mut self) -> Vec<Flight> {
        self.shard.calls(self.now)
    }

    /// Sends the next flush and lands these replies, one per call.
    fn fly<const N: usize>(&mut self, replies: [Result<Reply, StoreError>; N]) {
        let flights = self.calls();
        assert_eq!(
            scripts(&flights).len(),
            N,
            "one reply per call: {:?}",
            scripts(&flights)
        );
        self.land(flights, replies);
    }

    fn land<const N: usize>(&mut self, flights: Vec<Flight>, replies: [Result<Reply, StoreError>; N]) {
        for (flight, reply) in flights.into_iter().zip(replies) {
            self.shard.landed(flight, reply, self.now, self.now);
        }
        self.shard.flush_landed();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.shard.tick(self.now);
    }

    fn waiting(&self) -> usize {
        self.shard.waiting_calls(&queue(), None)
    }
}

fn queue() -> QueueName {
    QueueName::parse("mail").unwrap()
}

fn lease(task: TaskId) -> Lease {
    Lease {
        queue: queue(),
        task,
        grant: 1,
        granted_at: Millis::new(NOW),
        nonce: 7,
        age_ms: 0,
        size: 0,
        holds_key: false,
    }
}

fn task_id() -> TaskId {
    TaskId::new(Millis::local())
}

fn ack() -> SettleOp {
    SettleOp::Ack(Ack::default())
}

fn nack() -> SettleOp {
    SettleOp::Nack(Nack {
        error: TaskError {
            kind: "error".to_owned(),
            message: String::new(),
            stack: None,
            cut: false,
        },
        retry: true,
        delay_ms: None,
    })
}

fn scripts(flights: &[Flight]) -> Vec<(&'static str, usize)> {
    flights.iter().map(Flight::measure).collect()
}

fn number(number: u64) -> Part {
    Part::Number(number)
}

/// Redis accepted this many tasks, all ready.
fn accepted(tasks: u64) -> Reply {
    let mut parts = vec!["accepted".into(), number(NOW), number(tasks), number(1)];
    parts.extend((0..tasks).map(|_| number(0)));
    Reply::of(parts)
}

fn settled(items: &[Part]) -> Reply {
    let mut parts = vec!["settled".into(), number(NOW), number(0)];
    parts.extend_from_slice(items);
    Reply::of(parts)
}

/// Redis granted these tasks, one to each wish, and knows of nothing due.
fn leased(tasks: &[TaskId]) -> Reply {
    leased_until(tasks, None)
}

fn leased_until(tasks: &[TaskId], shut: Option<(&str, u64)>) -> Reply {
    // One number per wish; a script writes no more than it was asked for, and the reader does not look for
    // more.
    let mut given = vec![number(1); tasks.len()];
    given.resize(WISHES_MAX, number(0));
    let why = shut.map_or(Vec::new(), |(word, at)| vec![word.into(), number(at)]);
    let mut parts = vec![
        "leased".into(),
        number(NOW),
        number(0),
        number(0),
        Part::List(Vec::new()),
        number(0),
        Part::List(given),
        Part::List(Vec::new()),
        Part::List(why),
    ];
    for task in tasks {
        parts.push(Part::Bytes(task.as_bytes().to_vec()));
        parts.push(Part::Bytes(Vec::new()));
    }
    Reply::of(parts)
}

fn swept(next_at: u64) -> Reply {
    let rest = (0..5).map(|_| number(0));
    let parts = ["swept".into(), number(NOW), number(next_at)];
    Reply::of(parts.into_iter().chain(rest).collect())
}

fn unknown() -> StoreError {
    StoreError::Unknown("the reply was lost".to_owned())
}

fn granted(outcome: &mut LeaseReceiver) -> usize {
    match outcome.try_recv() {
        Ok(Ok(Leased::Tasks(grants))) => {
            let tasks = grants.grants.len();
            grants.guard.deliver();
            tasks
        }
        Ok(Ok(Leased::Empty { .. })) => 0,
        Ok(Err(failure)) => panic!("{failure}"),
        Err(_) => panic!("the call still waits"),
    }
}

fn still_waits(outcome: &mut LeaseReceiver) -> bool {
    matches!(outcome.try_recv(), Err(TryRecvError::Empty))
}

// Batching.

#[test]
fn commands_that_arrive_during_a_flush_share_the_next_call() {
    let mut stage = Stage::configured();
    let mut callers = [stage.enqueue(1), stage.enqueue(2), stage.enqueue(1)];
    let flights = stage.calls();
    assert_eq!(scripts(&flights), [("enqueue", 4)]);
    let mut late = stage.enqueue(1);
    stage.land(flights, [Ok(accepted(4))]);
    let outcomes = callers
        .each_mut()
        .map(|caller| caller.try_recv().unwrap().unwrap().len());
    assert_eq!(outcomes, [1, 2, 1]);
    assert!(late.try_recv().is_err());
    assert_eq!(scripts(&stage.calls()), [("enqueue", 1)]);
}

#[test]
fn a_flush_settles_before_it_sweeps_enqueues_and_leases() {
    let mut stage = Stage::configured();
    drop(stage.lease(Duration::ZERO));
    drop(stage.enqueue(1));
    stage.take(Command::Sweep(queue()));
    drop(stage.settle(task_id(), nack()));
    drop(stage.settle(task_id(), ack()));
    let order: Vec<_> = scripts(&stage.calls())
        .into_iter()
        .map(|(script, _)| script)
        .collect();
    assert_eq!(order, ["ack", "nack", "sweep", "enqueue", "lease"]);
}

#[test]
fn a_call_carries_no_more_items_than_the_setting_and_the_rest_goes_next() {
    let mut stage = Stage::configured();
    let _callers = [stage.enqueue(200), stage.enqueue(56), stage.enqueue(1)];
    let flights = stage.calls();
    assert_eq!(scripts(&flights), [("enqueue", 256)]);
    assert_eq!(scripts(&stage.calls()), [("enqueue", 1)]);
}

#[test]
fn a_second_settle_of_a_task_waits_for_the_next_flush() {
    let (mut stage, task) = (Stage::new(), task_id());
    let _callers = [stage.settle(task, nack()), stage.settle(task, ack())];
    assert_eq!(scripts(&stage.calls()), [("nack", 1)]);
    assert_eq!(scripts(&stage.calls()), [("ack", 1)]);
}

#[test]
fn each_caller_of_a_settle_gets_its_own_outcome() {
    let (mut stage, first, last) = (Stage::new(), task_id(), task_id());
    let mut callers = [stage.settle(first, ack()), stage.settle(last, ack())];
    stage.fly([Ok(settled(&["acked".into(), "lost".into()]))]);
    let outcomes = callers
        .each_mut()
        .map(|caller| caller.try_recv().unwrap().remove(0));
    let acked = Settled::Acked {
        id: first,
        late: false,
        already: false,
    };
    assert_eq!(outcomes, [Ok(Ok(acked)), Ok(Err(NotSettled::Lost))]);
}

// Retries.

#[test]
fn a_settle_with_an_unknown_outcome_is_retried_once() {
    let mut stage = Stage::new();
    let mut caller = stage.settle(task_id(), ack());
    stage.fly([Err(unknown())]);
    assert!(caller.try_recv().is_err());
    stage.fly([Err(unknown())]);
    assert_eq!(caller.try_recv().unwrap(), [Err(Failure::Unknown)]);
    assert!(!stage.shard.has_work() && stage.shard.is_done());
}

#[test]
fn a_retry_that_was_not_applied_leaves_the_outcome_unknown() {
    let mut stage = Stage::new();
    let mut caller = stage.settle(task_id(), ack());
    stage.fly([Err(unknown())]);
    stage.fly([Err(StoreError::of_unsent())]);
    assert_eq!(caller.try_recv().unwrap(), [Err(Failure::Unknown)]);
}

#[test]
fn an_enqueue_with_an_unknown_outcome_is_retried_with_the_same_tasks() {
    let mut stage = Stage::configured();
    let _callers = [stage.enqueue(1), stage.enqueue(2)];
    let sent = |flights: &[Flight]| match &flights[0].call {
        Call::Enqueue(flight) => {
            let ids: Vec<_> = flight.tasks().iter().map(|task| task.id).collect();
            (flight.is_retry(), ids)
        }
        _ => panic!("an enqueue"),
    };
    let first = stage.calls();
    let (retry, ids) = sent(&first);
    assert!(!retry);
    stage.land(first, [Err(unknown())]);
    assert_eq!(sent(&stage.calls()), (true, ids));
}

#[test]
fn a_changed_config_sends_the_enqueue_again_with_the_new_version() {
    let mut stage = Stage::new();
    let mut caller = stage.enqueue(1);
    let config = Reply::of(vec!["config".into(), number(3), "{}".into()]);
    stage.fly([Ok(config)]);
    assert_eq!(stage.shard.pending(&queue()).version, 3);
    stage.fly([Ok(accepted(1))]);
    assert_eq!(caller.try_recv().unwrap().unwrap().len(), 1);
}

#[test]
fn an_enqueue_waits_until_its_queue_is_created_or_fails_with_the_creation() {
    for result in [Ok(()), Err(Failure::QueuesFull)] {
        let mut stage = Stage::new();
        let mut caller = stage.enqueue(1);
        stage.fly([Ok(Reply::of(vec!["absent".into()]))]);
        assert_eq!(stage.shard.errands(), [Errand::Create(queue())]);
        assert!(!stage.shard.has_work());
        stage.take(Command::Created(queue(), result.clone()));
        assert_eq!(stage.shard.has_work(), result.is_ok());
        assert_eq!(caller.try_recv().ok(), result.err().map(Err));
    }
}

// Parking and waking.

#[test]
fn a_lease_call_that_finds_nothing_waits_and_looks_once_a_second() {
    let mut stage = Stage::new();
    let mut caller = stage.waiter(3 * SECOND);
    assert!(!stage.shard.has_work());
    assert_eq!(stage.shard.next_tick(), Some(stage.now + SECOND));
    stage.pass(SECOND / 2);
    assert!(!stage.shard.has_work());
    stage.pass(SECOND / 2);
    stage.fly([Ok(leased(&[]))]);
    assert!(still_waits(&mut caller));
    assert_eq!(stage.waiting(), 1);
}

#[test]
fn a_wait_ends_empty_at_its_deadline_with_the_reason_and_the_time_to_retry() {
    let mut stage = Stage::new();
    let mut caller = stage.lease(3 * SECOND);
    stage.fly([Ok(leased_until(&[], Some(("rate_limited", NOW + 60_000))))]);
    stage.pass(3 * SECOND);
    match caller.try_recv() {
        Ok(Ok(Leased::Empty { reason, retry_after })) => {
            assert_eq!(reason, EmptyReason::Shut(Reason::RateLimited));
            assert_eq!(retry_after, Some(57 * SECOND));
        }
        _ => panic!("an empty outcome"),
    }
    assert_eq!(stage.waiting(), 0);
}

#[test]
fn a_lease_call_behind_waiters_waits_without_a_call() {
    let mut stage = Stage::new();
    let _first = stage.waiter(9 * SECOND);
    let mut second = stage.lease(9 * SECOND);
    assert!(!stage.shard.has_work() && still_waits(&mut second));
    assert_eq!(stage.waiting(), 2);
}

#[test]
fn a_lease_call_with_a_request_id_asks_redis_even_behind_waiters() {
    let mut stage = Stage::new();
    let _first = stage.waiter(9 * SECOND);
    let _named = stage.lease_with(9 * SECOND, Some("me/1"));
    assert_eq!(scripts(&stage.calls()), [("lease", 1)]);
}

#[test]
fn a_waiting_lease_looks_in_the_flush_that_sends_the_enqueue() {
    let mut stage = Stage::configured();
    let (mut first, mut second) = (stage.waiter(9 * SECOND), stage.waiter(9 * SECOND));
    let _producer = stage.enqueue(1);
    stage.fly([Ok(accepted(1)), Ok(leased(&[task_id()]))]);
    assert_eq!(granted(&mut first), 1);
    assert!(still_waits(&mut second));
}

#[test]
fn a_hint_wakes_as_many_waiters_as_tasks_in_order_of_arrival() {
    let mut stage = Stage::new();
    let mut waiters = [
        stage.waiter(9 * SECOND),
        stage.waiter(9 * SECOND),
        stage.waiter(9 * SECOND),
    ];
    stage.take(Command::Hint(queue(), 2));
    let tasks = [task_id(), task_id()];
    let flights = stage.calls();
    assert_eq!(scripts(&flights), [("lease", 2)]);
    stage.land(flights, [Ok(leased(&tasks))]);
    assert_eq!([granted(&mut waiters[0]), granted(&mut waiters[1])], [1, 1]);
    assert!(still_waits(&mut waiters[2]));
}

#[test]
fn a_woken_waiter_that_got_nothing_stays_the_first() {
    let mut stage = Stage::new();
    let (mut first, mut second) = (stage.waiter(9 * SECOND), stage.waiter(9 * SECOND));
    stage.take(Command::Hint(queue(), 1));
    stage.fly([Ok(leased(&[]))]);
    stage.take(Command::Hint(queue(), 1));
    stage.fly([Ok(leased(&[task_id()]))]);
    assert_eq!(granted(&mut first), 1);
    assert!(still_waits(&mut second));
}

#[test]
fn a_lease_call_that_was_not_applied_goes_on_waiting_and_one_that_cannot_wait_fails() {
    let mut stage = Stage::new();
    let (mut waits, mut asks) = (stage.lease(9 * SECOND), stage.lease(Duration::ZERO));
    let mut named = stage.lease_with(9 * SECOND, Some("me/1"));
    stage.fly([Err(StoreError::of_unsent())]);
    assert!(still_waits(&mut waits));
    assert!(matches!(asks.try_recv(), Ok(Err(Failure::NotApplied(_)))));
    assert!(matches!(named.try_recv(), Ok(Err(Failure::NotApplied(_)))));
}

#[test]
fn a_late_lease_call_is_sent_again_without_a_time_limit() {
    let mut stage = Stage::new();
    let _caller = stage.waiter(9 * SECOND);
    let limit = |flights: &[Flight]| match &flights[0].call {
        Call::Lease(flight) => flight.not_after(),
        _ => panic!("a lease"),
    };
    stage.take(Command::Hint(queue(), 1));
    let flights = stage.calls();
    assert_eq!(limit(&flights), Some(Millis::new(NOW + 5_000)));
    stage.land(flights, [Ok(Reply::of(vec!["late".into()]))]);
    assert_eq!(limit(&stage.calls()), None);
}

#[test]
fn a_due_time_is_hinted_once_and_swept_when_it_comes() {
    let mut stage = Stage::new();
    stage.take(Command::Sweep(queue()));
    stage.fly([Ok(swept(NOW + 2_000))]);
    assert_eq!(
        stage.shard.errands(),
        [Errand::Hint(queue(), Millis::new(NOW + 2_000))]
    );
    stage.pass(SECOND);
    assert!(!stage.shard.has_work());
    stage.pass(SECOND);
    assert_eq!(scripts(&stage.calls()), [("sweep", 1)]);
}

#[test]
fn a_failed_sweep_is_retried_after_a_second() {
    let mut stage = Stage::new();
    stage.take(Command::Sweep(queue()));
    stage.fly([Err(unknown())]);
    assert!(!stage.shard.has_work());
    stage.pass(SECOND);
    assert_eq!(scripts(&stage.calls()), [("sweep", 1)]);
}

// Give-back.

#[test]
fn tasks_granted_to_a_caller_that_left_are_given_back_in_the_next_flush() {
    let mut stage = Stage::new();
    let caller = stage.lease(Duration::ZERO);
    let flights = stage.calls();
    drop(caller);
    stage.land(flights, [Ok(leased(&[task_id()]))]);
    let give_back = stage.home.try_recv().expect("a give-back");
    stage.shard.take_give_back(give_back);
    let flights = stage.calls();
    assert_eq!(scripts(&flights), [("release", 1)]);
    stage.land(flights, [Err(unknown())]);
    assert_eq!(
        scripts(&stage.calls()),
        [("release", 1)],
        "an unknown give-back is retried, too"
    );
}

#[test]
fn grants_that_too_few_replicas_confirmed_are_given_back_and_their_callers_get_the_error() {
    let mut stage = Stage::new();
    let _caller = stage.lease(Duration::ZERO);
    let flights = stage.calls();
    let reply =
        |stage: &Stage, reply: Reply| stage.shard.unconfirmed(&flights[0], reply, &unknown(), stage.now);
    assert!(
        reply(&stage, leased(&[])).is_ok(),
        "an empty reply changed nothing"
    );
    assert!(stage.home.try_recv().is_err());
    assert_eq!(reply(&stage, leased(&[task_id()])).err(), Some(unknown()));
    assert!(matches!(stage.home.try_recv(), Ok(GiveBack { leases, call: None, .. }) if leases.len() == 1));
}

#[test]
fn an_unconfirmed_settle_fails_and_an_unconfirmed_sweep_proceeds() {
    let mut stage = Stage::new();
    let _caller = stage.settle(task_id(), ack());
    stage.take(Command::Sweep(queue()));
    let flights = stage.calls();
    let unconfirmed = |flight, reply| stage.shard.unconfirmed(flight, reply, &unknown(), stage.now);
    assert!(unconfirmed(&flights[0], settled(&["acked".into()])).is_err());
    assert!(unconfirmed(&flights[1], swept(0)).is_ok());
}

// Shutdown.

#[test]
fn a_drain_ends_all_waits_and_no_later_call_waits() {
    let mut stage = Stage::new();
    let mut waiter = stage.waiter(9 * SECOND);
    stage.take(Command::Drain);
    assert_eq!(granted(&mut waiter), 0);
    let mut later = stage.lease(9 * SECOND);
    assert_eq!(granted(&mut later), 0);
    assert_eq!((stage.waiting(), stage.shard.has_work()), (0, false));
}

#[test]
fn a_lease_call_under_way_at_the_drain_gets_its_tasks_or_an_empty_outcome() {
    let mut stage = Stage::new();
    let (mut first, mut second) = (stage.lease(9 * SECOND), stage.lease(9 * SECOND));
    let flights = stage.calls();
    stage.take(Command::Drain);
    stage.land(flights, [Ok(leased(&[task_id()]))]);
    assert_eq!([granted(&mut first), granted(&mut second)], [1, 0]);
    assert!(stage.shard.is_done());
}

#[test]
fn a_shard_is_done_only_when_every_settle_has_its_outcome() {
    let mut stage = Stage::new();
    let _caller = stage.settle(task_id(), ack());
    let flights = stage.calls();
    assert!(!stage.shard.has_work() && !stage.shard.is_done());
    stage.land(flights, [Ok(settled(&["acked".into()]))]);
    assert!(stage.shard.is_done());
}

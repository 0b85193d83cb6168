//! One queue on a private Redis with a set clock, and short words for what tests do to it.
//!
//! Every test that uses it ends with an audit: a queue that is dropped while nothing panics must be sound.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use deadpool_redis::redis::{Value, cmd, from_redis_value, pipe};
use leaseq::domain::dead::{DeadFilter, Replay};
use leaseq::domain::gate::Scope;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::settle::{Ack, Extend, Hold, Nack, RetryAfter};
use leaseq::domain::task::{Enqueued, Json, NotEnqueued, TaskError, TaskView};
use leaseq::domain::unique::{OnDuplicate, Unique, UniqueScope};
use leaseq::domain::{
    Group, Lease, LeaseKey, LeasedTask, Millis, NewTask, Priority, QueueName, Start, TaskId, TaskName,
    TaskState, UniqueKey,
};
use leaseq::store::ops::ack::{AckOp, Acked};
use leaseq::store::ops::configure::{ConfigureOp, Configured};
use leaseq::store::ops::dead::{DeadLetter, DeadOp};
use leaseq::store::ops::enqueue::{Accepted, EnqueueOp};
use leaseq::store::ops::extend::{ExtendOp, Extended};
use leaseq::store::ops::hold::HoldOp;
use leaseq::store::ops::lease::{Grants, LeaseOp, LeaseReply, Wish};
use leaseq::store::ops::list::ListOp;
use leaseq::store::ops::nack::{NackOp, Nacked};
use leaseq::store::ops::overview::{Overview, OverviewOp};
use leaseq::store::ops::release::{ReleaseOp, Released, Returned};
use leaseq::store::ops::reorder::ReorderOp;
use leaseq::store::ops::replay::{Item, Moved, ReplayOp};
use leaseq::store::ops::show::ShowOp;
use leaseq::store::ops::sweep::{SweepOp, Swept};
use leaseq::store::ops::{Answer, Op, Settles};
use leaseq::store::{QueueKeys, Store, StoreError};

use super::audit::assert_sound;
use super::redis::{Redis, queue};

/// When the set clock begins.
pub const T0: u64 = 1_800_000_000_000;
pub const REPLICA: &str = "aaaaaaaa,";
pub const BYTES_MAX: usize = 8 << 20;
/// In the middle of the jitter: delays are half of the backoff's bound.
pub const HALF: u32 = 500_000;

pub struct Queue {
    pub redis: Redis,
    pub store: Store,
    pub name: QueueName,
    pub keys: QueueKeys,
    config: QueueConfig,
    version: u64,
    seed: Cell<u16>,
}

/// A task and the lease that a worker holds on it.
#[derive(Debug, Clone)]
pub struct Held {
    pub task: LeasedTask,
    pub lease: Lease,
}

impl Queue {
    pub async fn start() -> Self {
        Self::with(QueueConfig::default()).await
    }

    pub async fn with(config: QueueConfig) -> Self {
        Self::on(Redis::start(), config).await
    }

    pub async fn on(redis: Redis, config: QueueConfig) -> Self {
        redis.set_clock(T0);
        let (name, keys) = queue("emails");
        let store = redis.store_on_set_clock();
        let mut queue = Self {
            redis,
            store,
            name,
            keys,
            config: QueueConfig::default(),
            version: 0,
            seed: Cell::new(0),
        };
        queue.configure(config).await;
        queue
    }

    /// An empty store with the queue as it was made: for tests of many small cases.
    pub async fn reset(&mut self, config: QueueConfig) {
        self.clear();
        self.version = 0;
        self.configure(config).await;
    }

    /// An empty store, in which there is nothing to audit.
    pub fn clear(&self) {
        let _: () = self.redis.command(&cmd("FLUSHALL"));
        self.redis.set_clock(T0);
    }

    /// The key of a role of this queue.
    pub fn key(&self, role: &str) -> String {
        format!("lq:1:{{{}}}:{role}", self.name)
    }

    /// Every key of the store, as Redis would write it to disk.
    pub fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        let keys: Vec<String> = self.redis.command(cmd("KEYS").arg("*"));
        let mut dumps = pipe();
        for key in &keys {
            dumps.cmd("DUMP").arg(key);
        }
        let dumps: Vec<Vec<u8>> = self.redis.pipeline(&dumps);
        keys.into_iter().zip(dumps).collect()
    }

    /// The contents of every key of the store, for comparisons. Redis returns a hash that is being resized in
    /// a new order each time.
    pub fn contents(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        let keys: Vec<String> = self.redis.command(cmd("KEYS").arg("*"));
        let mut types = pipe();
        keys.iter().for_each(|key| {
            types.cmd("TYPE").arg(key);
        });
        let types: Vec<String> = self.redis.pipeline(&types);
        let mut reads = pipe();
        for (key, kind) in keys.iter().zip(&types) {
            match kind.as_str() {
                "hash" => reads.cmd("HGETALL").arg(key),
                "zset" => reads.cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES"),
                "list" => reads.cmd("LRANGE").arg(key).arg(0).arg(-1),
                // The order of these never changes.
                _ => reads.cmd("DUMP").arg(key),
            };
        }
        let values: Vec<Value> = self.redis.pipeline(&reads);
        let held = |(kind, value): (String, Value)| {
            let mut held: Vec<Vec<u8>> = match value {
                Value::BulkString(dump) => vec![dump],
                value => from_redis_value(value).expect("lists of strings"),
            };
            if kind == "hash" {
                let pairs = held.chunks(2).map(|pair| pair.join(&b'='));
                held = pairs.collect();
                held.sort();
            }
            held
        };
        keys.into_iter()
            .zip(types.into_iter().zip(values).map(held))
            .collect()
    }

    /// The store as it was at a snapshot.
    pub fn restore(&self, snapshot: &BTreeMap<String, Vec<u8>>) {
        let mut restore = pipe();
        // Not at once: that gives the memory back to the kernel each time.
        restore.cmd("FLUSHALL").arg("ASYNC");
        for (key, dump) in snapshot {
            restore.cmd("RESTORE").arg(key).arg(0).arg(dump);
        }
        let _: () = self.redis.pipeline(&restore);
    }

    /// Sets the clock to `ms` after [`T0`].
    pub fn at(&self, ms: u64) {
        self.redis.set_clock(T0 + ms);
    }

    pub async fn call<O: Op>(&self, op: &O) -> O::Outcome {
        self.try_call(op).await.expect("Redis answers as the header says")
    }

    pub async fn try_call<O: Op>(&self, op: &O) -> Result<O::Outcome, StoreError> {
        self.store.call(&self.keys, op).await
    }

    /// Changes the config and puts the heads in order, as the engine does.
    pub async fn configure(&mut self, config: QueueConfig) {
        let op = ConfigureOp {
            expected: Some(self.version),
            create: true,
            config: &config,
        };
        let Configured::Done { version, reorder, .. } = self.call(&op).await else {
            panic!("another version")
        };
        if reorder {
            self.reorder().await;
        }
        (self.version, self.config) = (version, config);
    }

    /// Makes it again after it was deleted.
    pub async fn remake(&mut self) {
        self.version = 0;
        self.configure(self.config.clone()).await;
    }

    pub async fn reorder(&self) {
        let mut cursor = "0".to_owned();
        loop {
            let op = ReorderOp {
                cursor: &cursor,
                groups: 100,
            };
            cursor = self.call(&op).await.expect("the queue exists");
            if cursor == "0" {
                return;
            }
        }
    }

    pub fn enqueue_op(&self, tasks: &[NewTask], again: bool) -> EnqueueOp {
        EnqueueOp {
            version: self.version,
            config: Arc::new(self.config.clone()),
            replica: REPLICA.into(),
            again,
            all_or_none: false,
            names_epoch: 0,
            asked_names: Vec::new(),
            tasks: tasks.to_vec(),
        }
    }

    /// Enqueues and says when each task is due.
    pub async fn enqueue(&self, tasks: &[NewTask]) -> Vec<Option<Millis>> {
        run_at(&self.told(&self.enqueue_op(tasks, false)).await)
    }

    /// The outcome of each task of an enqueue.
    pub async fn told(&self, op: &EnqueueOp) -> Vec<Result<Enqueued, NotEnqueued>> {
        let Accepted::Tasks { outcomes, .. } = self.call(op).await else {
            panic!("not accepted")
        };
        outcomes
    }

    /// Enqueues one task.
    pub async fn put(&self, task: NewTask) -> TaskId {
        let id = task.id;
        self.enqueue(&[task]).await;
        id
    }

    /// Enqueues one task in vain.
    pub async fn put_none(&self, task: NewTask) -> NotEnqueued {
        let tasks = [task];
        let mut told = self.told(&self.enqueue_op(&tasks, false)).await;
        told.remove(0).expect_err("it is refused")
    }

    pub fn lease_op(&self, names: &[TaskName], wishes: &[Wish]) -> LeaseOp {
        // Any but the last: a nonce that repeats would hide a lost comparison.
        self.seed.set((self.seed.get() + 331) % 2048);
        LeaseOp {
            replica: REPLICA.into(),
            tell_me: false,
            look: true,
            bytes_max: BYTES_MAX,
            seed: self.seed.get(),
            names: names.to_vec(),
            wishes: wishes.to_vec(),
            not_after: None,
        }
    }

    pub async fn lease(&self, tasks: usize) -> Vec<Held> {
        self.lease_as(
            Wish {
                tasks,
                ..Wish::default()
            },
            &[],
        )
        .await
    }

    pub async fn lease_one(&self) -> Held {
        self.lease(1).await.pop().expect("a task is ready")
    }

    pub async fn lease_names(&self, tasks: usize, names: &[&str]) -> Vec<Held> {
        let names: Vec<_> = names.iter().map(|name| task_name(name)).collect();
        self.lease_as(
            Wish {
                tasks,
                ..Wish::default()
            },
            &names,
        )
        .await
    }

    pub async fn lease_as(&self, wish: Wish, names: &[TaskName]) -> Vec<Held> {
        let wishes = [wish];
        let granted = self.call(&self.lease_op(names, &wishes)).await;
        self.open(granted)
    }

    pub fn open(&self, granted: LeaseReply) -> Vec<Held> {
        let LeaseReply::Tasks(Grants { grants, now, .. }) = granted else {
            panic!("absent")
        };
        let key = LeaseKey::new(&[1; 32]);
        let open = |grant: leaseq::store::ops::lease::Grant| {
            let ready_at = grant.ready_at();
            let (task, lease) = grant
                .open(&self.name, &key, now)
                .expect("a task as it was written");
            assert_eq!(ready_at, Some(task.ready_at), "what is measured is what is shown");
            assert_eq!(
                key.open(&task.lease_id),
                Ok(lease.clone()),
                "the lease_id says what the lease is"
            );
            Held { task, lease }
        };
        grants.into_iter().map(open).collect()
    }

    pub async fn ack(&self, lease: &Lease) -> Answer<Acked> {
        self.ack_with(lease, None).await
    }

    pub async fn ack_with(&self, lease: &Lease, result: Option<&'static str>) -> Answer<Acked> {
        let result = result.map(|text| Json::from_checked(Bytes::from_static(text.as_bytes())));
        one(self.call(&AckOp(vec![(lease.clone(), Ack { result })])).await)
    }

    pub async fn nack(&self, lease: &Lease) -> Answer<Nacked> {
        self.nack_with(lease, failure()).await
    }

    pub async fn nack_with(&self, lease: &Lease, nack: Nack) -> Answer<Nacked> {
        let op = NackOp {
            replica: REPLICA.into(),
            items: vec![(lease.clone(), nack)],
            chances: vec![HALF],
        };
        one(self.call(&op).await)
    }

    pub async fn release(&self, lease: &Lease, retry_after: RetryAfter) -> Answer<Released> {
        self.end(lease, Returned::Release(retry_after, Hold::None)).await
    }

    pub async fn release_and_hold(
        &self,
        lease: &Lease,
        retry_after: RetryAfter,
        hold: Hold,
    ) -> Answer<Released> {
        self.end(lease, Returned::Release(retry_after, hold)).await
    }

    /// For so many ms; 0 ends a hold.
    pub async fn hold(&self, scope: &Scope, ms: u64) -> Option<Millis> {
        self.call(&HoldOp { scope, ms }).await.expect("the queue exists")
    }

    pub async fn give_back(&self, lease: &Lease) -> Answer<Released> {
        self.end(lease, Returned::GiveBack(None)).await
    }

    /// The reply to a call that had a `request_id`.
    pub async fn give_back_of(&self, lease: &Lease, request: &str) -> Answer<Released> {
        self.end(lease, Returned::GiveBack(Some(request.to_owned())))
            .await
    }

    async fn end(&self, lease: &Lease, how: Returned) -> Answer<Released> {
        let op = ReleaseOp {
            replica: REPLICA.into(),
            items: vec![(lease.clone(), how)],
            chances: vec![HALF],
        };
        one(self.call(&op).await)
    }

    pub async fn extend(&self, lease: &Lease, lease_ms: Option<u64>) -> Answer<Extended> {
        let extend = Extend {
            lease_ms,
            progress: None,
        };
        one(self.call(&ExtendOp(vec![(lease.clone(), extend)])).await)
    }

    pub async fn sweep(&self) -> Swept {
        let op = SweepOp {
            replica: REPLICA.into(),
            limit: 256,
        };
        self.call(&op).await.expect("the queue exists")
    }

    pub async fn show(&self, id: TaskId) -> Option<TaskView> {
        self.call(&ShowOp(&[id]))
            .await
            .expect("the queue exists")
            .remove(0)
    }

    /// A task that must be there.
    pub async fn see(&self, id: TaskId) -> TaskView {
        self.show(id).await.expect("the task is kept")
    }

    /// Dead letters with their records, oldest first: the first hundred, or the one of this id.
    pub async fn letters(&self, only: Option<TaskId>) -> Vec<DeadLetter> {
        let op = DeadOp {
            filter: &DeadFilter::default(),
            only,
            newest_first: false,
            look: 100,
            limit: 100,
            behind: None,
            records: true,
        };
        self.call(&op).await.expect("the queue exists").letters
    }

    /// Replays a dead letter as it was, at once: the id of the new task, and what became of it.
    pub async fn replay(&self, letter: &DeadLetter) -> (TaskId, Moved) {
        let anew = Replay::default();
        let item = Item::new(letter, task().id, Start::Now, &anew).expect("a record");
        let id = item.id();
        let op = ReplayOp {
            replica: REPLICA,
            again: false,
            replay: &anew,
            items: &[item],
        };
        (id, self.call(&op).await.expect("the queue exists").items[0])
    }

    pub async fn overview(&self) -> Overview {
        self.call(&OverviewOp).await.expect("the queue exists")
    }

    /// All ids of one state, page by page.
    pub async fn list(&self, state: TaskState, limit: usize) -> Vec<TaskId> {
        let (mut ids, mut cursor) = (Vec::new(), Vec::new());
        loop {
            let op = ListOp {
                state,
                limit,
                cursor: &cursor,
            };
            let page = self.call(&op).await.expect("the queue exists");
            ids.extend(page.ids);
            cursor = page.cursor;
            if cursor.is_empty() {
                return ids;
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_sound(&self.redis, self.name.as_str());
        }
    }
}

/// When each of these is due.
pub fn run_at(outcomes: &[Result<Enqueued, NotEnqueued>]) -> Vec<Option<Millis>> {
    let due = |outcome: &Result<Enqueued, NotEnqueued>| outcome.as_ref().expect("not refused").run_at;
    outcomes.iter().map(due).collect()
}

/// The answer to a call with one item, on a queue that exists.
pub fn one<T, A: std::fmt::Debug>(outcome: Result<Settles<T>, A>) -> Answer<T> {
    let mut answers = outcome.expect("the queue exists").answers;
    assert_eq!(answers.len(), 1, "one answer per item");
    answers.remove(0)
}

pub fn task_name(name: &str) -> TaskName {
    TaskName::parse(name).expect("a valid name")
}

/// A ready task with the payload `{}`.
pub fn task() -> NewTask {
    NewTask::new(Json::from_checked(Bytes::from_static(b"{}")))
}

pub fn named(name: &str) -> NewTask {
    NewTask {
        name: task_name(name),
        ..task()
    }
}

pub fn grouped(group: &str) -> NewTask {
    NewTask {
        group: Some(Group::parse(group).expect("a valid group")),
        ..task()
    }
}

pub fn prioritised(priority: u64) -> NewTask {
    NewTask {
        priority: Priority::new(priority).expect("a valid priority"),
        ..task()
    }
}

pub fn delayed(ms: u64) -> NewTask {
    NewTask {
        start: Start::After(ms),
        ..task()
    }
}

/// A task that holds this key.
pub fn unique(key: &str, scope: UniqueScope) -> NewTask {
    or_else(OnDuplicate::Return, key, scope)
}

/// The same, with what is to become of it where the key is held.
pub fn or_else(on_duplicate: OnDuplicate, key: &str, scope: UniqueScope) -> NewTask {
    NewTask {
        unique: Some(Unique {
            key: UniqueKey::parse(key).expect("a valid key"),
            scope,
            on_duplicate,
        }),
        ..task()
    }
}

/// A failure that may be retried after the policy's backoff.
pub fn failure() -> Nack {
    Nack {
        error: TaskError {
            kind: "error".to_owned(),
            message: "it broke".to_owned(),
            ..TaskError::default()
        },
        retry: true,
        delay_ms: None,
    }
}

/// A failure that may be retried after `delay_ms`.
pub fn failure_after(delay_ms: u64) -> Nack {
    Nack {
        delay_ms: Some(delay_ms),
        ..failure()
    }
}

pub fn rejection() -> Nack {
    Nack {
        retry: false,
        ..failure()
    }
}

//! What this process remembers: requests on their way, waiting leases, timers. Nothing that a crash may not lose.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rand::RngCore;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod command;
mod committer;
mod failure;
mod flush;
mod granted;
mod housekeeper;
mod line;
mod queues;
mod routes;
mod waitlist;
mod wake;

pub use failure::Failure;
pub use granted::Granted;

use self::command::{Command, EnqueueJob, LeaseJob, Watch};
use self::committer::Committer;
use self::routes::Routes;
use crate::domain::queue::QueueConfig;
use crate::domain::settle::{NotSettled, Settle, Settled};
use crate::domain::task::Enqueued;
use crate::domain::{Lease, LeaseKey, Millis, NewTask, QueueName, TaskName, TaskState, limits};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::ops::lease::Wish;

/// Commands that wait for one committer; more is refused as overload.
const COMMANDS_MAX: usize = 16_384;

/// How the engine works; the defaults are right for almost everybody.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// This process among its replicas: eight characters and a comma.
    pub replica: String,
    /// Committers, each with a connection; queues are spread over them.
    pub committers: usize,
    /// Items of one script call.
    pub script_items: usize,
    pub auto_create: bool,
    pub max_queues: usize,
    /// What write answers wait for, by name.
    pub durability: &'static str,
    /// Where store calls are counted.
    pub metrics: Arc<Metrics>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            replica: format!("{:08x},", rand::rng().next_u32()),
            committers: cores.clamp(1, 8),
            script_items: limits::SCRIPT_ITEMS_MAX,
            auto_create: true,
            max_queues: limits::QUEUES_MAX_DEFAULT,
            durability: "memory",
            metrics: Arc::default(),
        }
    }
}

/// The product's verbs. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    key: LeaseKey,
    settings: Arc<EngineSettings>,
    routes: Routes,
    waiting: Arc<AtomicUsize>,
    draining: AtomicBool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What a lease call asks for.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    pub queues: LeaseFrom,
    /// 1..=`LEASE_TASKS_MAX`.
    pub max_tasks: usize,
    /// At most `WAIT_SECONDS_MAX`.
    pub wait: Duration,
    pub lease_ms: Option<u64>,
    pub worker: Option<String>,
    /// Empty: all names.
    pub names: Vec<TaskName>,
    /// Repeating a call with the same one within the lease time gives the same grants.
    pub request_id: Option<String>,
}

#[derive(Debug, Clone)]
pub enum LeaseFrom {
    One(QueueName),
    /// Asked in this order.
    Strict(Vec<QueueName>),
    /// Asked in an order drawn by weight, per call.
    Weighted(Vec<(QueueName, f64)>),
}

/// Why a lease answer is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyReason {
    Empty,
    Paused,
    RateLimited,
    Held,
    ConcurrencyLimited,
    BreakerOpen,
}

impl EmptyReason {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Paused => "paused",
            Self::RateLimited => "rate_limited",
            Self::Held => "held",
            Self::ConcurrencyLimited => "concurrency_limited",
            Self::BreakerOpen => "breaker_open",
        }
    }
}

/// Answer to a lease call.
#[derive(Debug)]
pub enum Leased {
    Tasks(Granted),
    Empty {
        reason: EmptyReason,
        retry_after: Option<Duration>,
    },
}

/// State counts and totals of one queue, on one atomic snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueStats {
    pub ready: u64,
    pub scheduled: u64,
    pub leased: u64,
    pub dead: u64,
    /// Exact up to 128 lanes in rotation, an at-least beyond.
    pub oldest_ready_age_ms: Option<u64>,
    pub accepted_total: u64,
    pub completed_total: u64,
    pub cancelled_total: u64,
    pub purged_total: u64,
    pub dead_evicted_total: u64,
    pub dead_aged_total: u64,
    pub replayed_total: u64,
    pub duplicates_total: u64,
    pub leases_expired_total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueInfo {
    pub queue: QueueName,
    pub config: QueueConfig,
    /// Rises with every change of the config; the `ETag`.
    pub version: u64,
    pub created_at: Millis,
    pub stats: QueueStats,
}

/// What a config write was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigWrite {
    Created(QueueInfo),
    Updated(QueueInfo),
    /// `If-Match` named another version than the present one; 0: the queue does not exist.
    Mismatch {
        version: u64,
    },
}

/// A page of anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Opaque; `None` when there is no more.
    pub next_cursor: Option<String>,
}

/// What [`Engine::tasks`] lists.
#[derive(Debug, Clone)]
pub struct TaskFilter {
    pub state: TaskState,
    pub name: Option<TaskName>,
    pub group: Option<String>,
}

/// A cursor that no list handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCursor;

/// What readiness asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Redis took a write; otherwise why not, in words for the log and the health page.
    pub store: Result<(), String>,
    pub draining: bool,
    /// `memory`, `fsync` or `replicated`: what write answers wait for.
    pub durability: &'static str,
}

impl Engine {
    /// Starts committers, housekeeper and the listener for wake-ups. Needs Redis to answer.
    ///
    /// # Errors
    /// When the deployment's lease key can be neither read nor made.
    pub async fn start(store: Store, settings: EngineSettings) -> Result<Self, Failure> {
        let key = store.lease_key().await?;
        let settings = Arc::new(settings);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let waiting = Arc::new(AtomicUsize::new(0));
        let (hints, hinted) = mpsc::channel(COMMANDS_MAX);
        let mut homes = Vec::new();
        for _ in 0..settings.committers.max(1) {
            let (me, commands) = mpsc::channel(COMMANDS_MAX);
            homes.push(me.clone());
            let channel = (me, commands);
            let committer = Committer::new(&store, settings.clone(), channel, hints.clone(), waiting.clone());
            tasks.spawn(committer.run());
        }
        let routes = Routes::new(homes);
        let housekeeper = housekeeper::Housekeeper {
            conn: store.conn(),
            routes: routes.clone(),
            hints: hinted,
            stop: stop.clone(),
        };
        tasks.spawn(housekeeper.run());
        tasks.spawn(wake::listen(
            store.clone(),
            settings.replica.clone(),
            routes.clone(),
            stop.clone(),
        ));
        tasks.close();
        let draining = AtomicBool::new(false);
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                key,
                settings,
                routes,
                waiting,
                draining,
                stop,
                tasks,
            }),
        })
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }

    fn settings(&self) -> &EngineSettings {
        &self.inner.settings
    }

    /// Accepts one task. The answer comes after the durability step.
    ///
    /// # Errors
    /// As [`Failure`] says. After [`Failure::Unknown`] the task may exist.
    pub async fn enqueue(&self, queue: &QueueName, task: NewTask) -> Result<Enqueued, Failure> {
        self.enqueue_all(queue, vec![task])
            .await?
            .pop()
            .ok_or(Failure::Broken)
    }

    /// Accepts many, in order and in chunks; a chunk fails or succeeds alone.
    pub async fn enqueue_many(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
    ) -> Vec<Result<Enqueued, Failure>> {
        let mut waiting = Vec::new();
        for chunk in chunks(tasks, self.settings().script_items) {
            let count = chunk.len();
            waiting.push((count, self.send_enqueue(queue, chunk)));
        }
        let mut results = Vec::new();
        for (count, sent) in waiting {
            match answer(sent).await {
                Ok(accepted) => results.extend(accepted.into_iter().map(Ok)),
                Err(failure) => results.extend(std::iter::repeat_n(Err(failure), count)),
            }
        }
        results
    }

    /// Accepts all in one script, or none. At most `ATOMIC_ITEMS_MAX` tasks and `ATOMIC_BYTES_MAX` bytes.
    ///
    /// # Errors
    /// As [`Failure`] says, for all of them.
    pub async fn enqueue_all(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
    ) -> Result<Vec<Enqueued>, Failure> {
        answer(self.send_enqueue(queue, tasks)).await
    }

    fn send_enqueue(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
    ) -> Result<oneshot::Receiver<Result<Vec<Enqueued>, Failure>>, Failure> {
        let (reply, answer) = oneshot::channel();
        let bytes = tasks.iter().map(|task| task.payload.bytes().len()).sum();
        let job = EnqueueJob {
            tasks,
            bytes,
            again: false,
            reply,
        };
        self.inner
            .routes
            .ask(queue, Command::Enqueue(queue.clone(), job))?;
        Ok(answer)
    }

    /// Leases tasks, waiting for the first as long as the request says.
    ///
    /// # Errors
    /// As [`Failure`] says. After [`Failure::Unknown`] tasks may be leased to nobody until their leases run out.
    pub async fn lease(&self, request: LeaseRequest) -> Result<Leased, Failure> {
        let deadline = (!request.wait.is_zero()).then(|| Instant::now() + request.wait);
        self.lease_until(&request, deadline).await
    }

    /// Settles first, then leases; does not wait if one of the operations failed.
    pub async fn settle_and_lease(
        &self,
        settle: Vec<Settle>,
        request: LeaseRequest,
    ) -> (Vec<SettleOutcome>, Result<Leased, Failure>) {
        let deadline = (!request.wait.is_zero()).then(|| Instant::now() + request.wait);
        // Sent together, settles before the lease, so that a worker's turn is one flush.
        let (settled, leased) = tokio::join!(self.settle_many(settle), self.lease_until(&request, None));
        let failed = settled.iter().any(|outcome| !matches!(outcome, Ok(Ok(_))));
        match leased {
            Ok(Leased::Empty { .. }) if !failed && deadline.is_some() => {
                let leased = self.lease_until(&request, deadline).await;
                (settled, leased)
            }
            leased => (settled, leased),
        }
    }

    async fn lease_until(
        &self,
        request: &LeaseRequest,
        deadline: Option<Instant>,
    ) -> Result<Leased, Failure> {
        match &request.queues {
            LeaseFrom::One(queue) => self.lease_one(queue, request, deadline).await,
            LeaseFrom::Strict(queues) => self.lease_first(queues, request, deadline).await,
            LeaseFrom::Weighted(queues) => self.lease_first(&drawn(queues), request, deadline).await,
        }
    }

    async fn lease_one(
        &self,
        queue: &QueueName,
        request: &LeaseRequest,
        deadline: Option<Instant>,
    ) -> Result<Leased, Failure> {
        let items_max = self.settings().script_items;
        let mut granted: Option<Granted> = None;
        loop {
            let (tasks, bytes) = granted
                .as_ref()
                .map_or((0, 0), |granted| (granted.tasks().len(), granted.bytes()));
            let want = (request.max_tasks - tasks).min(items_max);
            let room = limits::LEASE_BYTES_MAX.saturating_sub(bytes);
            let (reply, answer) = oneshot::channel();
            let job = LeaseJob {
                wish: Wish {
                    tasks: want,
                    lease_ms: request.lease_ms,
                    worker: request.worker.clone(),
                    request_key: request.request_id.clone().filter(|_| granted.is_none()),
                },
                bytes_max: room,
                names: request.names.clone(),
                // Only the first part waits.
                deadline: deadline.filter(|_| granted.is_none()),
                recall: false,
                reply,
            };
            self.inner.routes.ask(queue, Command::Lease(queue.clone(), job))?;
            let answered = answer.await.unwrap_or(Err(Failure::Draining));
            let more = match (answered, &mut granted) {
                (Ok(grants), _) => self.open(grants),
                // What was granted before must reach the caller.
                (Err(_), Some(_)) => None,
                (Err(failure), None) => return Err(failure),
            };
            let full = more.as_ref().is_some_and(|more| more.tasks().len() == want);
            match (&mut granted, more) {
                (Some(granted), Some(more)) => granted.append(more),
                (none @ None, more) => *none = more,
                (Some(_), None) => {}
            }
            let enough = granted.as_ref().is_none_or(|granted| {
                granted.tasks().len() >= request.max_tasks
                    // A script gives at least one task, whatever its size: that one must fit, too.
                    || granted.bytes() + limits::PAYLOAD_BYTES_MAX > limits::LEASE_BYTES_MAX
            });
            // A named request remembers one script call's grants, so it is one.
            if !full || enough || request.request_id.is_some() {
                break;
            }
        }
        Ok(granted.map_or(
            Leased::Empty {
                reason: EmptyReason::Empty,
                retry_after: None,
            },
            Leased::Tasks,
        ))
    }

    /// Asks the queues in order; waits until one of them may have something, and asks again.
    async fn lease_first(
        &self,
        queues: &[QueueName],
        request: &LeaseRequest,
        deadline: Option<Instant>,
    ) -> Result<Leased, Failure> {
        let mut woken_by: Option<QueueName> = None;
        loop {
            // Watch before asking, so that nothing slips between.
            let (wake, mut woken) = mpsc::channel(1);
            if let Some(deadline) = deadline {
                for queue in queues {
                    let watch = Watch {
                        names: request.names.clone(),
                        deadline,
                        wake: wake.clone(),
                    };
                    self.inner
                        .routes
                        .ask(queue, Command::Watch(queue.clone(), watch))?;
                }
            }
            drop(wake);
            for queue in queues {
                if let leased @ Leased::Tasks(_) = self.lease_one(queue, request, None).await? {
                    if let Some(by) = woken_by.filter(|by| by != queue) {
                        // This wake was for a task that somebody else may take.
                        self.inner.routes.tell(&by, Command::Hint(by.clone(), 1));
                    }
                    return Ok(leased);
                }
            }
            let empty = Leased::Empty {
                reason: EmptyReason::Empty,
                retry_after: None,
            };
            let Some(deadline) = deadline else {
                return Ok(empty);
            };
            match tokio::time::timeout_at(deadline, woken.recv()).await {
                Ok(Some(queue)) => woken_by = Some(queue),
                // All watches gone: shutting down. Or the wait is over.
                Ok(None) | Err(_) => return Ok(empty),
            }
        }
    }

    /// Reads a `lease_id`; `None` when this deployment never made it.
    pub fn open_lease(&self, lease_id: &str) -> Option<Lease> {
        self.inner.key.open(lease_id).ok()
    }

    /// # Errors
    /// As [`Failure`] says; a repeat after [`Failure::Unknown`] is safe.
    pub async fn settle(&self, op: Settle) -> SettleOutcome {
        self.settle_many(vec![op])
            .await
            .pop()
            .unwrap_or(Err(Failure::Broken))
    }

    /// Many operations, of any queues, answered in order.
    pub async fn settle_many(&self, ops: Vec<Settle>) -> Vec<SettleOutcome> {
        let mut answers: Vec<Option<SettleOutcome>> = ops.iter().map(|_| None).collect();
        let mut by_queue: HashMap<QueueName, (Vec<usize>, Vec<Settle>)> = HashMap::new();
        for (index, op) in ops.into_iter().enumerate() {
            let queue = op.lease().queue.clone();
            let (indexes, ops) = by_queue.entry(queue).or_default();
            indexes.push(index);
            ops.push(op);
        }
        let mut waiting = Vec::new();
        for (queue, (indexes, ops)) in by_queue {
            let (reply, answer) = oneshot::channel();
            match self
                .inner
                .routes
                .ask(&queue, Command::Settle(queue.clone(), ops, reply))
            {
                Ok(()) => waiting.push((indexes, answer)),
                Err(failure) => {
                    for index in indexes {
                        answers[index] = Some(Err(failure.clone()));
                    }
                }
            }
        }
        for (indexes, answer) in waiting {
            match answer.await {
                Ok(outcomes) => {
                    for (index, outcome) in indexes.into_iter().zip(outcomes) {
                        answers[index] = Some(outcome);
                    }
                }
                Err(_) => {
                    for index in indexes {
                        answers[index] = Some(Err(Failure::Unknown));
                    }
                }
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or(Err(Failure::Broken)))
            .collect()
    }

    pub async fn health(&self) -> Health {
        Health {
            store: self.store().probe().await.map_err(|error| error.to_string()),
            draining: self.inner.draining.load(Ordering::Relaxed),
            durability: self.durability(),
        }
    }

    /// `memory`, `fsync` or `replicated`: what write answers wait for.
    pub fn durability(&self) -> &'static str {
        self.settings().durability
    }

    /// Lease calls waiting in this process.
    pub fn waiting(&self) -> usize {
        self.inner.waiting.load(Ordering::Relaxed)
    }

    /// Answers waiting leases (empty) and lets none wait any more; everything else goes on. Idempotent.
    pub async fn drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
        for home in self.inner.routes.all() {
            let _ = home.send(Command::Drain).await;
        }
    }

    /// After [`Self::drain`], and when no request is left: ends what runs beside requests.
    pub async fn stop(&self) {
        self.drain().await;
        self.inner.stop.cancel();
        for home in self.inner.routes.all() {
            let _ = home.send(Command::Stop).await;
        }
        self.inner.tasks.wait().await;
    }
}

/// The answer to one settle: what it did, why it did nothing, or why nobody knows.
pub type SettleOutcome = Result<Result<Settled, NotSettled>, Failure>;

async fn answer<T>(sent: Result<oneshot::Receiver<Result<T, Failure>>, Failure>) -> Result<T, Failure> {
    sent?.await.unwrap_or(Err(Failure::Unknown))
}

/// Cuts tasks into script calls: by number and by bytes, at least one each.
fn chunks(tasks: Vec<NewTask>, items_max: usize) -> Vec<Vec<NewTask>> {
    let mut chunks = Vec::new();
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for task in tasks {
        let size = task.payload.bytes().len();
        if !chunk.is_empty() && (chunk.len() == items_max || bytes + size > limits::SCRIPT_BYTES_MAX) {
            chunks.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += size;
        chunk.push(task);
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

/// An order of the queues in which each comes first as often as its weight says (Efraimidis and Spirakis, 2006:
/// sort by `u^(1/weight)`), so that no tier starves another.
fn drawn(queues: &[(QueueName, f64)]) -> Vec<QueueName> {
    let mut keyed: Vec<(f64, &QueueName)> = queues
        .iter()
        .map(|(queue, weight)| (rand::random::<f64>().ln() / weight, queue))
        .collect();
    keyed.sort_by(|a, b| b.0.total_cmp(&a.0));
    keyed.into_iter().map(|(_, queue)| queue.clone()).collect()
}

//! The product's verbs, as this process performs them.
//!
//! SKELETON: signatures are final, bodies are not.

use std::time::Duration;

use crate::domain::queue::QueueConfig;
use crate::domain::settle::{NotSettled, Settle, Settled};
use crate::domain::task::{Enqueued, TaskView};
use crate::domain::{Lease, LeasedTask, Millis, NewTask, QueueName, TaskId, TaskName, TaskState};

/// Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    _inner: std::sync::Arc<()>,
}

/// Why an operation gave no outcome. Expected answers (lost lease, empty queue) are values, not failures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the queue does not exist and the service does not create queues by itself")]
    QueueUnknown,
    #[error("the service has as many queues as it may have")]
    QueuesFull,
    /// Nothing was written; retry freely.
    #[error("the store did not take the operation: {0}")]
    NotApplied(&'static str),
    /// It may or may not have happened; a retry with the same id, key or lease is safe.
    #[error("the store did not say whether the operation happened")]
    Unknown,
    #[error("the store is full")]
    StoreFull,
    /// A script or reply that cannot be; the log has the details.
    #[error("the store answered what it should not")]
    Broken,
    /// More requests are waiting than this process takes.
    #[error("too many requests are waiting")]
    Overloaded,
    /// The process is shutting down.
    #[error("the service is shutting down")]
    Draining,
}

/// What a lease call asks of one queue.
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

/// Grants on their way to a caller. Whoever drops it without [`Granted::delivered`]
/// gives the tasks back at once, attempt not counted.
pub struct Granted {
    pub tasks: Vec<LeasedTask>,
}

impl Granted {
    /// The answer is being written: the grants are the caller's now.
    pub fn delivered(self) {}
}

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
    /// Lease calls waiting on this replica.
    pub workers_waiting: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueInfo {
    pub queue: QueueName,
    pub config: QueueConfig,
    /// Rises with every change of the config; the ETag.
    pub version: u64,
    pub created_at: Millis,
    pub stats: QueueStats,
}

/// What a config write was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigWrite {
    Created(QueueInfo),
    Updated(QueueInfo),
    /// `If-Match` named another version than the present one.
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
    /// Redis took a write and the scripts are loaded.
    pub store: Result<(), String>,
    pub draining: bool,
    /// `memory`, `fsync` or `replicated`: what write answers wait for.
    pub durability: &'static str,
}

#[allow(unused_variables, clippy::unused_async, clippy::todo)]
impl Engine {
    /// Accepts one task. The answer comes after the durability step.
    pub async fn enqueue(&self, queue: &QueueName, task: NewTask) -> Result<Enqueued, Failure> {
        todo!()
    }

    /// Accepts many, in order; each fails or succeeds alone.
    pub async fn enqueue_many(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
    ) -> Vec<Result<Enqueued, Failure>> {
        todo!()
    }

    /// Accepts all in one script, or none. At most `ATOMIC_ITEMS_MAX` tasks and `ATOMIC_BYTES_MAX` bytes.
    pub async fn enqueue_all(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
    ) -> Result<Vec<Enqueued>, Failure> {
        todo!()
    }

    /// Leases tasks, waiting for the first as long as the request says.
    pub async fn lease(&self, request: LeaseRequest) -> Result<Leased, Failure> {
        todo!()
    }

    /// Settles first, then leases; does not wait if one of the operations failed.
    pub async fn settle_and_lease(
        &self,
        settle: Vec<Settle>,
        request: LeaseRequest,
    ) -> (
        Vec<Result<Result<Settled, NotSettled>, Failure>>,
        Result<Leased, Failure>,
    ) {
        todo!()
    }

    /// Reads a `lease_id`; `None` when this deployment never made it.
    pub fn open_lease(&self, lease_id: &str) -> Option<Lease> {
        todo!()
    }

    pub async fn settle(&self, op: Settle) -> Result<Result<Settled, NotSettled>, Failure> {
        todo!()
    }

    /// Many operations, of any queues, answered in order.
    pub async fn settle_many(&self, ops: Vec<Settle>) -> Vec<Result<Result<Settled, NotSettled>, Failure>> {
        todo!()
    }

    /// `None`: no such queue, or no such task in it.
    pub async fn task(&self, queue: &QueueName, id: TaskId) -> Result<Option<TaskView>, Failure> {
        todo!()
    }

    /// One state of one queue, page by page. `None`: no such queue.
    pub async fn tasks(
        &self,
        queue: &QueueName,
        filter: TaskFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Result<Option<Page<TaskView>>, BadCursor>, Failure> {
        todo!()
    }

    pub async fn queues(
        &self,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Result<Page<QueueInfo>, BadCursor>, Failure> {
        todo!()
    }

    /// `None`: no such queue.
    pub async fn queue(&self, queue: &QueueName) -> Result<Option<QueueInfo>, Failure> {
        todo!()
    }

    /// Replaces the config; `if_match` is the version that must be the present one, 0 for "must not exist".
    pub async fn put_config(
        &self,
        queue: &QueueName,
        config: QueueConfig,
        if_match: Option<u64>,
    ) -> Result<ConfigWrite, Failure> {
        todo!()
    }

    /// `None`: no such queue.
    pub async fn stats(&self, queue: &QueueName) -> Result<Option<QueueStats>, Failure> {
        todo!()
    }

    pub async fn health(&self) -> Health {
        todo!()
    }

    /// Lease calls waiting in this process.
    pub fn waiting(&self) -> usize {
        todo!()
    }

    /// Answers waiting leases (empty), refuses new work, flushes what was taken. Idempotent.
    pub async fn drain(&self) {
        todo!()
    }
}

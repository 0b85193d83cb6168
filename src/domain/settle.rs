//! The operations of workers on their leases, and their outcomes.

use super::task::{Json, TaskError};
use super::{Lease, Millis, TaskId, TaskState};

/// One operation on one genuine lease.
#[derive(Debug, Clone)]
pub struct Settle {
    pub lease: Lease,
    pub op: SettleOp,
}

/// The operations that end or prolong a lease.
#[derive(Debug, Clone)]
pub enum SettleOp {
    Ack(Ack),
    Nack(Nack),
    Extend(Extend),
    Release(Release),
}

#[derive(Debug, Clone, Default)]
pub struct Ack {
    /// At most `RESULT_BYTES_MAX`.
    pub result: Option<Json>,
}

#[derive(Debug, Clone)]
pub struct Nack {
    pub error: TaskError,
    /// `false` sends the task straight to the dead letters.
    pub retry: bool,
    /// Replaces the backoff of the policy.
    pub delay_ms: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub struct Extend {
    /// `None`: the length the lease was granted with.
    pub lease_ms: Option<u64>,
    pub progress: Option<Json>,
}

/// When a released task may run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryAfter {
    /// At once and at its old position; not counted as a deferral.
    #[default]
    None,
    Ms(u64),
    At(Millis),
}

/// The siblings that wait until the due time of a released task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hold {
    #[default]
    None,
    /// All tasks of its name.
    Name,
    /// All tasks of its group; for a task without a group, all tasks without one.
    Group,
    Queue,
}

#[derive(Debug, Clone, Default)]
pub struct Release {
    pub retry_after: RetryAfter,
    pub hold: Hold,
    pub reason: Option<String>,
}

/// The effect of a settle; with `already`, the effect that an earlier request with the same lease had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    Acked {
        id: TaskId,
        /// The lease had expired, but nobody had been granted the task since.
        late: bool,
        already: bool,
    },
    Nacked {
        id: TaskId,
        /// `Scheduled`, `Ready`, `Dead` or `Cancelled`.
        state: TaskState,
        attempt: u16,
        attempts_left: u16,
        next_attempt_at: Option<Millis>,
        already: bool,
    },
    Extended {
        id: TaskId,
        lease_expires_at: Millis,
        cancel_requested: bool,
    },
    Released {
        id: TaskId,
        /// `Scheduled`, `Ready`, `Dead` or `Cancelled`.
        state: TaskState,
        run_at: Option<Millis>,
        already: bool,
    },
}

/// The reason why a settle had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSettled {
    /// The lease is genuine, but expired or not the current one.
    Lost,
    /// The queue or task is gone and no longer marked.
    Unknown,
}

//! Tasks: as producers send them, as workers receive them, and as reads show them.

use bytes::Bytes;
use std::sync::Arc;

use super::full::Full;
use super::idempotency::RepeatMark;
use super::unique::Unique;
use super::{Group, Millis, QueueName, RetryPolicy, TaskId, TaskName, UniqueKey, limits};

/// 0..=1000, higher first. One point is worth `aging_seconds` of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u16);

impl Priority {
    pub const DEFAULT: Self = Self(10);

    pub fn new(value: u64) -> Option<Self> {
        let value = u16::try_from(value).ok()?;
        (value <= limits::PRIORITY_MAX).then_some(Self(value))
    }
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The first time at which an enqueued task may run, by Redis's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    #[default]
    Now,
    /// Milliseconds after acceptance.
    After(u64),
    At(Millis),
}

/// The time by Redis's clock from which a waiting task is not granted any more and becomes a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Milliseconds after acceptance.
    After(u64),
    At(Millis),
}

impl Expiry {
    /// Returns the instant for a task that was accepted at `accepted`.
    pub fn at(self, accepted: Millis) -> Millis {
        match self {
            Self::After(ms) => accepted.plus(ms),
            Self::At(at) => at,
        }
    }
}

/// JSON text, kept byte for byte. The edge has checked that it is one JSON value.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    /// Wraps a text. The caller guarantees that it is one valid JSON value in UTF-8.
    pub fn from_checked(text: Bytes) -> Self {
        Self(text)
    }
    pub fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
    /// Returns the text; `"null"` if the bytes are not UTF-8, which only a damaged store can cause.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("null")
    }
}

impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

impl serde::Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let raw: &serde_json::value::RawValue =
            serde_json::from_str(self.as_str()).map_err(serde::ser::Error::custom)?;
        raw.serialize(s)
    }
}

/// Data beside the payload: headers and trace context of the producer, and the origin of a replayed task.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Meta {
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub headers: std::collections::BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// The dead letter that this task was replayed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_from: Option<TaskId>,
}

impl Meta {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A task to enqueue. Every value is within its limits.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Created before the first write, so that a retry after an unknown outcome cannot double the task.
    pub id: TaskId,
    pub name: TaskName,
    pub group: Option<Group>,
    pub payload: Json,
    pub priority: Priority,
    pub start: Start,
    pub expiry: Option<Expiry>,
    /// Overrides name, queue and server, as the next two do; 1..=[`limits::ATTEMPTS_MAX`].
    pub max_attempts: Option<u16>,
    /// [`limits::LEASE_MS_MIN`]..=[`limits::LEASE_MS_MAX`].
    pub lease_ms: Option<u64>,
    pub retry: Option<RetryPolicy>,
    pub unique: Option<Unique>,
    /// Present if the request that brings the task may be repeated.
    pub repeat_mark: Option<RepeatMark>,
    pub meta: Meta,
}

impl AsRef<Self> for NewTask {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl NewTask {
    /// Creates a ready task of the default name with a new id.
    pub fn new(payload: Json) -> Self {
        Self {
            id: TaskId::new(Millis::local()),
            name: TaskName::default(),
            group: None,
            payload,
            priority: Priority::DEFAULT,
            start: Start::Now,
            expiry: None,
            max_attempts: None,
            lease_ms: None,
            retry: None,
            unique: None,
            repeat_mark: None,
            meta: Meta::default(),
        }
    }
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskState {
    Scheduled,
    Ready,
    Leased,
    Completed,
    Cancelled,
    Dead,
}

impl TaskState {
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Ready,
        Self::Leased,
        Self::Completed,
        Self::Cancelled,
        Self::Dead,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl serde::Serialize for TaskState {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.word())
    }
}

/// The outcome of an accepted enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    pub id: TaskId,
    /// `None`: the task is no longer kept.
    pub state: Option<TaskState>,
    /// Present if the task is scheduled.
    pub run_at: Option<Millis>,
    pub made: Made,
    /// An earlier request with the same `Idempotency-Key` had this outcome; this request had no effect.
    pub replayed: bool,
    /// The result of a completed task. Present only in the outcome of an enqueue of one task.
    pub result: Option<Json>,
}

/// The effect of an enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A new task.
    Task,
    /// No effect: another task holds the unique key.
    Duplicate,
    /// The task that holds the unique key got a new payload and new options.
    Replacement,
}

impl Enqueued {
    /// Returns the outcome for a new task.
    pub fn new(id: TaskId, run_at: Option<Millis>) -> Self {
        Self {
            id,
            state: Some(if run_at.is_some() {
                TaskState::Scheduled
            } else {
                TaskState::Ready
            }),
            run_at,
            made: Made::Task,
            replayed: false,
            result: None,
        }
    }

    /// Returns whether this request created a task.
    pub fn is_new(&self) -> bool {
        self.made == Made::Task && !self.replayed
    }
}

/// The reason why an enqueue was refused. It left nothing behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotEnqueued {
    /// Another task holds the unique key, and `on_duplicate` is `reject`.
    Duplicate {
        holder: TaskId,
        /// `None`: that task is no longer kept.
        state: Option<TaskState>,
    },
    /// An earlier request had the same `Idempotency-Key` and another body.
    Mismatch,
    /// The queue is full.
    Full(Full),
    /// An operator has paused enqueues.
    Paused {
        /// The time until the pause ends, if it has an end.
        ends_in_ms: Option<u64>,
    },
}

/// An error as a worker reported it, or as the service recorded it (`lease_expired`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskError {
    /// At most [`limits::ERROR_TYPE_BYTES_MAX`]; `error` if the worker sent none.
    pub kind: String,
    pub message: String,
    pub stack: Option<String>,
    /// Message or stack were cut to their limits.
    pub cut: bool,
}

/// The end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    Nacked,
    LeaseExpired,
    DeferralsExhausted,
}

impl AttemptOutcome {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nacked => "nacked",
            Self::LeaseExpired => "lease_expired",
            Self::DeferralsExhausted => "deferrals_exhausted",
        }
    }
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub number: u16,
    pub grant: u32,
    pub worker: Option<String>,
    pub started_at: Millis,
    pub ended_at: Millis,
    pub outcome: AttemptOutcome,
    pub error: TaskError,
}

/// A task with the lease of its worker.
#[derive(Debug, Clone)]
pub struct LeasedTask {
    pub id: TaskId,
    pub queue: QueueName,
    pub name: TaskName,
    pub group: Option<Group>,
    pub payload: Json,
    pub priority: Priority,
    /// 1 for the first.
    pub attempt: u16,
    pub max_attempts: u16,
    pub deferrals: u16,
    pub grant: u32,
    pub lease_id: String,
    pub lease_ms: u64,
    pub lease_expires_at: Millis,
    pub server_time: Millis,
    pub enqueued_at: Millis,
    pub ready_at: Millis,
    pub expires_at: Option<Millis>,
    pub unique_key: Option<UniqueKey>,
    pub meta: Arc<Meta>,
    pub last_error: Option<TaskError>,
}

/// Everything that the service knows about one task.
#[derive(Debug, Clone)]
pub struct TaskView {
    pub id: TaskId,
    pub name: TaskName,
    pub group: Option<Group>,
    pub state: TaskState,
    pub payload: Json,
    pub priority: Priority,
    /// Attempts, including the running one.
    pub attempt: u16,
    pub max_attempts: u16,
    pub deferrals: u16,
    /// Grants until now.
    pub grant: u32,
    pub lease_ms: u64,
    pub retry: RetryPolicy,
    pub enqueued_at: Millis,
    pub expires_at: Option<Millis>,
    /// The time at which it becomes or became ready. Present for waiting tasks only.
    pub ready_at: Option<Millis>,
    /// Present for leased tasks only.
    pub lease_expires_at: Option<Millis>,
    pub cancel_requested: bool,
    /// The worker of the current or last lease, if the lease call named one.
    pub worker: Option<String>,
    pub progress: Option<Json>,
    /// Present for completed, cancelled and dead tasks only.
    pub finished_at: Option<Millis>,
    /// Present for completed tasks whose ack contained one.
    pub result: Option<Json>,
    /// Present for dead tasks only.
    pub reason: Option<DeadReason>,
    pub attempts: Vec<Attempt>,
    pub unique_key: Option<UniqueKey>,
    pub meta: Meta,
}

/// The reason why a task became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadReason {
    AttemptsExhausted,
    Rejected,
    Expired,
}

impl DeadReason {
    pub const ALL: [Self; 3] = [Self::AttemptsExhausted, Self::Rejected, Self::Expired];

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

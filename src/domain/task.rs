//! Tasks as they come in, go out to workers, and are looked at.

use bytes::Bytes;
use std::sync::Arc;

use super::idempotency::RepeatMark;
use super::unique::Unique;
use super::{Group, Millis, QueueName, RetryPolicy, TaskId, TaskName, UniqueKey, limits};

/// 0..=1000, higher first. One point is worth the queue's `aging_seconds` of waiting.
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

/// When an enqueued task may first run, on Redis's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    #[default]
    Now,
    /// Milliseconds after acceptance.
    After(u64),
    At(Millis),
}

/// From when on nobody is granted a task that waits: it becomes a dead letter. On Redis's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Milliseconds after acceptance.
    After(u64),
    At(Millis),
}

impl Expiry {
    /// The instant, for a task accepted at `accepted`.
    pub fn at(self, accepted: Millis) -> Millis {
        match self {
            Self::After(ms) => accepted.plus(ms),
            Self::At(at) => at,
        }
    }
}

/// JSON text kept byte for byte; checked to be one JSON value where it entered.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    /// Trusts the caller: `text` is one valid JSON value in UTF-8.
    pub fn from_checked(text: Bytes) -> Self {
        Self(text)
    }
    pub fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
    /// `"null"` should the bytes not be UTF-8, which only a damaged store can cause.
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

/// What travels beside the payload: the producer's headers and trace context, and where a replayed task comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Meta {
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub headers: std::collections::BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// The dead letter that this task was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_from: Option<TaskId>,
}

impl Meta {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A task to enqueue, every value within its limits.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Made before the first write, so that a retry of an unknown outcome cannot double the task.
    pub id: TaskId,
    pub name: TaskName,
    pub group: Option<Group>,
    pub payload: Json,
    pub priority: Priority,
    pub start: Start,
    pub expiry: Option<Expiry>,
    /// Wins over name, queue and server, as the next two do; 1..=[`limits::ATTEMPTS_MAX`].
    pub max_attempts: Option<u16>,
    /// [`limits::LEASE_MS_MIN`]..=[`limits::LEASE_MS_MAX`].
    pub lease_ms: Option<u64>,
    pub retry: Option<RetryPolicy>,
    pub unique: Option<Unique>,
    /// Where the request that brings it may be repeated.
    pub repeat_mark: Option<RepeatMark>,
    pub meta: Meta,
}

impl AsRef<Self> for NewTask {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl NewTask {
    /// A ready task of the default name with a fresh id.
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

/// The one state a task is in.
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

/// The answer to an enqueue that was not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    pub id: TaskId,
    /// `None`: the task is no longer kept.
    pub state: Option<TaskState>,
    /// Set when scheduled.
    pub run_at: Option<Millis>,
    pub made: Made,
    /// An earlier request with the same `Idempotency-Key` did it, and this one nothing.
    pub replayed: bool,
    /// Of a completed task whose ack carried one; for enqueues of one task only.
    pub result: Option<Json>,
}

/// What an enqueue made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A new task.
    Task,
    /// Nothing: another task holds the unique key.
    Duplicate,
    /// Nothing but a new payload and new options for the task that holds the unique key.
    Replacement,
}

impl Enqueued {
    /// A task that was made just now.
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

    /// Whether there is a task now that was not there before.
    pub fn is_new(&self) -> bool {
        self.made == Made::Task && !self.replayed
    }
}

/// Why an enqueue was refused; nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotEnqueued {
    /// Another task holds the unique key, and `on_duplicate` says to reject.
    Duplicate {
        holder: TaskId,
        /// `None`: it is no longer kept.
        state: Option<TaskState>,
    },
    /// The `Idempotency-Key` came before, with another body.
    Mismatch,
    /// The queue's dead letters are full, and its config says that nothing new is accepted then.
    Full,
}

/// An error as a worker reported it, or as the service recorded it (`lease_expired`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskError {
    /// At most [`limits::ERROR_TYPE_BYTES_MAX`]; `error` where the worker gave none.
    pub kind: String,
    pub message: String,
    pub stack: Option<String>,
    /// Message or stack were cut to their limits.
    pub cut: bool,
}

/// How a grant that counted ended.
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

/// A task with the lease that a worker now holds.
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

/// Everything the service knows of one task.
#[derive(Debug, Clone)]
pub struct TaskView {
    pub id: TaskId,
    pub name: TaskName,
    pub group: Option<Group>,
    pub state: TaskState,
    pub payload: Json,
    pub priority: Priority,
    /// Grants that counted, the running one included.
    pub attempt: u16,
    pub max_attempts: u16,
    pub deferrals: u16,
    /// Grants so far.
    pub grant: u32,
    pub lease_ms: u64,
    pub retry: RetryPolicy,
    pub enqueued_at: Millis,
    pub expires_at: Option<Millis>,
    /// When it becomes or became ready: waiting tasks only.
    pub ready_at: Option<Millis>,
    /// Leased tasks only.
    pub lease_expires_at: Option<Millis>,
    pub cancel_requested: bool,
    /// Who holds or last held the lease, where the lease call named a worker.
    pub worker: Option<String>,
    pub progress: Option<Json>,
    /// Completed, cancelled and dead tasks only.
    pub finished_at: Option<Millis>,
    /// Completed tasks whose ack carried one.
    pub result: Option<Json>,
    /// Dead tasks only.
    pub reason: Option<DeadReason>,
    pub attempts: Vec<Attempt>,
    pub unique_key: Option<UniqueKey>,
    pub meta: Meta,
}

/// Why a task became a dead letter.
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

//! Changes that operators make to existing tasks, and their outcomes.

use super::{Millis, Priority, TaskId, TaskState};

/// The reason why a task was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotChanged {
    /// The queue has no such task, or does not exist.
    Unknown,
    /// The state of the task does not allow the change.
    State(TaskState),
}

/// The outcome of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// The task is cancelled, now or since before.
    Done,
    /// The task is leased. Its worker sees the request on extend and may still ack; any other end of the
    /// lease cancels the task.
    Requested,
}

/// The new due time of a waiting task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    #[default]
    AsItWas,
    /// A scheduled task becomes ready now. A ready one keeps its position.
    Now,
    /// The task is scheduled for this instant. A past instant counts as now.
    At(Millis),
}

/// The changes to a waiting task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// A new priority; `ready_at` stays.
    pub priority: Option<Priority>,
    pub when: When,
}

/// A waiting task after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    pub id: TaskId,
    /// `Scheduled` or `Ready`.
    pub state: TaskState,
    pub priority: Priority,
    /// The time at which it becomes or became ready.
    pub ready_at: Millis,
}

//! What operators ask of tasks that are there, and what came of it.

use super::{Millis, Priority, TaskId, TaskState};

/// Why a task was left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotChanged {
    /// The queue has no such task, or does not exist.
    Unknown,
    /// This state does not allow it.
    State(TaskState),
}

/// What became of a task that was to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It is cancelled now, or was before.
    Done,
    /// It is leased: its worker sees the wish on extend and may still ack; anything else that ends the lease cancels it.
    Requested,
}

/// When a waiting task is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    #[default]
    AsItWas,
    /// A scheduled task becomes ready now; a ready one keeps its place.
    Now,
    /// Scheduled for then; an instant that is past counts as now.
    At(Millis),
}

/// What to change about a waiting task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Keeps `ready_at`.
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
    /// When it becomes or became ready.
    pub ready_at: Millis,
}

//! The bounds of a queue.

/// The bound that makes a queue refuse tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The unfinished tasks have reached `max_tasks`.
    Tasks,
    /// With this task, the unfinished tasks would exceed `max_bytes`.
    Bytes,
    /// The task has a new name, and the queue has reached its bound of names.
    Names,
    /// The dead letters are full, and the config refuses new tasks then.
    DeadLetters,
}

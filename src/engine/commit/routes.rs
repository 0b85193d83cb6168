//! Finds the committer that owns a queue.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::mpsc;

use super::command::Command;
use crate::domain::QueueName;
use crate::engine::failure::Failure;

/// The channels of all committers. Cheap to clone.
#[derive(Clone)]
pub(in crate::engine) struct Routes(std::sync::Arc<[mpsc::Sender<Command>]>);

impl Routes {
    pub(in crate::engine) fn new(committers: Vec<mpsc::Sender<Command>>) -> Self {
        Self(committers.into())
    }

    pub(in crate::engine) fn home(&self, queue: &QueueName) -> &mpsc::Sender<Command> {
        let mut hasher = DefaultHasher::new();
        queue.hash(&mut hasher);
        let index = hasher.finish() % self.0.len() as u64;
        &self.0[usize::try_from(index).expect("an index below the number of committers")]
    }

    pub(in crate::engine) fn all(&self) -> &[mpsc::Sender<Command>] {
        &self.0
    }

    /// Sends a request. Too many waiting requests refuse it at once: a longer wait would help nobody.
    pub(in crate::engine) fn ask(&self, queue: &QueueName, command: Command) -> Result<(), Failure> {
        self.home(queue).try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Failure::Draining,
        })
    }

    /// Sends a hint, which may be lost.
    pub(in crate::engine) fn hint(&self, queue: &QueueName, command: Command) {
        let _ = self.home(queue).try_send(command);
    }
}

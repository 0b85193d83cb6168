//! Which committer owns a queue.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::mpsc;

use super::command::Command;
use super::failure::Failure;
use crate::domain::QueueName;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Routes(std::sync::Arc<[mpsc::Sender<Command>]>);

impl Routes {
    pub(super) fn new(committers: Vec<mpsc::Sender<Command>>) -> Self {
        Self(committers.into())
    }

    pub(super) fn home(&self, queue: &QueueName) -> &mpsc::Sender<Command> {
        let mut hasher = DefaultHasher::new();
        queue.hash(&mut hasher);
        let share = hasher.finish() % self.0.len() as u64;
        &self.0[usize::try_from(share).expect("a share is below the number of committers")]
    }

    pub(super) fn all(&self) -> &[mpsc::Sender<Command>] {
        &self.0
    }

    /// A request: refused at once when too many wait, for waiting longer would help nobody.
    pub(super) fn ask(&self, queue: &QueueName, command: Command) -> Result<(), Failure> {
        self.home(queue).try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Failure::Draining,
        })
    }

    /// A hint: it may be lost.
    pub(super) fn tell(&self, queue: &QueueName, command: Command) {
        let _ = self.home(queue).try_send(command);
    }
}

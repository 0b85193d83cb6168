//! Pauses and resumes queues.

use super::commit::Command;
use super::{Engine, Failure};
use crate::domain::QueueName;
use crate::domain::pause::{Pause, Paused};
use crate::store::QueueKeys;
use crate::store::ops::pause::{PauseChanged, PauseOp};

/// The reason why a queue was not paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotPaused {
    /// The pause would end in the past of Redis's clock.
    Past,
}

impl Engine {
    /// Pauses a queue. After it returns, no replica grants (or accepts) tasks until the queue is resumed or
    /// the pause ends. Pausing a paused queue replaces its mode, reason and end. Returns `None` if there is
    /// no such queue.
    ///
    /// # Errors
    /// As [`Failure`] lists. A repeat is safe.
    pub async fn pause(
        &self,
        queue: &QueueName,
        pause: Pause,
    ) -> Result<Option<Result<Paused, NotPaused>>, Failure> {
        let changed = self.change_pause(queue, Some(&pause)).await?;
        Ok(changed.map(|changed| match changed {
            PauseChanged::Past => Err(NotPaused::Past),
            PauseChanged::Done { since, .. } => Ok(Paused {
                mode: pause.mode,
                since,
                until: pause.until,
                reason: pause.reason,
            }),
        }))
    }

    /// Resumes a queue, paused or not. Returns `None` if there is no such queue.
    ///
    /// # Errors
    /// As [`Failure`] lists. A repeat is safe.
    pub async fn resume(&self, queue: &QueueName) -> Result<Option<()>, Failure> {
        Ok(self.change_pause(queue, None).await?.map(|_| ()))
    }

    async fn change_pause(
        &self,
        queue: &QueueName,
        pause: Option<&Pause>,
    ) -> Result<Option<PauseChanged>, Failure> {
        let op = PauseOp {
            replica: &self.settings().replica,
            pause,
        };
        let Ok(changed) = self.store().call(&QueueKeys::new(queue), &op).await? else {
            return Ok(None);
        };
        // Wakes the waiters of this process; the script woke other replicas. A lost hint costs a second.
        if let PauseChanged::Done {
            ready: tasks @ 1.., ..
        } = changed
        {
            let tasks = usize::try_from(tasks).unwrap_or(usize::MAX);
            self.inner.routes.hint(queue, Command::Hint(queue.clone(), tasks));
        }
        Ok(Some(changed))
    }
}

//! Pausing a queue, and letting it go on.

use super::commit::Command;
use super::{Engine, Failure};
use crate::domain::QueueName;
use crate::domain::pause::{Pause, Paused};
use crate::store::QueueKeys;
use crate::store::ops::pause::{PauseChanged, PauseOp};

/// Why a queue was not paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotPaused {
    /// It would be over already, on Redis's clock.
    Past,
}

impl Engine {
    /// From the answer on nothing is granted, or accepted, through any replica, until the queue is resumed or the pause ends. A
    /// queue that is paused already is paused as this says. `None`: no such queue.
    ///
    /// # Errors
    /// As [`Failure`] says. A repeat is safe.
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

    /// Lets a queue go on, whether it was paused or not. `None`: no such queue.
    ///
    /// # Errors
    /// As [`Failure`] says. A repeat is safe.
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
        // Those who wait here; the script told other replicas. Only a hint: all look each second.
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

//! Changes one task for operators: cancels it, or changes its due time or priority.

use super::commit::Command;
use super::{Engine, Failure};
use crate::domain::change::{Cancelled, Change, Changed, NotChanged};
use crate::domain::{QueueName, TaskId, TaskState};
use crate::store::QueueKeys;
use crate::store::ops::cancel::CancelOp;
use crate::store::ops::patch::PatchOp;

impl Engine {
    /// Cancels a task. A repeat has the same outcome.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn cancel(
        &self,
        queue: &QueueName,
        id: TaskId,
    ) -> Result<Result<Cancelled, NotChanged>, Failure> {
        let op = CancelOp {
            only: None,
            ids: &[id],
        };
        let answers = self.store().call(&QueueKeys::new(queue), &op).await?;
        self.changed(queue);
        match answers {
            Ok(mut answers) => answers.pop().ok_or(Failure::Broken),
            Err(_) => Ok(Err(NotChanged::Unknown)),
        }
    }

    /// Changes a waiting task. A repeat has the same outcome as long as the task waits.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn change(
        &self,
        queue: &QueueName,
        id: TaskId,
        change: Change,
    ) -> Result<Result<Changed, NotChanged>, Failure> {
        let op = PatchOp {
            replica: &self.settings().replica,
            id,
            change,
        };
        let changed = self.store().call(&QueueKeys::new(queue), &op).await?;
        self.changed(queue);
        // These are hints: waiters of this process look each second, and the slow sweep finds due tasks.
        match &changed {
            Ok(changed) if changed.state == TaskState::Ready => {
                self.inner.routes.hint(queue, Command::Hint(queue.clone(), 1));
            }
            // A sweep replies when the next task is due.
            Ok(_) => self.inner.routes.hint(queue, Command::Sweep(queue.clone())),
            Err(_) => {}
        }
        Ok(changed)
    }
}

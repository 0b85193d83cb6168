//! Reads that wait for the end of a task.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::listen::{Follow, Follower};
use super::{Engine, Failure};
use crate::domain::limits::FOLLOWERS_MAX;
use crate::domain::task::TaskView;
use crate::domain::{QueueName, TaskId, TaskState};

impl Engine {
    /// Returns the task once it is completed, cancelled or dead; after `wait` or at shutdown, as it is then.
    /// Returns `None` if there is no such queue, or no such task in it.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn task_when_finished(
        &self,
        queue: &QueueName,
        id: TaskId,
        wait: Duration,
    ) -> Result<Option<TaskView>, Failure> {
        let until = Instant::now() + wait;
        loop {
            let task = self.task(queue, id).await?;
            let is_over = task.as_ref().is_none_or(|task| is_finished(task.state));
            if is_over || wait.is_zero() || self.is_draining() || Instant::now() >= until {
                return Ok(task);
            }
            if self.following() >= FOLLOWERS_MAX {
                return Err(Failure::Overloaded);
            }
            let (look, ended) = oneshot::channel();
            let begin = Follow::Begin(queue.clone(), id, Follower { until, look });
            self.inner.follow.try_send(begin).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Failure::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Failure::Draining,
            })?;
            let _counted = self.inner.following.begin();
            // Whatever ends the wait, the task is read again: only Redis knows its state.
            tokio::select! {
                _ = ended => {}
                () = sleep_until(until) => {}
                () = self.inner.draining.cancelled() => {}
            }
        }
    }

    /// Returns how many reads wait in this process for the end of a task.
    pub fn following(&self) -> usize {
        self.inner.following.calls()
    }
}

const fn is_finished(state: TaskState) -> bool {
    match state {
        TaskState::Completed | TaskState::Cancelled | TaskState::Dead => true,
        TaskState::Scheduled | TaskState::Ready | TaskState::Leased => false,
    }
}

//! Accepting tasks.

use tokio::sync::oneshot;

use super::commit::{Command, EnqueueJob, TaskOutcome};
use super::{Engine, Failure};
use crate::domain::task::{Enqueued, NotEnqueued};
use crate::domain::{NewTask, QueueName, TaskState, limits};

/// The outcome of one enqueue: the task that exists now, the reason why it was refused, or the failure that
/// hides it.
pub type EnqueueOutcome = Result<Result<Enqueued, NotEnqueued>, Failure>;

type Replied = oneshot::Receiver<Result<Vec<TaskOutcome>, Failure>>;

impl Engine {
    /// Accepts one task, and returns after the durability step. If the task exists already and is completed,
    /// the outcome contains its result.
    ///
    /// # Errors
    /// As [`Failure`] lists. After [`Failure::Unknown`] the task may exist.
    pub async fn enqueue(&self, queue: &QueueName, task: NewTask) -> EnqueueOutcome {
        let mut accepted = outcomes(self.send_enqueue(queue, vec![task], false)).await?;
        let mut enqueued = match accepted.pop().ok_or(Failure::Broken)? {
            Ok(enqueued) => enqueued,
            Err(refused) => return Ok(Err(refused)),
        };
        if enqueued.state == Some(TaskState::Completed) {
            // Results may be long, so the script, which serves many callers at once, does not read them.
            let task = self.task(queue, enqueued.id).await?;
            enqueued.state = task.as_ref().map(|task| task.state);
            enqueued.result = task.and_then(|task| task.result);
        }
        Ok(Ok(enqueued))
    }

    /// Accepts many tasks, in order and in chunks. Each chunk fails or succeeds alone.
    pub async fn enqueue_many(&self, queue: &QueueName, tasks: Vec<NewTask>) -> Vec<EnqueueOutcome> {
        let mut waiting = Vec::new();
        for chunk in chunks(tasks, self.settings().script_items) {
            let count = chunk.len();
            waiting.push((count, self.send_enqueue(queue, chunk, false)));
        }
        let mut results = Vec::new();
        for (count, sent) in waiting {
            match outcomes(sent).await {
                Ok(accepted) => results.extend(accepted.into_iter().map(Ok)),
                Err(failure) => results.extend(std::iter::repeat_n(Err(failure), count)),
            }
        }
        results
    }

    /// Accepts all tasks in one script call, or none: at most `ATOMIC_ITEMS_MAX` tasks and `ATOMIC_BYTES_MAX`
    /// bytes. A refusal names the index of the first refused task.
    ///
    /// # Errors
    /// As [`Failure`] lists, for all of them.
    pub async fn enqueue_all(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
    ) -> Result<Result<Vec<Enqueued>, (usize, NotEnqueued)>, Failure> {
        let accepted = outcomes(self.send_enqueue(queue, tasks, true)).await?;
        let placed = accepted.into_iter().enumerate();
        Ok(placed
            .map(|(index, outcome)| outcome.map_err(|refused| (index, refused)))
            .collect())
    }

    fn send_enqueue(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
        all_or_none: bool,
    ) -> Result<Replied, Failure> {
        let (reply, replied) = oneshot::channel();
        let bytes = tasks.iter().map(|task| task.payload.bytes().len()).sum();
        let job = EnqueueJob {
            bytes,
            again: false,
            all_or_none,
            tasks,
            reply,
        };
        self.inner
            .routes
            .ask(queue, Command::Enqueue(queue.clone(), job))?;
        Ok(replied)
    }
}

async fn outcomes(sent: Result<Replied, Failure>) -> Result<Vec<TaskOutcome>, Failure> {
    sent?.await.unwrap_or(Err(Failure::Unknown))
}

/// Cuts tasks into script calls, by number and by bytes. Each chunk has at least one task.
fn chunks(tasks: Vec<NewTask>, items_max: usize) -> Vec<Vec<NewTask>> {
    let mut chunks = Vec::new();
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for task in tasks {
        let size = task.payload.bytes().len();
        if !chunk.is_empty() && (chunk.len() == items_max || bytes + size > limits::SCRIPT_BYTES_MAX) {
            chunks.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += size;
        chunk.push(task);
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

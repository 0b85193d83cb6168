//! Accepting tasks.

use tokio::sync::oneshot;

use super::command::{Command, EnqueueJob};
use super::{Engine, Failure};
use crate::domain::task::{Enqueued, NotEnqueued};
use crate::domain::{NewTask, QueueName, TaskState, limits};

/// The answer to one enqueue: what it made or met, why it was refused, or why nobody knows.
pub type EnqueueOutcome = Result<Result<Enqueued, NotEnqueued>, Failure>;

type Answered = Result<Vec<Result<Enqueued, NotEnqueued>>, Failure>;

impl Engine {
    /// Accepts one task. The answer comes after the durability step, and has the result of a completed task
    /// that was there already.
    ///
    /// # Errors
    /// As [`Failure`] says. After [`Failure::Unknown`] the task may exist.
    pub async fn enqueue(&self, queue: &QueueName, task: NewTask) -> EnqueueOutcome {
        let mut outcomes = answer(self.send_enqueue(queue, vec![task], false)).await?;
        let mut enqueued = match outcomes.pop().ok_or(Failure::Broken)? {
            Ok(enqueued) => enqueued,
            Err(refused) => return Ok(Err(refused)),
        };
        if enqueued.state == Some(TaskState::Completed) {
            // Results may be long, so scripts that serve many callers at once do not read them.
            let task = self.task(queue, enqueued.id).await?;
            enqueued.state = task.as_ref().map(|task| task.state);
            enqueued.result = task.and_then(|task| task.result);
        }
        Ok(Ok(enqueued))
    }

    /// Accepts many, in order and in chunks; a chunk fails or succeeds alone.
    pub async fn enqueue_many(&self, queue: &QueueName, tasks: Vec<NewTask>) -> Vec<EnqueueOutcome> {
        let mut waiting = Vec::new();
        for chunk in chunks(tasks, self.settings().script_items) {
            let count = chunk.len();
            waiting.push((count, self.send_enqueue(queue, chunk, false)));
        }
        let mut results = Vec::new();
        for (count, sent) in waiting {
            match answer(sent).await {
                Ok(accepted) => results.extend(accepted.into_iter().map(Ok)),
                Err(failure) => results.extend(std::iter::repeat_n(Err(failure), count)),
            }
        }
        results
    }

    /// Accepts all in one script, or none. At most `ATOMIC_ITEMS_MAX` tasks and `ATOMIC_BYTES_MAX` bytes.
    /// Inside: the first that was refused, by its place, for which all others are.
    ///
    /// # Errors
    /// As [`Failure`] says, for all of them.
    pub async fn enqueue_all(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
    ) -> Result<Result<Vec<Enqueued>, (usize, NotEnqueued)>, Failure> {
        let outcomes = answer(self.send_enqueue(queue, tasks, true)).await?;
        let placed = outcomes.into_iter().enumerate();
        Ok(placed
            .map(|(index, outcome)| outcome.map_err(|refused| (index, refused)))
            .collect())
    }

    fn send_enqueue(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
        all_or_none: bool,
    ) -> Result<oneshot::Receiver<Answered>, Failure> {
        let (reply, answer) = oneshot::channel();
        let bytes = tasks.iter().map(|task| task.payload.bytes().len()).sum();
        let job = EnqueueJob {
            bytes,
            again: false,
            // Without any that may be refused it is so anyway, and need not be alone.
            all_or_none: all_or_none
                && tasks
                    .iter()
                    .any(|task| task.unique.is_some() || task.repeat_mark.is_some()),
            tasks,
            reply,
        };
        self.inner
            .routes
            .ask(queue, Command::Enqueue(queue.clone(), job))?;
        Ok(answer)
    }
}

async fn answer<T>(sent: Result<oneshot::Receiver<Result<T, Failure>>, Failure>) -> Result<T, Failure> {
    sent?.await.unwrap_or(Err(Failure::Unknown))
}

/// Cuts tasks into script calls: by number and by bytes, at least one each.
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

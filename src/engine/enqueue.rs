//! Accepting tasks.

use tokio::sync::oneshot;

use super::command::{Command, EnqueueJob};
use super::{Engine, Failure};
use crate::domain::task::Enqueued;
use crate::domain::{NewTask, QueueName, limits};

impl Engine {
    /// Accepts one task. The answer comes after the durability step.
    ///
    /// # Errors
    /// As [`Failure`] says. After [`Failure::Unknown`] the task may exist.
    pub async fn enqueue(&self, queue: &QueueName, task: NewTask) -> Result<Enqueued, Failure> {
        self.enqueue_all(queue, vec![task])
            .await?
            .pop()
            .ok_or(Failure::Broken)
    }

    /// Accepts many, in order and in chunks; a chunk fails or succeeds alone.
    pub async fn enqueue_many(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
    ) -> Vec<Result<Enqueued, Failure>> {
        let mut waiting = Vec::new();
        for chunk in chunks(tasks, self.settings().script_items) {
            let count = chunk.len();
            waiting.push((count, self.send_enqueue(queue, chunk)));
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
    ///
    /// # Errors
    /// As [`Failure`] says, for all of them.
    pub async fn enqueue_all(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
    ) -> Result<Vec<Enqueued>, Failure> {
        answer(self.send_enqueue(queue, tasks)).await
    }

    fn send_enqueue(
        &self,
        queue: &QueueName,
        tasks: Vec<NewTask>,
    ) -> Result<oneshot::Receiver<Result<Vec<Enqueued>, Failure>>, Failure> {
        let (reply, answer) = oneshot::channel();
        let bytes = tasks.iter().map(|task| task.payload.bytes().len()).sum();
        let job = EnqueueJob {
            tasks,
            bytes,
            again: false,
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

//! Deletes queues with all their tasks.

use serde_json::json;

use super::commit::Command;
use super::{Engine, Failure};
use crate::domain::QueueName;
use crate::domain::event::EventKind;
use crate::store::ops::delete::{DeleteOp, Deleted, What};
use crate::store::ops::overview::OverviewOp;
use crate::store::{QueueKeys, Store};

/// Lanes that one script call clears.
const LANES_MAX: usize = 500;

impl Engine {
    ///
    /// Deletes a queue. A queue with tasks is deleted only if `filled` allows it.
    ///
    /// The first script call makes the queue unknown and its tasks gone. Later calls clear its lanes, even if
    /// the caller leaves. If the process dies meanwhile, the slow sweep or the next creation of the queue
    /// clears the rest.
    ///
    /// # Errors
    /// As [`Failure`] lists. A repeat is safe.
    pub async fn delete_queue(&self, queue: &QueueName, filled: bool) -> Result<Deleted, Failure> {
        let (store, mine) = (self.store().clone(), queue.clone());
        let deletion = self
            .inner
            .tasks
            .spawn(async move { delete(&store, &mine, filled).await });
        let deleted = deletion.await.map_err(|_| Failure::Broken)??;
        // Other replicas notice at their next enqueue: a new queue never has a config version of the old one.
        self.inner.routes.hint(queue, Command::Forget(queue.clone()));
        if let Deleted::Done { tasks } = deleted {
            self.tell(EventKind::QueueDeleted, queue, json!({ "tasks": tasks }))
                .await;
        }
        Ok(deleted)
    }
}

async fn delete(store: &Store, queue: &QueueName, filled: bool) -> Result<Deleted, Failure> {
    let keys = QueueKeys::new(queue);
    let mut what = if filled { What::Filled } else { What::Empty };
    let mut answer = None;
    loop {
        let op = DeleteOp {
            what,
            lanes: LANES_MAX,
        };
        let step = store.call(&keys, &op).await?;
        let answer = *answer.get_or_insert(step.deleted);
        if let Deleted::Filled { .. } = answer {
            return Ok(answer);
        }
        if !step.again {
            strike_off(store, queue, &keys).await?;
            return Ok(answer);
        }
        what = What::Rest;
    }
}

/// Another caller may create the queue again at any moment, and an existing queue must be registered.
async fn strike_off(store: &Store, queue: &QueueName, keys: &QueueKeys) -> Result<(), Failure> {
    if store.call(keys, &OverviewOp).await?.is_ok() {
        return Ok(());
    }
    store.unregister(queue).await?;
    if store.call(keys, &OverviewOp).await?.is_ok() {
        store.note(queue).await?;
    }
    Ok(())
}

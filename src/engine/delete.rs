//! A queue goes, with all that it holds.

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
    /// Deletes a queue; one with tasks only when `filled` says so. From the first script call on the queue is unknown to everybody and its
    /// tasks are gone; what is left of its lanes is cleared behind that, also when the caller leaves. Should the process die meanwhile, whoever
    /// makes the queue anew clears the rest, and so does the slow sweep.
    ///
    /// # Errors
    /// As [`Failure`] says. A repeat is safe.
    pub async fn delete_queue(&self, queue: &QueueName, filled: bool) -> Result<Deleted, Failure> {
        let (store, mine) = (self.store().clone(), queue.clone());
        let deletion = self
            .inner
            .tasks
            .spawn(async move { delete(&store, &mine, filled).await });
        let deleted = deletion.await.map_err(|_| Failure::Broken)??;
        // Other replicas are told by the next enqueue: no version of the old queue's config is one of a new one's.
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

/// Somebody may make the queue anew at any moment: it must not be there without being registered.
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

//! Purges dead letters.

use super::bulk::{Bulk, Handled, Walk};
use crate::domain::{QueueName, TaskId};
use crate::engine::{BadCursor, Engine, Failure};
use crate::store::QueueKeys;
use crate::store::ops::purge_dead::PurgeDeadOp;

impl Engine {
    /// Deletes one dead letter; `false` if there is none with this id. An unknown outcome is not retried: a
    /// second try could not know whether the first had deleted it.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn purge_dead_letter(&self, queue: &QueueName, id: TaskId) -> Result<bool, Failure> {
        let purged = self.purge_ids(&QueueKeys::new(queue), &[id]).await?;
        self.changed(queue);
        Ok(purged == 1)
    }

    /// Deletes the matching dead letters. Each is counted by the call that deleted it.
    ///
    /// # Errors
    /// As [`Failure`] lists, if nothing was handled before. The inner error: a cursor that no such call
    /// wrote.
    pub async fn purge_dead_letters(
        &self,
        queue: &QueueName,
        bulk: &Bulk,
    ) -> Result<Result<Handled, BadCursor>, Failure> {
        let keys = QueueKeys::new(queue);
        let mut walk = match Walk::new(self, keys.clone(), bulk, false) {
            Ok(walk) => walk,
            Err(bad) => return Ok(Err(bad)),
        };
        let mut handled = Handled::default();
        loop {
            let letters = match walk.next().await {
                Ok(Some(letters)) => letters,
                Ok(None) => return Ok(Ok(walk.end(handled))),
                Err(failure) => return walk.stop(handled, failure).map(Ok),
            };
            let ids: Vec<TaskId> = letters.iter().map(|letter| letter.place.id).collect();
            if !bulk.dry_run && !ids.is_empty() {
                match self.purge_ids(&keys, &ids).await {
                    Ok(done) => {
                        self.changed(queue);
                        handled.done += done;
                        handled.skipped += ids.len() as u64 - done;
                    }
                    Err(failure) => return walk.stop(handled, failure).map(Ok),
                }
            }
            handled.matched += ids.len() as u64;
            walk.handled_page();
        }
    }

    async fn purge_ids(&self, keys: &QueueKeys, ids: &[TaskId]) -> Result<u64, Failure> {
        let purged = self.store().call(keys, &PurgeDeadOp(ids)).await?;
        purged.map_err(|_| Failure::QueueUnknown)
    }
}

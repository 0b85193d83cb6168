//! Settles: ack, nack, extend and release.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::commit::{Command, SettleOutcome};
use super::{Engine, Failure};
use crate::domain::settle::Settle;
use crate::domain::{Lease, QueueName};

impl Engine {
    /// Reads a `lease_id`. Returns `None` if this deployment never made it.
    pub fn open_lease(&self, lease_id: &str) -> Option<Lease> {
        self.store().open_lease(lease_id).ok()
    }

    /// Settles one lease.
    ///
    /// # Errors
    /// As [`Failure`] lists; a repeat after [`Failure::Unknown`] is safe.
    pub async fn settle(&self, op: Settle) -> SettleOutcome {
        self.settle_many(vec![op])
            .await
            .pop()
            .unwrap_or(Err(Failure::Broken))
    }

    /// Settles leases of any queues. Returns the outcomes in order.
    pub async fn settle_many(&self, ops: Vec<Settle>) -> Vec<SettleOutcome> {
        let mut outcomes: Vec<Option<SettleOutcome>> = ops.iter().map(|_| None).collect();
        let mut by_queue: HashMap<QueueName, (Vec<usize>, Vec<Settle>)> = HashMap::new();
        for (index, op) in ops.into_iter().enumerate() {
            let queue = op.lease.queue.clone();
            let (indexes, ops) = by_queue.entry(queue).or_default();
            indexes.push(index);
            ops.push(op);
        }
        let mut waiting = Vec::new();
        for (queue, (indexes, ops)) in by_queue {
            let (reply, replied) = oneshot::channel();
            match self
                .inner
                .routes
                .ask(&queue, Command::Settle(queue.clone(), ops, reply))
            {
                Ok(()) => waiting.push((indexes, replied)),
                Err(failure) => {
                    for index in indexes {
                        outcomes[index] = Some(Err(failure.clone()));
                    }
                }
            }
        }
        for (indexes, replied) in waiting {
            match replied.await {
                Ok(own) => {
                    for (index, outcome) in indexes.into_iter().zip(own) {
                        outcomes[index] = Some(outcome);
                    }
                }
                Err(_) => {
                    for index in indexes {
                        outcomes[index] = Some(Err(Failure::Unknown));
                    }
                }
            }
        }
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or(Err(Failure::Broken)))
            .collect()
    }
}

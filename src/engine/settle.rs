//! Settles: what workers say of their leases.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::command::Command;
use super::{Engine, Failure};
use crate::domain::settle::{NotSettled, Settle, Settled};
use crate::domain::{Lease, QueueName};

/// The answer to one settle: what it did, why it did nothing, or why nobody knows.
pub type SettleOutcome = Result<Result<Settled, NotSettled>, Failure>;

impl Engine {
    /// Reads a `lease_id`; `None` when this deployment never made it.
    pub fn open_lease(&self, lease_id: &str) -> Option<Lease> {
        self.store().open_lease(lease_id).ok()
    }

    /// # Errors
    /// As [`Failure`] says; a repeat after [`Failure::Unknown`] is safe.
    pub async fn settle(&self, op: Settle) -> SettleOutcome {
        self.settle_many(vec![op])
            .await
            .pop()
            .unwrap_or(Err(Failure::Broken))
    }

    /// Many operations, of any queues, answered in order.
    pub async fn settle_many(&self, ops: Vec<Settle>) -> Vec<SettleOutcome> {
        let mut answers: Vec<Option<SettleOutcome>> = ops.iter().map(|_| None).collect();
        let mut by_queue: HashMap<QueueName, (Vec<usize>, Vec<Settle>)> = HashMap::new();
        for (index, op) in ops.into_iter().enumerate() {
            let queue = op.lease().queue.clone();
            let (indexes, ops) = by_queue.entry(queue).or_default();
            indexes.push(index);
            ops.push(op);
        }
        let mut waiting = Vec::new();
        for (queue, (indexes, ops)) in by_queue {
            let (reply, answer) = oneshot::channel();
            match self
                .inner
                .routes
                .ask(&queue, Command::Settle(queue.clone(), ops, reply))
            {
                Ok(()) => waiting.push((indexes, answer)),
                Err(failure) => {
                    for index in indexes {
                        answers[index] = Some(Err(failure.clone()));
                    }
                }
            }
        }
        for (indexes, answer) in waiting {
            match answer.await {
                Ok(outcomes) => {
                    for (index, outcome) in indexes.into_iter().zip(outcomes) {
                        answers[index] = Some(outcome);
                    }
                }
                Err(_) => {
                    for index in indexes {
                        answers[index] = Some(Err(Failure::Unknown));
                    }
                }
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or(Err(Failure::Broken)))
            .collect()
    }
}

//! Sweeps: calls that move due tasks and expired leases.

use std::time::Duration;

use tokio::time::Instant;

use super::{Call, outcome};
use crate::domain::QueueName;
use crate::engine::commit::shard::Shard;
use crate::store::StoreError;
use crate::store::ops::Absent;
use crate::store::ops::sweep::SweepOp;
use crate::store::reply::Reply;

/// Entries of each kind that one sweep moves at most.
const SWEEP_ITEMS_MAX: usize = 100;
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Shard {
    pub(in crate::engine::commit) fn sweep_call(&mut self, queue: &QueueName) -> Option<Call> {
        std::mem::take(&mut self.pending(queue).sweep).then(|| {
            Call::Sweep(SweepOp {
                replica: self.replica(),
                limit: SWEEP_ITEMS_MAX,
            })
        })
    }

    pub(in crate::engine::commit) fn sweep_landed(
        &mut self,
        queue: &QueueName,
        op: &SweepOp,
        reply: Result<Reply, StoreError>,
        at: Instant,
    ) {
        match outcome(op, reply) {
            Ok(Ok(swept)) => {
                if swept.moved {
                    self.moved(queue);
                }
                self.add_ready(queue, swept.expired + swept.came_due + swept.freed);
                self.due_at(queue, swept.next_at, swept.now, at);
                if swept.more_lapsed {
                    self.due_at(queue, Some(swept.now), swept.now, at);
                }
            }
            Ok(Err(Absent)) => {}
            Err(error) => {
                tracing::warn!(%queue, %error, "a sweep failed; it is retried");
                self.look_at(queue, at + RETRY_AFTER, true);
            }
        }
    }
}

//! Work that must happen without any caller: it takes over due times of replicas that died, and sweeps all
//! queues slowly, because hints may be lost. Every replica does it; doing it twice is harmless.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::commit::{Command, Routes};
use crate::domain::{Millis, QueueName};
use crate::store::{Conn, Store};

/// A due task is moved within 5 s even if its replica died.
const TAKE_OVER_EVERY: Duration = Duration::from_secs(4);
/// Queues without a hint that one round sweeps.
const SLOW_SWEEP_QUEUES: usize = 100;
const TAKE_OVER_QUEUES_MAX: usize = 200;

pub(super) struct Housekeeper {
    /// A connection of its own: a pool would ping before each use.
    pub(super) conn: Conn,
    pub(super) store: Store,
    pub(super) routes: Routes,
    pub(super) hints: mpsc::Receiver<(QueueName, Millis)>,
    pub(super) stop: CancellationToken,
}

impl Housekeeper {
    /// Runs until it is stopped. The slow sweep of another replica finds due times that were not written.
    pub(super) async fn run(mut self) {
        let mut ticks = interval(TAKE_OVER_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut cursor = 0;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                hint = self.hints.recv() => match hint {
                    Some(hint) => self.write_hints(hint).await,
                    None => return,
                },
                _ = ticks.tick() => cursor = self.round(cursor).await,
            }
        }
    }

    async fn write_hints(&mut self, first: (QueueName, Millis)) {
        let mut earliest = HashMap::from([first]);
        while let Ok((queue, at)) = self.hints.try_recv() {
            let known = earliest.entry(queue).or_insert(at);
            *known = at.min(*known);
        }
        for (queue, at) in earliest {
            if let Err(error) = self.conn.hint(&queue, at).await {
                tracing::debug!(%queue, %error, "a due time could not be written; the slow sweep makes up for it");
                return;
            }
        }
    }

    async fn round(&mut self, cursor: u64) -> u64 {
        let started = Instant::now();
        if let Err(error) = self.store.compare_lease_key(&mut self.conn).await {
            tracing::debug!(%error, "the lease key could not be compared");
        }
        let due = self.conn.take_due_hints(TAKE_OVER_QUEUES_MAX).await;
        let scanned = self.conn.scan_queues(cursor, SLOW_SWEEP_QUEUES).await;
        let (next, slow) = match scanned {
            Ok((next, names)) => (next, names),
            Err(error) => {
                tracing::debug!(%error, elapsed = ?started.elapsed(), "the slow sweep did not reach the store");
                (cursor, Vec::new())
            }
        };
        for queue in due.unwrap_or_default().into_iter().chain(slow) {
            self.routes.hint(&queue, Command::Sweep(queue.clone()));
        }
        next
    }
}

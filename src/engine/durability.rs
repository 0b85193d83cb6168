//! The durability level in force. The settings of an external Redis can change at any time, and the level
//! that a response names must be true: `fsync` only while a check confirms that every write is synced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::domain::durability::Level;
use crate::metrics::Metrics;
use crate::store::Store;

/// For this long responses may name a level that has ended. Two commands a second cost nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Durability {
    asked: Level,
    kept: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Durability {
    /// Assumed at the start; [`Self::watch`] checks it.
    pub(super) fn new(asked: Level, metrics: Arc<Metrics>) -> Self {
        Self {
            asked,
            kept: AtomicBool::new(true),
            metrics,
        }
    }

    pub(super) fn in_force(&self) -> Level {
        if self.kept.load(Ordering::Relaxed) {
            self.asked
        } else {
            Level::Memory
        }
    }

    /// Checks the level each second until it is stopped. Without it the level never changes.
    pub(super) async fn watch(self: Arc<Self>, store: Store, stop: CancellationToken) {
        let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let seen = tokio::select! {
                () = stop.cancelled() => return,
                seen = store.syncing() => seen,
            };
            match seen {
                Ok(seen) if !seen.every_write => {
                    self.now(false, "its settings are not appendonly yes, appendfsync always, no-appendfsync-on-rewrite no");
                }
                Ok(seen) if seen.is_whole => self.now(true, ""),
                // While Redis rewrites its log, an old file still syncs, but one that was just switched on
                // does not count yet.
                Ok(_) => {}
                Err(error) => self.now(false, &error.to_string()),
            }
        }
    }

    fn now(&self, kept: bool, why: &str) {
        if self.kept.swap(kept, Ordering::Relaxed) == kept {
            return;
        }
        self.metrics.durability_degraded.set(i64::from(!kept));
        if kept {
            tracing::info!("Redis syncs every write again: responses name durability fsync");
        } else {
            tracing::warn!(
                why,
                "cannot verify that Redis syncs every write: responses name durability memory until it can be verified"
            );
        }
    }
}

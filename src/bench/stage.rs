//! The state that the connections of a run share: target, requests, bounds and progress.

use super::requests::Recipe;
use super::tally::{Tally, Window};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Barrier, Semaphore};

/// After this many errors a run stops, because it would measure the error path.
pub(super) const ERRORS_MAX: u64 = 1_000;

pub(super) struct Stage {
    pub(super) address: SocketAddr,
    pub(super) recipe: Recipe,
    pub(super) queues: Vec<String>,
    /// Tasks in each request
    pub(super) batch: u64,
    pub(super) settle_in_lease: bool,
    /// How far producers may run ahead of workers; used only if they are different connections.
    pub(super) ahead: Semaphore,
    /// The moments of sending in payloads are nanoseconds since this.
    pub(super) epoch: Instant,
    pub(super) done: AtomicU64,
    pub(super) errors: AtomicU64,
    time: Time,
    tasks_left: AtomicU64,
    next_number: AtomicU64,
    all_connected: Barrier,
    window: OnceLock<Window>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub(super) warmup: Duration,
    pub(super) measured: Duration,
}

/// The limits of a run, and its number of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) time: Time,
    pub(super) tasks_max: u64,
    pub(super) connections: usize,
    pub(super) tasks_ahead: usize,
}

impl Stage {
    pub(super) fn new(
        address: SocketAddr,
        recipe: Recipe,
        queues: Vec<String>,
        batch: u64,
        settle_in_lease: bool,
        bounds: Bounds,
    ) -> Self {
        Self {
            address,
            recipe,
            queues,
            batch,
            settle_in_lease,
            ahead: Semaphore::new(bounds.tasks_ahead),
            epoch: Instant::now(),
            done: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            time: bounds.time,
            tasks_left: AtomicU64::new(bounds.tasks_max),
            next_number: AtomicU64::new(0),
            all_connected: Barrier::new(bounds.connections),
            window: OnceLock::new(),
        }
    }

    /// Waits for the other connections, so that connecting is not measured. The window starts when all are
    /// connected.
    pub(super) async fn start(&self) -> Window {
        self.all_connected.wait().await;
        *self.window.get_or_init(|| {
            let from = Instant::now() + self.time.warmup;
            Window {
                from,
                until: from + self.time.measured,
            }
        })
    }

    /// Returns the window, if the run has started.
    pub(super) fn window(&self) -> Option<Window> {
        self.window.get().copied()
    }

    /// Returns how many of the wanted tasks the next request may handle; 0 ends the run.
    pub(super) fn take(&self, wanted: u64, window: Window) -> u64 {
        if Instant::now() >= window.until || self.errors.load(Ordering::Relaxed) >= ERRORS_MAX {
            return 0;
        }
        let before = self
            .tasks_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(wanted))
            });
        before.unwrap_or_default().min(wanted)
    }

    /// Reserves numbers for new tasks. Returns the first of them.
    pub(super) fn numbers(&self, count: u64) -> u64 {
        self.next_number.fetch_add(count, Ordering::Relaxed)
    }

    /// Whether all tasks of the run were enqueued and finished.
    pub(super) fn is_exhausted(&self) -> bool {
        self.tasks_left.load(Ordering::Relaxed) == 0
            && self.done.load(Ordering::Relaxed) >= self.next_number.load(Ordering::Relaxed)
    }

    /// Returns the queue for the n-th turn of a connection. Each connection uses all queues in turn, from its
    /// own start.
    pub(super) fn queue(&self, connection: usize, turn: usize) -> &str {
        &self.queues[connection.wrapping_add(turn) % self.queues.len()]
    }

    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn finished(&self, tally: &mut Tally, tasks: u64, now: Instant, window: Window) {
        tally.finished(tasks, now, window);
        self.done.fetch_add(tasks, Ordering::Relaxed);
    }

    /// Returns the time from the start of the window to the last response in it.
    pub(super) fn elapsed(&self, tally: &Tally) -> Duration {
        match (self.window(), tally.last) {
            (Some(window), Some(last)) => last.saturating_duration_since(window.from),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Stage, Time};
    use crate::bench::requests::Recipe;
    use std::time::Duration;

    fn stage(tasks_max: u64, measured: Duration) -> Stage {
        let recipe = Recipe {
            host: String::new(),
            api_key: None,
            payload: "200".parse().unwrap(),
            names: 1,
            groups: 0,
            delay_seconds: None,
            lease_seconds: None,
        };
        let time = Time {
            warmup: Duration::ZERO,
            measured,
        };
        let bounds = Bounds {
            time,
            tasks_max,
            connections: 1,
            tasks_ahead: 0,
        };
        let queues = ["a", "b", "c"].map(str::to_owned).to_vec();
        Stage::new("127.0.0.1:1".parse().unwrap(), recipe, queues, 10, false, bounds)
    }

    #[tokio::test]
    async fn a_run_ends_after_its_tasks_and_after_its_time() {
        let counted = stage(25, Duration::from_secs(60));
        let window = counted.start().await;
        assert_eq!(
            [10, 10, 10, 10].map(|wanted| counted.take(wanted, window)),
            [10, 10, 5, 0]
        );
        let timed = stage(25, Duration::ZERO);
        let window = timed.start().await;
        assert_eq!(timed.take(10, window), 0);
    }

    #[test]
    fn every_connection_uses_every_queue() {
        let stage = stage(1, Duration::ZERO);
        for connection in 0..5 {
            let mut seen: Vec<_> = (0..3).map(|turn| stage.queue(connection, turn)).collect();
            seen.sort_unstable();
            assert_eq!(seen, ["a", "b", "c"]);
        }
    }
}

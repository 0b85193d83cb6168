//! The observations of one queue since its last beat.

use std::collections::HashSet;

use crate::domain::latency::Latencies;
use crate::domain::pulse::WORKERS_MAX;

/// Bounded: 255 buckets per kind of latency, [`WORKERS_MAX`] names.
#[derive(Debug, Default)]
pub(super) struct Beat {
    /// Tasks moved: watchers hear of it.
    pub(super) moved: bool,
    pub(super) latencies: Latencies,
    /// Named workers that sent a lease call.
    pub(super) workers: HashSet<String>,
    /// Lease calls that wait when the beat is sent.
    pub(super) waiting: u32,
}

impl Beat {
    /// Notes that a worker called. Allocates once a second for each worker.
    pub(super) fn called(&mut self, worker: &str) {
        if self.workers.len() < WORKERS_MAX && !self.workers.contains(worker) {
            self.workers.insert(worker.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_noted_once_and_no_more_workers_than_the_bound() {
        let mut beat = Beat::default();
        for n in 0..3 * WORKERS_MAX {
            beat.called(&format!("w{}", n % (2 * WORKERS_MAX)));
            beat.called("w0");
        }
        assert_eq!(beat.workers.len(), WORKERS_MAX);
    }
}

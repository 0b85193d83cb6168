//! What was seen of one queue since its last beat.

use std::collections::HashSet;

use crate::domain::latency::Latencies;
use crate::domain::pulse::WORKERS_MAX;

/// Bounded: 255 buckets per kind of latency, [`WORKERS_MAX`] names.
#[derive(Debug, Default)]
pub(in crate::engine) struct Beat {
    /// Tasks moved: watchers are told.
    pub(in crate::engine) moved: bool,
    pub(in crate::engine) latencies: Latencies,
    /// Named workers that called.
    pub(in crate::engine) workers: HashSet<String>,
    /// Lease calls that wait now.
    pub(in crate::engine) waiting: u32,
}

impl Beat {
    /// A worker called; allocates once a second for each.
    pub(in crate::engine) fn called(&mut self, worker: &str) {
        if self.workers.len() < WORKERS_MAX && !self.workers.contains(worker) {
            self.workers.insert(worker.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_calls_often_is_noted_once_and_a_crowd_up_to_a_bound() {
        let mut beat = Beat::default();
        for n in 0..3 * WORKERS_MAX {
            beat.called(&format!("w{}", n % (2 * WORKERS_MAX)));
            beat.called("w0");
        }
        assert_eq!(beat.workers.len(), WORKERS_MAX);
    }
}

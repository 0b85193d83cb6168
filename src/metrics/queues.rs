//! Counters and latencies of each queue as seen by this process; summed over replicas.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::{New, OTHER};
use crate::domain::{Millis, QueueName};

/// Buckets from a few milliseconds to half a day.
const TASK_SECONDS: &[f64] = &[
    0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0,
];

/// The counters of a queue, for requests to this process.
#[derive(Debug, Clone)]
pub struct QueueCounters {
    pub enqueued: IntCounter,
    pub leased: IntCounter,
    pub acked: IntCounter,
    pub nacked: IntCounter,
    pub extended: IntCounter,
    pub released: IntCounter,
    /// Settles that failed with `lease_lost`.
    pub lost: IntCounter,
    wait: Histogram,
    run: Histogram,
    end_to_end: Histogram,
}

/// Returns the seconds between two moments of the Redis clock.
#[allow(clippy::cast_precision_loss)]
pub fn seconds(from: Millis, to: Millis) -> f64 {
    to.since(from) as f64 / 1_000.0
}

impl QueueCounters {
    /// Records the time from ready to granted.
    pub fn waited(&self, seconds: f64) {
        self.wait.observe(seconds);
    }

    /// Records the time from the grant to the ack or nack.
    pub fn ran(&self, seconds: f64) {
        self.run.observe(seconds);
    }

    /// Records the time from acceptance to the ack.
    pub fn took(&self, seconds: f64) {
        self.end_to_end.observe(seconds);
    }
}

#[derive(Debug)]
pub(super) struct Queues {
    /// Queues with their own labels. A scrape must not grow with the number of queues.
    pub(super) max: usize,
    families: Families,
    by_name: RwLock<HashMap<QueueName, Arc<QueueCounters>>>,
    other: Arc<QueueCounters>,
}

#[derive(Debug)]
struct Families {
    enqueued: IntCounterVec,
    leased: IntCounterVec,
    settled: IntCounterVec,
    lost: IntCounterVec,
    wait: HistogramVec,
    run: HistogramVec,
    end_to_end: HistogramVec,
}

impl Families {
    fn of(&self, queue: &str) -> QueueCounters {
        let settled = |op| self.settled.with_label_values(&[queue, op]);
        QueueCounters {
            enqueued: self.enqueued.with_label_values(&[queue]),
            leased: self.leased.with_label_values(&[queue]),
            acked: settled("ack"),
            nacked: settled("nack"),
            extended: settled("extend"),
            released: settled("release"),
            lost: self.lost.with_label_values(&[queue]),
            wait: self.wait.with_label_values(&[queue]),
            run: self.run.with_label_values(&[queue]),
            end_to_end: self.end_to_end.with_label_values(&[queue]),
        }
    }
}

impl Queues {
    pub(super) fn new(new: &New<'_>, max: usize) -> Self {
        let seconds = |name, help| new.histogram(name, help, &["queue"], TASK_SECONDS);
        let families = Families {
            enqueued: new.counters("leaseq_tasks_enqueued_total", "Tasks accepted", &["queue"]),
            leased: new.counters("leaseq_tasks_leased_total", "Tasks leased to callers", &["queue"]),
            settled: new.counters(
                "leaseq_leases_settled_total",
                "Settles that took effect, by op: ack, nack, extend, release",
                &["queue", "op"],
            ),
            lost: new.counters(
                "leaseq_leases_lost_total",
                "Settles that failed because the lease was lost",
                &["queue"],
            ),
            wait: seconds(
                "leaseq_task_wait_seconds",
                "Time from ready to granted, for each grant",
            ),
            run: seconds(
                "leaseq_task_run_seconds",
                "Time from the grant to the ack or nack, for each attempt",
            ),
            end_to_end: seconds(
                "leaseq_task_end_to_end_seconds",
                "Time from acceptance to the ack, for each completed task",
            ),
        };
        Self {
            max,
            other: Arc::new(families.of(OTHER)),
            families,
            by_name: RwLock::default(),
        }
    }

    /// Returns the counters of a queue, or those of `_other` beyond the bound.
    pub(super) fn of(&self, queue: &QueueName) -> Arc<QueueCounters> {
        // A poisoned lock is safe to use, because a panic elsewhere cannot leave counters half updated.
        let known = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = known.get(queue) {
            return Arc::clone(counters);
        }
        if known.len() >= self.max {
            return Arc::clone(&self.other);
        }
        drop(known);
        let mut known = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.max && !known.contains_key(queue) {
            return Arc::clone(&self.other);
        }
        let counters = || Arc::new(self.families.of(queue.as_str()));
        Arc::clone(known.entry(queue.clone()).or_insert_with(counters))
    }
}

//! What Redis knows of queues, as of the last time somebody read the metrics. Every replica shows the same: take the
//! maximum over replicas, never the sum (`deploy/prometheus/rules.yaml`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::domain::QueueName;

/// Scrapers that come at once share what one of them had read.
const FRESH: Duration = Duration::from_secs(1);

/// One queue, as it is in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueFacts {
    pub queue: QueueName,
    pub ready: u64,
    pub scheduled: u64,
    pub leased: u64,
    pub dead: u64,
    /// 0 when none is ready.
    pub oldest_ready_age_seconds: f64,
    pub workers_waiting: u64,
    pub paused: bool,
    /// Of the ready ones, kept back by a limit, a hold or a breaker.
    pub held: u64,
    pub breakers_open: u64,
    pub breakers_half_open: u64,
    pub completed_total: u64,
    pub dead_evicted_total: u64,
    pub dead_aged_total: u64,
    pub leases_expired_total: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Facts(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    read_at: Option<Instant>,
    queues: Vec<QueueFacts>,
}

impl Facts {
    pub(super) fn register(registry: &Registry) -> Self {
        let facts = Self::default();
        let families = Families::new();
        registry
            .register(Box::new(Shown {
                facts: facts.clone(),
                families,
            }))
            .expect("the names are not in use");
        facts
    }

    /// Whether it is time to read them again; whoever asks does so.
    pub(super) fn are_due(&self) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = known.read_at.is_none_or(|at| at.elapsed() >= FRESH);
        if due {
            known.read_at = Some(Instant::now());
        }
        due
    }

    /// Better none than old ones, which look like present ones.
    pub(super) fn set(&self, queues: Vec<QueueFacts>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).queues = queues;
    }
}

struct Families {
    tasks: IntGaugeVec,
    age: GaugeVec,
    waiting: IntGaugeVec,
    paused: IntGaugeVec,
    held: IntGaugeVec,
    breakers: IntGaugeVec,
    completed: IntCounterVec,
    dropped: IntCounterVec,
    expired: IntCounterVec,
}

impl Families {
    fn new() -> Self {
        let options = |name, help| Opts::new(name, help);
        let valid = "names and labels are valid constants";
        Self {
            tasks: IntGaugeVec::new(
                options(
                    "leaseq_queue_tasks",
                    "Tasks by state: ready, scheduled, leased, dead; the same at every replica",
                ),
                &["queue", "state"],
            )
            .expect(valid),
            age: GaugeVec::new(
                options(
                    "leaseq_queue_oldest_ready_age_seconds",
                    "Of the task that has been ready longest, 0 without one; the same at every replica",
                ),
                &["queue"],
            )
            .expect(valid),
            waiting: IntGaugeVec::new(
                options(
                    "leaseq_queue_workers_waiting",
                    "Lease calls that wait for the queue at all replicas; the same at every replica",
                ),
                &["queue"],
            )
            .expect(valid),
            paused: IntGaugeVec::new(
                options(
                    "leaseq_queue_paused",
                    "1 while the queue is paused; the same at every replica",
                ),
                &["queue"],
            )
            .expect(valid),
            held: IntGaugeVec::new(
                options(
                    "leaseq_queue_held_tasks",
                    "Ready tasks that a limit, a hold or a breaker keeps back, at least; the same at every replica",
                ),
                &["queue"],
            )
            .expect(valid),
            breakers: IntGaugeVec::new(
                options(
                    "leaseq_queue_breakers",
                    "Names whose circuit breaker is not closed, by state: open, half_open; the same at every replica",
                ),
                &["queue", "state"],
            )
            .expect(valid),
            completed: IntCounterVec::new(
                options(
                    "leaseq_queue_completed_total",
                    "Tasks completed, ever; the same at every replica",
                ),
                &["queue"],
            )
            .expect(valid),
            dropped: IntCounterVec::new(
                options(
                    "leaseq_dead_letters_dropped_total",
                    "Dead letters that a bound drove out, by reason: evicted (max_size, max_bytes), aged (max_age_seconds); the same at every replica",
                ),
                &["queue", "reason"],
            )
            .expect(valid),
            expired: IntCounterVec::new(
                options(
                    "leaseq_queue_leases_expired_total",
                    "Leases that ran out, ever; the same at every replica",
                ),
                &["queue"],
            )
            .expect(valid),
        }
    }

    fn parts(&self) -> [&dyn Collector; 9] {
        [
            &self.tasks,
            &self.age,
            &self.waiting,
            &self.paused,
            &self.held,
            &self.breakers,
            &self.completed,
            &self.dropped,
            &self.expired,
        ]
    }

    fn show(&self, facts: &QueueFacts) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let queue = facts.queue.as_str();
        for (state, count) in [
            ("ready", facts.ready),
            ("scheduled", facts.scheduled),
            ("leased", facts.leased),
            ("dead", facts.dead),
        ] {
            self.tasks.with_label_values(&[queue, state]).set(gauge(count));
        }
        self.age
            .with_label_values(&[queue])
            .set(facts.oldest_ready_age_seconds);
        self.waiting
            .with_label_values(&[queue])
            .set(gauge(facts.workers_waiting));
        self.paused
            .with_label_values(&[queue])
            .set(i64::from(facts.paused));
        self.held.with_label_values(&[queue]).set(gauge(facts.held));
        for (state, count) in [
            ("open", facts.breakers_open),
            ("half_open", facts.breakers_half_open),
        ] {
            self.breakers.with_label_values(&[queue, state]).set(gauge(count));
        }
        self.completed
            .with_label_values(&[queue])
            .inc_by(facts.completed_total);
        for (reason, count) in [
            ("evicted", facts.dead_evicted_total),
            ("aged", facts.dead_aged_total),
        ] {
            self.dropped.with_label_values(&[queue, reason]).inc_by(count);
        }
        self.expired
            .with_label_values(&[queue])
            .inc_by(facts.leases_expired_total);
    }
}

/// Made anew for each scrape, so that a queue that is gone leaves nothing behind.
struct Shown {
    facts: Facts,
    families: Families,
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.families
            .parts()
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let families = Families::new();
        let known = self.facts.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.queues.iter().for_each(|facts| families.show(facts));
        families
            .parts()
            .into_iter()
            .flat_map(Collector::collect)
            .collect()
    }
}

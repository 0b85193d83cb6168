//! Metrics of queues and names that are read from Redis for a scrape. Every replica shows the same values:
//! take the maximum over replicas, never the sum (`deploy/prometheus/rules.yaml`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::domain::counts::Counts;
use crate::domain::standing::NameStanding;
use crate::domain::{QueueName, TaskName};

/// Scrapes within this time share one read of Redis.
const FRESH: Duration = Duration::from_secs(1);

const BREAKER_STATES: [&str; 3] = ["closed", "open", "half_open"];

/// A queue as it is in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueFacts {
    pub queue: QueueName,
    pub counts: Counts,
    /// 0 if no task is ready.
    pub oldest_ready_age_seconds: f64,
    pub workers_waiting: u64,
    pub paused: bool,
}

/// A name of a queue as it is in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFacts {
    pub queue: QueueName,
    pub name: TaskName,
    pub ready: u64,
    pub leased: u64,
    /// Whether the name is held.
    pub held: bool,
    /// The state of its breaker in the words of the API; `None` if it has no breaker.
    pub breaker: Option<&'static str>,
}

impl NameFacts {
    pub fn of(queue: QueueName, standing: &NameStanding) -> Self {
        Self {
            queue,
            name: standing.name.clone(),
            ready: standing.ready.tasks,
            leased: standing.leased,
            held: standing.gate.held_until.is_some(),
            breaker: standing.breaker.map(|breaker| breaker.state.word()),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Facts(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    read_at: Option<Instant>,
    queues: Vec<QueueFacts>,
    names: Vec<NameFacts>,
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
            .expect("metric names are unique constants");
        facts
    }

    /// Whether the facts must be read again. The caller that gets `true` does so.
    pub(super) fn are_due(&self) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = known.read_at.is_none_or(|at| at.elapsed() >= FRESH);
        if due {
            known.read_at = Some(Instant::now());
        }
        due
    }

    /// Replaces the facts. Empty ones are better than old ones, which would look current.
    pub(super) fn set(&self, queues: Vec<QueueFacts>, names: Vec<NameFacts>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (known.queues, known.names) = (queues, names);
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
    name_tasks: IntGaugeVec,
    name_held: IntGaugeVec,
    name_breakers: IntGaugeVec,
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
                    "Age of the task that has been ready longest, 0 if none is ready; the same at every replica",
                ),
                &["queue"],
            )
            .expect(valid),
            waiting: IntGaugeVec::new(
                options(
                    "leaseq_queue_workers_waiting",
                    "Lease requests that wait for a task of the queue, over all replicas; the same at every replica",
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
                    "Ready tasks that a limit, hold or breaker blocks, as a lower bound; the same at every replica",
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
                    "Tasks completed since the queue exists; the same at every replica",
                ),
                &["queue"],
            )
            .expect(valid),
            dropped: IntCounterVec::new(
                options(
                    "leaseq_dead_letters_dropped_total",
                    "Dead letters dropped by a bound, by reason: evicted (max_size, max_bytes), aged (max_age_seconds); the same at every replica",
                ),
                &["queue", "reason"],
            )
            .expect(valid),
            expired: IntCounterVec::new(
                options(
                    "leaseq_queue_leases_expired_total",
                    "Leases that expired since the queue exists; the same at every replica",
                ),
                &["queue"],
            )
            .expect(valid),
            name_tasks: IntGaugeVec::new(
                options(
                    "leaseq_name_tasks",
                    "Tasks by name and state: ready, leased; only with metrics_names; the same at every replica",
                ),
                &["queue", "name", "state"],
            )
            .expect(valid),
            name_held: IntGaugeVec::new(
                options(
                    "leaseq_name_held",
                    "1 while the name is held; only with metrics_names; the same at every replica",
                ),
                &["queue", "name"],
            )
            .expect(valid),
            name_breakers: IntGaugeVec::new(
                options(
                    "leaseq_name_breaker",
                    "1 for the current state of the circuit breaker: closed, open, half_open; only with metrics_names; the same at every replica",
                ),
                &["queue", "name", "state"],
            )
            .expect(valid),
        }
    }

    fn parts(&self) -> [&dyn Collector; 12] {
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
            &self.name_tasks,
            &self.name_held,
            &self.name_breakers,
        ]
    }

    fn show(&self, facts: &QueueFacts) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let queue = facts.queue.as_str();
        for (state, count) in [
            ("ready", facts.counts.ready),
            ("scheduled", facts.counts.scheduled),
            ("leased", facts.counts.leased),
            ("dead", facts.counts.dead),
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
        self.held
            .with_label_values(&[queue])
            .set(gauge(facts.counts.held));
        for (state, count) in [
            ("open", facts.counts.breakers_open),
            ("half_open", facts.counts.breakers_half_open),
        ] {
            self.breakers.with_label_values(&[queue, state]).set(gauge(count));
        }
        self.completed
            .with_label_values(&[queue])
            .inc_by(facts.counts.completed_total);
        for (reason, count) in [
            ("evicted", facts.counts.dead_evicted_total),
            ("aged", facts.counts.dead_aged_total),
        ] {
            self.dropped.with_label_values(&[queue, reason]).inc_by(count);
        }
        self.expired
            .with_label_values(&[queue])
            .inc_by(facts.counts.leases_expired_total);
    }

    fn show_name(&self, facts: &NameFacts) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (queue, name) = (facts.queue.as_str(), facts.name.as_str());
        for (state, count) in [("ready", facts.ready), ("leased", facts.leased)] {
            self.name_tasks
                .with_label_values(&[queue, name, state])
                .set(gauge(count));
        }
        self.name_held
            .with_label_values(&[queue, name])
            .set(i64::from(facts.held));
        for state in facts.breaker.map_or([].as_slice(), |_| &BREAKER_STATES) {
            self.name_breakers
                .with_label_values(&[queue, name, state])
                .set(i64::from(facts.breaker == Some(state)));
        }
    }
}

/// The collector. It creates its families for each scrape, so that a deleted queue leaves no values behind.
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
        known.names.iter().for_each(|facts| families.show_name(facts));
        families
            .parts()
            .into_iter()
            .flat_map(Collector::collect)
            .collect()
    }
}

//! Every metric: its name, unit and meaning, in one place. Served at `/metrics`.
//!
//! Labels are bounded: routes are templates, and queues beyond [`QUEUES_MAX`] are counted as `_other`.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::domain::QueueName;

mod process;

/// Queues with counters of their own; a scrape must not grow with the number of queues.
pub const QUEUES_MAX: usize = 1000;
const OTHER: &str = "_other";

/// From half a millisecond to the longest wait of a lease call.
const REQUEST_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0,
];
/// A script call is expected below a millisecond and must stay below 50.
const CALL_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];
/// A script call takes up to 256 items.
const CALL_ITEMS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// All metrics of this process. One per process; handed around in an [`Arc`].
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub http: Http,
    pub store: Store,
    /// Lease calls that are waiting for a task; set when the metrics are read.
    pub lease_waiters: IntGauge,
    /// Reads that are waiting for the end of a task; set when the metrics are read.
    pub task_waiters: IntGauge,
    /// 1 while Redis is not seen to keep the durability level of the settings.
    pub durability_degraded: IntGauge,
    queues: Queues,
}

/// What the wire sees.
#[derive(Debug)]
pub struct Http {
    requests: IntCounterVec,
    durations: HistogramVec,
    problems: IntCounterVec,
    pub in_flight: IntGauge,
    pub connections: IntGauge,
    pub connections_total: IntCounter,
    /// Connections that ended by a deadline before they said anything useful.
    pub connections_refused: IntCounterVec,
}

/// What calls to the store cost. The engine and the store write here.
#[derive(Debug)]
pub struct Store {
    /// By `script`.
    pub call_seconds: HistogramVec,
    /// By `script`: how well group commit works.
    pub call_items: HistogramVec,
    /// By `class`: `not_applied`, `unknown`, `full`, `broken`.
    pub failures: IntCounterVec,
}

impl Store {
    /// A script call with `items` callers' items came back after `seconds`, among others that travelled with it.
    pub fn called(&self, script: &str, items: usize, seconds: f64, failed: Option<&str>) {
        self.call_seconds.with_label_values(&[script]).observe(seconds);
        // Exact: a call has at most 256 items.
        #[allow(clippy::cast_precision_loss)]
        self.call_items.with_label_values(&[script]).observe(items as f64);
        if let Some(class) = failed {
            self.failures.with_label_values(&[class]).inc();
        }
    }
}

/// One queue's counters, of what this process has answered.
#[derive(Debug, Clone)]
pub struct QueueCounters {
    pub enqueued: IntCounter,
    pub leased: IntCounter,
    pub acked: IntCounter,
    pub nacked: IntCounter,
    pub extended: IntCounter,
    pub released: IntCounter,
    /// Settles answered `lease_lost`.
    pub lost: IntCounter,
    /// None for `_other`: what many queues count cannot stand in one number.
    dead: Option<DeadCounters>,
}

/// What the queue itself counts, as this process saw it last.
#[derive(Debug, Clone)]
struct DeadCounters {
    letters: IntGauge,
    evicted: IntCounter,
    aged: IntCounter,
}

#[derive(Debug)]
struct Queues {
    enqueued: IntCounterVec,
    leased: IntCounterVec,
    settled: IntCounterVec,
    lost: IntCounterVec,
    dead: IntGaugeVec,
    dead_dropped: IntCounterVec,
    by_name: RwLock<HashMap<QueueName, Arc<QueueCounters>>>,
    other: Arc<QueueCounters>,
}

impl Metrics {
    /// # Panics
    /// Never: names and labels are constants that the tests register.
    pub fn new() -> Self {
        let registry = Registry::new();
        let new = New(&registry);
        let enqueued = new.counters("leaseq_tasks_enqueued_total", "Tasks accepted", &["queue"]);
        let leased = new.counters(
            "leaseq_tasks_leased_total",
            "Grants handed to callers",
            &["queue"],
        );
        let settled = new.counters(
            "leaseq_leases_settled_total",
            "Operations of workers that took effect, by op: ack, nack, extend, release",
            &["queue", "op"],
        );
        let lost = new.counters(
            "leaseq_leases_lost_total",
            "Operations of workers whose lease was no longer held",
            &["queue"],
        );
        let dead = new.gauges(
            "leaseq_dead_letters",
            "Dead letters of the queue; the same at every replica, as of its last sweep",
            &["queue"],
        );
        let dead_dropped = new.counters(
            "leaseq_dead_letters_dropped_total",
            "Dead letters that a bound drove out, by reason: evicted (max_size, max_bytes), aged (max_age_seconds); the same at every replica",
            &["queue", "reason"],
        );
        let other = Arc::new(QueueCounters::of(
            OTHER, &enqueued, &leased, &settled, &lost, None,
        ));
        let build = IntGaugeVec::new(
            Opts::new("leaseq_build_info", "Always 1; the version is in the label"),
            &["version"],
        );
        new.register(build)
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let metrics = Self {
            http: Http::new(&new),
            store: Store::new(&new),
            lease_waiters: new.gauge("leaseq_lease_waiters", "Lease calls waiting for a task"),
            task_waiters: new.gauge("leaseq_task_waiters", "Reads waiting for the end of a task"),
            durability_degraded: new.gauge(
                "leaseq_durability_degraded",
                "1 while Redis is not seen to sync every write though durability fsync is set; answers name memory then",
            ),
            queues: Queues {
                enqueued,
                leased,
                settled,
                lost,
                dead,
                dead_dropped,
                by_name: RwLock::default(),
                other,
            },
            registry,
        };
        process::register(&metrics.registry);
        metrics
    }

    /// The counters of a queue; those of `_other` once [`QUEUES_MAX`] queues have their own.
    pub fn queue(&self, queue: &QueueName) -> Arc<QueueCounters> {
        // A panic elsewhere leaves counters whole: poison means nothing here.
        let known = self.queues.by_name.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = known.get(queue) {
            return Arc::clone(counters);
        }
        if known.len() >= QUEUES_MAX {
            return Arc::clone(&self.queues.other);
        }
        drop(known);
        let mut known = self
            .queues
            .by_name
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= QUEUES_MAX && !known.contains_key(queue) {
            return Arc::clone(&self.queues.other);
        }
        let Queues {
            enqueued,
            leased,
            settled,
            lost,
            dead,
            dead_dropped,
            ..
        } = &self.queues;
        let counters = || {
            let dead = DeadCounters::of(queue.as_str(), dead, dead_dropped);
            Arc::new(QueueCounters::of(
                queue.as_str(),
                enqueued,
                leased,
                settled,
                lost,
                Some(dead),
            ))
        };
        Arc::clone(known.entry(queue.clone()).or_insert_with(counters))
    }

    /// Dead letters of a queue, and how many its bounds ever drove out, as Redis counts them. A queue that never had any
    /// takes no place among the [`QUEUES_MAX`], and what is beyond is not shown.
    pub fn dead_letters(&self, queue: &QueueName, letters: u64, evicted_total: u64, aged_total: u64) {
        let known = self.queues.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.contains_key(queue);
        drop(known);
        if !is_known && letters + evicted_total + aged_total == 0 {
            return;
        }
        let counters = self.queue(queue);
        let Some(dead) = &counters.dead else { return };
        dead.letters.set(i64::try_from(letters).unwrap_or(i64::MAX));
        for (counter, total) in [(&dead.evicted, evicted_total), (&dead.aged, aged_total)] {
            // Less than before: another queue of the same name.
            if total < counter.get() {
                counter.reset();
            }
            counter.inc_by(total - counter.get());
        }
    }

    /// The text format of Prometheus, version 0.0.4.
    pub fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("collected metrics have names and values")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl QueueCounters {
    fn of(
        queue: &str,
        enqueued: &IntCounterVec,
        leased: &IntCounterVec,
        settled: &IntCounterVec,
        lost: &IntCounterVec,
        dead: Option<DeadCounters>,
    ) -> Self {
        let settled = |op| settled.with_label_values(&[queue, op]);
        Self {
            enqueued: enqueued.with_label_values(&[queue]),
            leased: leased.with_label_values(&[queue]),
            acked: settled("ack"),
            nacked: settled("nack"),
            extended: settled("extend"),
            released: settled("release"),
            lost: lost.with_label_values(&[queue]),
            dead,
        }
    }
}

impl DeadCounters {
    fn of(queue: &str, letters: &IntGaugeVec, dropped: &IntCounterVec) -> Self {
        Self {
            letters: letters.with_label_values(&[queue]),
            evicted: dropped.with_label_values(&[queue, "evicted"]),
            aged: dropped.with_label_values(&[queue, "aged"]),
        }
    }
}

impl Http {
    fn new(new: &New<'_>) -> Self {
        Self {
            requests: new.counters(
                "leaseq_http_requests_total",
                "Requests by method, route and class of status; status `gone`: the caller left before the answer",
                &["method", "route", "status"],
            ),
            durations: new.histogram(
                "leaseq_http_request_duration_seconds",
                "From the request's head to the answer's head, waits of lease calls included",
                &["method", "route"],
                REQUEST_SECONDS,
            ),
            problems: new.counters("leaseq_http_problems_total", "Error answers by code", &["code"]),
            in_flight: new.gauge("leaseq_http_requests_in_flight", "Requests without an answer yet"),
            connections: new.gauge("leaseq_http_connections", "Open connections"),
            connections_total: new.counter("leaseq_http_connections_total", "Connections accepted"),
            connections_refused: new.counters(
                "leaseq_http_connections_refused_total",
                "Connections closed before their first request, by reason: silent, tls",
                &["reason"],
            ),
        }
    }

    /// Notes one request. `status` is `None` when the caller left before the answer.
    pub fn observe(&self, method: &str, route: &str, status: Option<u16>, took: Duration) {
        let status = match status.map(|status| status / 100) {
            None => "gone",
            Some(2) => "2xx",
            Some(3) => "3xx",
            Some(4) => "4xx",
            _ => "5xx",
        };
        self.requests.with_label_values(&[method, route, status]).inc();
        self.durations
            .with_label_values(&[method, route])
            .observe(took.as_secs_f64());
    }

    pub fn problem(&self, code: &str) {
        self.problems.with_label_values(&[code]).inc();
    }
}

impl Store {
    fn new(new: &New<'_>) -> Self {
        Self {
            call_seconds: new.histogram(
                "leaseq_store_call_duration_seconds",
                "From sending a script call to its reply",
                &["script"],
                CALL_SECONDS,
            ),
            call_items: new.histogram(
                "leaseq_store_call_items",
                "Items that shared one script call",
                &["script"],
                CALL_ITEMS,
            ),
            failures: new.counters(
                "leaseq_store_failures_total",
                "Failed store calls by class: not_applied, unknown, full, broken",
                &["class"],
            ),
        }
    }
}

/// Makes and registers; every name and label set is a constant, so failing is a mistake in this file.
struct New<'a>(&'a Registry);

impl New<'_> {
    fn register<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let metric = made.expect("metric names and labels are valid constants");
        self.0
            .register(Box::new(metric.clone()))
            .expect("metric names are unique constants");
        metric
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(name, help))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(options, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_beyond_the_cap_are_counted_together() {
        let metrics = Metrics::new();
        for n in 0..QUEUES_MAX + 20 {
            metrics
                .queue(&QueueName::parse(&format!("q{n}")).unwrap())
                .enqueued
                .inc();
        }
        metrics.queue(&QueueName::parse("q7").unwrap()).enqueued.inc();

        let text = metrics.text();
        assert!(text.contains("leaseq_tasks_enqueued_total{queue=\"_other\"} 20\n"));
        assert!(text.contains("leaseq_tasks_enqueued_total{queue=\"q7\"} 2\n"));
        assert_eq!(
            text.matches("leaseq_tasks_enqueued_total{").count(),
            QUEUES_MAX + 1
        );
    }

    #[test]
    fn dead_letters_are_shown_as_their_queue_counts_them() {
        let metrics = Metrics::new();
        let queue = |name: &str| QueueName::parse(name).unwrap();
        metrics.dead_letters(&queue("quiet"), 0, 0, 0);
        metrics.dead_letters(&queue("q"), 7, 2, 1);
        metrics.dead_letters(&queue("q"), 5, 4, 1);
        let shown = |line: &str| metrics.text().lines().any(|found| found == line);
        assert!(shown("leaseq_dead_letters{queue=\"q\"} 5"));
        assert!(shown(
            "leaseq_dead_letters_dropped_total{queue=\"q\",reason=\"evicted\"} 4"
        ));
        assert!(shown(
            "leaseq_dead_letters_dropped_total{queue=\"q\",reason=\"aged\"} 1"
        ));
        assert!(!metrics.text().contains("quiet"));
        // Deleted, and made again.
        metrics.dead_letters(&queue("q"), 0, 0, 0);
        assert!(shown("leaseq_dead_letters{queue=\"q\"} 0"));
        assert!(shown(
            "leaseq_dead_letters_dropped_total{queue=\"q\",reason=\"evicted\"} 0"
        ));
    }

    #[test]
    fn requests_are_counted_by_route_and_class() {
        let metrics = Metrics::new();
        metrics
            .http
            .observe("POST", "/v1/lease", Some(201), Duration::from_millis(3));
        metrics
            .http
            .observe("POST", "/v1/lease", None, Duration::from_secs(3));
        let text = metrics.text();
        for status in ["2xx", "gone"] {
            let line = format!("{{method=\"POST\",route=\"/v1/lease\",status=\"{status}\"}} 1\n");
            assert!(text.contains(&line), "{text}");
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        let metrics = Metrics::new();
        metrics.http.observe("GET", "/livez", Some(200), Duration::ZERO);
        for family in metrics.registry.gather() {
            let name = family.name();
            assert!(
                name.starts_with("leaseq_") || name.starts_with("process_"),
                "{name}"
            );
            let is_counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
            assert_eq!(is_counter, name.ends_with("_total"), "{name}");
            assert!(
                !family.help().is_empty() && !family.help().ends_with('.'),
                "{name}"
            );
        }
    }
}

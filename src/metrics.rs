//! All metrics: their names, units and meanings. Served at `/metrics`.
//!
//! Labels are bounded: routes are templates, and queues beyond [`Bounds::queues`] are counted as `_other`.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::domain::{QueueName, TaskName};

mod facts;
mod names;
mod process;
mod queues;

use facts::Facts;
use names::Names;
use queues::Queues;

pub use facts::{NameFacts, QueueFacts};
pub use names::NameCounters;
pub use queues::{QueueCounters, seconds};

/// The bounds on label values. A scrape must not grow with the names that callers choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Queues with their own labels.
    pub queues: usize,
    /// Pairs of queue and name with their own labels; 0 turns metrics of names off.
    pub names: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            queues: 200,
            names: 0,
        }
    }
}

const OTHER: &str = "_other";

/// Buckets from half a millisecond to the longest wait of a lease request.
const REQUEST_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0,
];
/// Buckets for script calls. A call should take less than 1 ms and must take less than 50.
const CALL_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];
/// Buckets up to 256, the most items in a script call.
const CALL_ITEMS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// All metrics of this process. There is one value, shared in an [`Arc`].
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub http: Http,
    pub store: Store,
    /// Lease requests that wait for a task; set when the metrics are read.
    pub lease_waiters: IntGauge,
    /// Reads that wait for the end of a task; set when the metrics are read.
    pub task_waiters: IntGauge,
    /// 1 while Redis cannot be shown to keep the durability level of the settings.
    pub durability_degraded: IntGauge,
    queues: Queues,
    names: Names,
    facts: Facts,
}

/// Metrics of the HTTP server.
#[derive(Debug)]
pub struct Http {
    requests: IntCounterVec,
    durations: HistogramVec,
    problems: IntCounterVec,
    pub in_flight: IntGauge,
    pub connections: IntGauge,
    pub connections_total: IntCounter,
    /// Connections that were closed before their first request.
    pub connections_refused: IntCounterVec,
}

/// Metrics of calls to Redis. The engine and the store update them.
#[derive(Debug)]
pub struct Store {
    /// By `script`.
    pub call_seconds: HistogramVec,
    /// By `script`. Shows how well group commit works.
    pub call_items: HistogramVec,
    /// By `class`: `not_applied`, `unknown`, `full`, `broken`.
    pub failures: IntCounterVec,
}

impl Store {
    /// Counts a script call with `items` items that took `seconds`. `failed` is the class of its failure.
    pub fn called(&self, script: &str, items: usize, seconds: f64, failed: Option<&str>) {
        self.call_seconds.with_label_values(&[script]).observe(seconds);
        // The cast is exact, because a call has at most 256 items.
        #[allow(clippy::cast_precision_loss)]
        self.call_items.with_label_values(&[script]).observe(items as f64);
        if let Some(class) = failed {
            self.failures.with_label_values(&[class]).inc();
        }
    }
}

impl Metrics {
    /// Creates and registers all metrics.
    ///
    /// # Panics
    /// Never: names and labels are constants, which the tests register.
    pub fn new(bounds: Bounds) -> Self {
        let registry = Registry::new();
        let new = New(&registry);
        let build = IntGaugeVec::new(
            Opts::new("leaseq_build_info", "Always 1, with the version as a label"),
            &["version"],
        );
        new.register(build)
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let metrics = Self {
            http: Http::new(&new),
            store: Store::new(&new),
            lease_waiters: new.gauge("leaseq_lease_waiters", "Lease requests that wait for a task"),
            task_waiters: new.gauge("leaseq_task_waiters", "Reads that wait for the end of a task"),
            durability_degraded: new.gauge(
                "leaseq_durability_degraded",
                "1 while durability fsync is set but Redis cannot be shown to sync every write; responses then name memory",
            ),
            queues: Queues::new(&new, bounds.queues),
            names: Names::new(&new, bounds.names),
            facts: Facts::register(&registry),
            registry,
        };
        process::register(&metrics.registry);
        metrics
    }

    /// Returns the counters of a queue, or those of `_other` beyond the bound.
    pub fn queue(&self, queue: &QueueName) -> Arc<QueueCounters> {
        self.queues.of(queue)
    }

    /// Returns the counters of a name in a queue, or `None` if metrics of names are off.
    pub fn name(&self, queue: &QueueName, name: &TaskName) -> Option<NameCounters> {
        self.names.of(queue, name)
    }

    /// Returns the number of queues to read for [`Self::set_facts`], or `None` if they were read a moment
    /// ago.
    pub fn facts_due(&self) -> Option<usize> {
        self.facts.are_due().then_some(self.queues.max)
    }

    /// Sets what was read from Redis about queues, and about names that have labels. Both are empty if Redis
    /// does not respond, because no value is better than an old one.
    pub fn set_facts(&self, queues: Vec<QueueFacts>, names: Vec<NameFacts>) {
        self.facts.set(queues, names);
    }

    /// Returns how many names of all queues may have their own labels; 0 if metrics of names are off.
    pub fn names_max(&self) -> usize {
        self.names.max
    }

    /// Whether the name has its own labels. It gets them here if the bound allows it.
    pub fn shows_name(&self, queue: &QueueName, name: &TaskName) -> bool {
        self.names.has_labels(queue, name)
    }

    /// Returns all metrics in the text format of Prometheus, version 0.0.4.
    pub fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("collected metrics have names and values")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Http {
    fn new(new: &New<'_>) -> Self {
        Self {
            requests: new.counters(
                "leaseq_http_requests_total",
                "Requests by method, route and status class; `gone` means that the caller left before the response",
                &["method", "route", "status"],
            ),
            durations: new.histogram(
                "leaseq_http_request_duration_seconds",
                "Time from the head of the request to the head of the response, including waits of lease requests",
                &["method", "route"],
                REQUEST_SECONDS,
            ),
            problems: new.counters("leaseq_http_problems_total", "Error responses by code", &["code"]),
            in_flight: new.gauge("leaseq_http_requests_in_flight", "Requests without a response so far"),
            connections: new.gauge("leaseq_http_connections", "Open connections"),
            connections_total: new.counter("leaseq_http_connections_total", "Connections accepted"),
            connections_refused: new.counters(
                "leaseq_http_connections_refused_total",
                "Connections closed before their first request, by reason: silent, tls",
                &["reason"],
            ),
        }
    }

    /// Counts a request. `status` is `None` if the caller left before the response.
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
                "Time from sending a script call to its reply",
                &["script"],
                CALL_SECONDS,
            ),
            call_items: new.histogram(
                "leaseq_store_call_items",
                "Items in one script call",
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

/// Creates and registers metrics. Names and label sets are constants, so a failure is a mistake in this file.
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
    use crate::domain::counts::Counts;

    #[test]
    fn queues_beyond_the_bound_are_counted_together() {
        let metrics = Metrics::new(Bounds {
            queues: 100,
            names: 0,
        });
        for n in 0..120 {
            metrics
                .queue(&QueueName::parse(&format!("q{n}")).unwrap())
                .enqueued
                .inc();
        }
        metrics.queue(&QueueName::parse("q7").unwrap()).enqueued.inc();

        let text = metrics.text();
        assert!(text.contains("leaseq_tasks_enqueued_total{queue=\"_other\"} 20\n"));
        assert!(text.contains("leaseq_tasks_enqueued_total{queue=\"q7\"} 2\n"));
        assert_eq!(text.matches("leaseq_tasks_enqueued_total{").count(), 101);
    }

    #[test]
    fn names_are_counted_only_if_enabled_and_up_to_a_bound() {
        let queue = QueueName::parse("q").unwrap();
        let name = |n: usize| TaskName::parse(&format!("n{n}")).unwrap();
        assert!(Metrics::default().name(&queue, &name(0)).is_none());
        let metrics = Metrics::new(Bounds { queues: 1, names: 2 });
        for n in [0, 1, 2, 3, 0] {
            metrics.name(&queue, &name(n)).unwrap().leased.inc();
        }
        let text = metrics.text();
        for line in [
            "leaseq_name_tasks_leased_total{name=\"n0\",queue=\"q\"} 2\n",
            "leaseq_name_tasks_leased_total{name=\"_other\",queue=\"_other\"} 2\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn facts_that_redis_no_longer_has_are_no_longer_shown() {
        let metrics = Metrics::default();
        assert_eq!((metrics.facts_due(), metrics.facts_due()), (Some(200), None));
        metrics.set_facts(
            vec![QueueFacts {
                queue: QueueName::parse("q").unwrap(),
                counts: Counts {
                    ready: 3,
                    leased: 1,
                    held: 2,
                    breakers_open: 1,
                    completed_total: 9,
                    ..Counts::default()
                },
                oldest_ready_age_seconds: 1.5,
                workers_waiting: 2,
                paused: false,
            }],
            vec![NameFacts {
                queue: QueueName::parse("q").unwrap(),
                name: TaskName::parse("n").unwrap(),
                ready: 2,
                leased: 1,
                held: true,
                breaker: Some("open"),
            }],
        );
        for _ in 0..2 {
            let text = metrics.text();
            assert!(
                text.contains("leaseq_queue_tasks{queue=\"q\",state=\"ready\"} 3\n"),
                "{text}"
            );
            assert!(
                text.contains("leaseq_queue_held_tasks{queue=\"q\"} 2\n")
                    && text.contains("leaseq_queue_breakers{queue=\"q\",state=\"open\"} 1\n"),
                "{text}"
            );
            assert!(
                text.contains("leaseq_queue_completed_total{queue=\"q\"} 9\n"),
                "{text}"
            );
            for line in [
                "leaseq_name_tasks{name=\"n\",queue=\"q\",state=\"ready\"} 2\n",
                "leaseq_name_tasks{name=\"n\",queue=\"q\",state=\"leased\"} 1\n",
                "leaseq_name_held{name=\"n\",queue=\"q\"} 1\n",
                "leaseq_name_breaker{name=\"n\",queue=\"q\",state=\"open\"} 1\n",
                "leaseq_name_breaker{name=\"n\",queue=\"q\",state=\"closed\"} 0\n",
            ] {
                assert!(text.contains(line), "{text}");
            }
        }
        metrics.set_facts(Vec::new(), Vec::new());
        assert!(!metrics.text().contains("queue=\"q\""));
    }

    #[test]
    fn requests_are_counted_by_route_and_class() {
        let metrics = Metrics::default();
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
        let metrics = Metrics::default();
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

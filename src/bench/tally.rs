//! Counts, and a histogram of microseconds for each operation. Each thread has its own tally; they are merged
//! at the end.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The operations that are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Enqueue,
    Lease,
    Settle,
    /// The time from the enqueue to the arrival of the task at a worker.
    Delivery,
}

impl Op {
    pub(super) const ALL: [Self; 4] = [Self::Enqueue, Self::Lease, Self::Settle, Self::Delivery];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Lease => "lease",
            Self::Settle => "settle",
            Self::Delivery => "delivery",
        }
    }
}

/// The longest latency that is recorded, above any wait of the API. Longer ones count as this.
const LATENCY_US_MAX: u64 = 120_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// How many different errors are counted separately.
const ERRORS_TOLD_MAX: usize = 8;

/// The time in which responses count: from the end of the warm-up to the end of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) from: Instant,
    pub(super) until: Instant,
}

#[derive(Debug)]
pub(super) struct Tally {
    /// Tasks whose last step was confirmed within the window.
    pub(super) tasks: u64,
    /// Responses within the window.
    pub(super) requests: u64,
    /// Lease responses without a task.
    pub(super) empty: u64,
    /// The number of errors by text.
    pub(super) errors: BTreeMap<String, u64>,
    /// The moment of the last counted response.
    pub(super) last: Option<Instant>,
    latencies: [Histogram<u64>; Op::ALL.len()],
}

impl Tally {
    pub(super) fn new() -> Self {
        let empty = || {
            Histogram::new_with_max(LATENCY_US_MAX, SIGNIFICANT_DIGITS)
                .expect("the bounds are constants that fit")
        };
        Self {
            tasks: 0,
            requests: 0,
            empty: 0,
            errors: BTreeMap::new(),
            last: None,
            latencies: [empty(), empty(), empty(), empty()],
        }
    }

    /// Counts a response, if it is within the window.
    pub(super) fn responded(&mut self, op: Op, started: Instant, now: Instant, window: Window) {
        if now >= window.from && now <= window.until {
            self.requests += 1;
            self.last = Some(now);
            self.timed(op, now - started);
        }
    }

    pub(super) fn timed(&mut self, op: Op, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX);
        self.latencies[op as usize].saturating_record(us);
    }

    pub(super) fn finished(&mut self, tasks: u64, now: Instant, window: Window) {
        if now >= window.from && now <= window.until {
            self.tasks += tasks;
            self.last = Some(now);
        }
    }

    pub(super) fn error(&mut self, text: String) {
        let known = self.errors.len() < ERRORS_TOLD_MAX || self.errors.contains_key(&text);
        *self
            .errors
            .entry(if known { text } else { "others".to_owned() })
            .or_default() += 1;
    }

    pub(super) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.tasks += other.tasks;
        self.requests += other.requests;
        self.empty += other.empty;
        self.last = self.last.max(other.last);
        for (text, count) in &other.errors {
            *self.errors.entry(text.clone()).or_default() += count;
        }
        for (mine, theirs) in self.latencies.iter_mut().zip(&other.latencies) {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
    }

    /// Returns the latency of an operation, or `None` if it was never timed.
    pub(super) fn latency(&self, op: Op) -> Option<Latency> {
        let histogram = &self.latencies[op as usize];
        (!histogram.is_empty()).then(|| Latency {
            count: histogram.len(),
            mean_us: histogram.mean(),
            p50_us: histogram.value_at_quantile(0.50),
            p95_us: histogram.value_at_quantile(0.95),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        })
    }
}

/// Latencies in microseconds. Quantiles are exact to three digits.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) mean_us: f64,
    pub(super) p50_us: u64,
    pub(super) p95_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
}

#[cfg(test)]
mod tests {
    use super::{Op, Tally, Window};
    use std::time::{Duration, Instant};

    #[test]
    fn merged_tallies_have_the_quantiles_of_all_samples_together() {
        let (mut low, mut high) = (Tally::new(), Tally::new());
        for us in 1..=500 {
            low.timed(Op::Lease, Duration::from_micros(us));
            high.timed(Op::Lease, Duration::from_micros(us + 500));
        }
        high.error("refused".to_owned());
        low.merge(&high);
        let latency = low.latency(Op::Lease).unwrap();
        assert_eq!(
            (latency.count, latency.p50_us, latency.p99_us, latency.max_us),
            (1000, 500, 990, 1000)
        );
        assert_eq!(low.error_count(), 1);
        assert!(low.latency(Op::Enqueue).is_none());
    }

    #[test]
    fn responses_outside_the_window_do_not_count() {
        let mut tally = Tally::new();
        let from = Instant::now() + Duration::from_secs(1);
        let window = Window {
            from,
            until: from + Duration::from_secs(1),
        };
        for seconds in [0, 3] {
            let now = window.from - Duration::from_secs(1) + Duration::from_secs(seconds);
            tally.responded(Op::Enqueue, now, now, window);
            tally.finished(1, now, window);
        }
        assert_eq!((tally.tasks, tally.requests, tally.last), (0, 0, None));
        tally.finished(5, window.until, window);
        assert_eq!((tally.tasks, tally.last), (5, Some(window.until)));
    }

    #[test]
    fn many_kinds_of_errors_are_all_counted_in_a_few_rows() {
        let mut tally = Tally::new();
        for number in 0..100 {
            tally.error(format!("error {number}"));
        }
        assert_eq!(tally.error_count(), 100);
        assert!(tally.errors.len() <= 10);
    }
}

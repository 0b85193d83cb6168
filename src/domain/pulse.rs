//! The recent past of a queue: rows of its charts, windows of latencies, and rates.

use super::Millis;
use super::latency::{Histogram, Latencies, Spread, bucket_ms};

/// Latency windows. The newest is as long as a row of the fine chart, older ones are a minute.
pub const MINUTE_MS: u64 = 60_000;
/// The time that latencies in stats cover.
pub const LATENCY_MS: u64 = 5 * MINUTE_MS;
/// A replica that did not report its waiting lease calls for this long counts as gone.
pub const WAITING_MS_MAX: u64 = 15_000;
/// Named workers kept per queue, and the time for which they are kept after their last lease call.
pub const WORKERS_MAX: usize = 1_000;
pub const WORKER_MS_MAX: u64 = 5 * MINUTE_MS;

/// One of the two charts of each queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chart {
    /// The last hour, in steps of ten seconds.
    Fine,
    /// The last 48 hours, in steps of five minutes.
    Coarse,
}

impl Chart {
    pub const ALL: [Self; 2] = [Self::Fine, Self::Coarse];

    pub const fn step_ms(self) -> u64 {
        match self {
            Self::Fine => 10_000,
            Self::Coarse => 300_000,
        }
    }

    pub const fn rows_max(self) -> u64 {
        match self {
            Self::Fine => 360,
            Self::Coarse => 576,
        }
    }

    pub const fn range_ms(self) -> u64 {
        self.step_ms() * self.rows_max()
    }

    /// Returns the row that contains `at`.
    pub const fn number(self, at: Millis) -> u64 {
        at.get() / self.step_ms()
    }
}

/// Median and 95th percentile, as buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    pub p50: u8,
    pub p95: u8,
}

/// One row of a chart. A step without activity has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The start, in steps since 1970.
    pub number: u64,
    pub accepted: u32,
    pub completed: u32,
    /// Attempts that were nacked or whose lease ran out.
    pub failed: u32,
    /// Tasks that became dead letters.
    pub died: u32,
    /// As of the end of the step.
    pub ready: u32,
    pub leased: u32,
    /// Wait, run and end-to-end latencies of a finished step.
    pub latencies: [Percentiles; 3],
}

/// Latencies of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub begins_at: Millis,
    pub length_ms: u64,
    pub latencies: Latencies,
}

/// The recent past of a queue, from the observations of all replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    pub now: Millis,
    pub ready: u64,
    pub leased: u64,
    /// Lease calls that wait at all replicas.
    pub waiting: u64,
    /// In no order.
    pub windows: Vec<Window>,
    /// Rows of one chart, oldest first.
    pub rows: Vec<Row>,
}

/// The current rates of a queue.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rates {
    /// Tasks completed per second, over the last 1, 5 and 15 minutes.
    pub throughput_per_second: [f64; 3],
    /// Attempts that failed in the last minute.
    pub error_rate_per_minute: f64,
    /// Latencies of the last five minutes; `None` if nothing was measured.
    pub wait: Option<Spread>,
    pub run: Option<Spread>,
    pub end_to_end: Option<Spread>,
}

/// One step of a chart as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub accepted: u32,
    pub completed: u32,
    pub failed: u32,
    pub died: u32,
    /// `None` if that time is not known.
    pub ready: Option<u32>,
    pub leased: Option<u32>,
    /// Median and 95th percentile in ms of wait, run and end to end; `None` if nothing was measured.
    pub latencies: [Option<(u64, u64)>; 3],
}

/// Returns the share (0 to 1) of a period that lies within the last `back_ms`. A period that is not over ends
/// now.
fn share(begins_at: Millis, length_ms: u64, now: Millis, back_ms: u64) -> f64 {
    let ends_at = begins_at.plus(length_ms).min(now).max(begins_at);
    let from = Millis::new(now.get().saturating_sub(back_ms));
    if from <= begins_at {
        return 1.0;
    }
    let (inside, whole) = (ends_at.since(from), ends_at.since(begins_at));
    // Both numbers are lengths of steps, far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    if inside == 0 {
        0.0
    } else {
        inside as f64 / whole as f64
    }
}

impl Pulse {
    /// Computes rates from the rows of the last 15 minutes of the fine chart.
    pub fn rates(&self) -> Rates {
        const SECOND: u64 = 1_000;
        let sum = |back_ms, of: fn(&Row) -> u32| -> f64 {
            let step_ms = Chart::Fine.step_ms();
            let rows = self.rows.iter();
            // The sum of no floats is -0.0, which looks odd to people.
            rows.fold(0.0, |sum, row| {
                let begins_at = Millis::new(row.number * step_ms);
                sum + f64::from(of(row)) * share(begins_at, step_ms, self.now, back_ms)
            })
        };
        // At most 15 minutes, far below 2^53 ms.
        #[allow(clippy::cast_precision_loss)]
        let per_second = |minutes: u64| {
            let back_ms = minutes * MINUTE_MS;
            sum(back_ms, |row| row.completed) / (back_ms / SECOND) as f64
        };
        let spread = |kind: fn(&Latencies) -> &Histogram| {
            Spread::of(self.windows.iter().map(|window| {
                let share = share(window.begins_at, window.length_ms, self.now, LATENCY_MS);
                (share, kind(&window.latencies))
            }))
        };
        Rates {
            throughput_per_second: [1, 5, 15].map(per_second),
            error_rate_per_minute: sum(MINUTE_MS, |row| row.failed),
            wait: spread(|latencies| &latencies.wait),
            run: spread(|latencies| &latencies.run),
            end_to_end: spread(|latencies| &latencies.end_to_end),
        }
    }

    /// Returns the last `steps` of the chart, of which the last is not over, and the start of the first.
    pub fn points(&self, chart: Chart, steps: u64) -> (Millis, Vec<Point>) {
        let last = chart
            .number(self.now)
            .max(self.rows.last().map_or(0, |row| row.number));
        let first = (last + 1).saturating_sub(steps);
        let mut rows = self.rows.iter().peekable();
        // Every change leaves a row, so between two rows the depth is that of the earlier one.
        let mut depth = None;
        while let Some(row) = rows.next_if(|row| row.number < first) {
            depth = Some((row.ready, row.leased));
        }
        if depth.is_none() && rows.peek().is_none() {
            let small = |count| u32::try_from(count).unwrap_or(u32::MAX);
            depth = Some((small(self.ready), small(self.leased)));
        }
        let points = (first..=last).map(|number| {
            let row = rows.next_if(|row| row.number == number);
            if let Some(row) = row {
                depth = Some((row.ready, row.leased));
            }
            let count = |of: fn(&Row) -> u32| row.map_or(0, of);
            Point {
                accepted: count(|row| row.accepted),
                completed: count(|row| row.completed),
                failed: count(|row| row.failed),
                died: count(|row| row.died),
                ready: depth.map(|(ready, _)| ready),
                leased: depth.map(|(_, leased)| leased),
                latencies: row.map_or([None; 3], |row| self.latencies_of(chart, row)),
            }
        });
        let points = points.collect();
        (Millis::new(first * chart.step_ms()), points)
    }

    /// Returns the latencies of the row; for a step that is not closed yet, those of its windows.
    fn latencies_of(&self, chart: Chart, row: &Row) -> [Option<(u64, u64)>; 3] {
        let kinds: [fn(&Latencies) -> &Histogram; 3] = [|l| &l.wait, |l| &l.run, |l| &l.end_to_end];
        let mut shown = row
            .latencies
            .map(|said| Some((bucket_ms(said.p50)?, bucket_ms(said.p95)?)));
        if shown.iter().all(Option::is_none) {
            let belongs = |window: &&Window| {
                chart.number(window.begins_at) == row.number && window.length_ms <= chart.step_ms()
            };
            let windows: Vec<&Window> = self.windows.iter().filter(belongs).collect();
            for (shown, kind) in shown.iter_mut().zip(kinds) {
                let spread = Spread::of(windows.iter().map(|window| (1.0, kind(&window.latencies))));
                *shown = spread.map(|spread| (spread.p50_ms, spread.p95_ms));
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::super::latency::NO_BUCKET;
    use super::*;

    const NONE: Percentiles = Percentiles {
        p50: NO_BUCKET,
        p95: NO_BUCKET,
    };

    fn row(number: u64, completed: u32, ready: u32) -> Row {
        Row {
            number,
            accepted: 0,
            completed,
            failed: 0,
            died: 0,
            ready,
            leased: 0,
            latencies: [NONE; 3],
        }
    }

    fn pulse(now_ms: u64, rows: Vec<Row>) -> Pulse {
        Pulse {
            now: Millis::new(now_ms),
            ready: 7,
            leased: 0,
            waiting: 0,
            windows: Vec::new(),
            rows,
        }
    }

    #[test]
    fn the_rates_of_an_idle_queue_are_zero_without_a_sign() {
        let rates = pulse(104_000, Vec::new()).rates();
        let all = rates
            .throughput_per_second
            .into_iter()
            .chain([rates.error_rate_per_minute]);
        assert!(all.into_iter().all(|rate| rate.to_bits() == 0));
    }

    #[test]
    fn a_rate_counts_the_step_that_is_partly_within_its_time_by_that_part() {
        // 60 s back from 104 s is 44 s: six tenths of the step that began at 40 s.
        let rates = pulse(
            104_000,
            vec![row(3, 500, 0), row(4, 100, 0), row(9, 30, 0), row(10, 8, 0)],
        )
        .rates();
        assert!((rates.throughput_per_second[0] - (60.0 + 38.0) / 60.0).abs() < 1e-9);
        assert!((rates.throughput_per_second[1] - 638.0 / 300.0).abs() < 1e-9);
        assert_eq!(rates.wait, None);
    }

    #[test]
    fn a_chart_has_a_point_for_each_step_and_keeps_the_depth_where_nothing_happened() {
        let pulse = pulse(104_000, vec![row(2, 1, 9), row(6, 2, 5), row(10, 3, 4)]);
        let (from, points) = pulse.points(Chart::Fine, 6);
        assert_eq!(from, Millis::new(50_000));
        let depths: Vec<_> = points.iter().map(|point| point.ready.unwrap()).collect();
        assert_eq!(depths, [9, 5, 5, 5, 5, 4]);
        let completed: Vec<_> = points.iter().map(|point| point.completed).collect();
        assert_eq!(completed, [0, 2, 0, 0, 0, 3]);
    }

    #[test]
    fn what_is_not_known_is_not_drawn_and_an_idle_queue_is_as_it_was() {
        let (_, points) = pulse(104_000, vec![row(10, 3, 4)]).points(Chart::Fine, 3);
        assert_eq!(
            points.iter().map(|point| point.ready).collect::<Vec<_>>(),
            [None, None, Some(4)]
        );
        let (_, points) = pulse(104_000, Vec::new()).points(Chart::Fine, 3);
        assert!(points.iter().all(|point| point.ready == Some(7)));
    }

    #[test]
    fn latencies_of_a_step_that_goes_on_are_those_of_its_windows() {
        let mut latencies = Latencies::default();
        latencies.wait.add(1_000);
        let window = |begins_at, length_ms| Window {
            begins_at: Millis::new(begins_at),
            length_ms,
            latencies: latencies.clone(),
        };
        let mut pulse = pulse(304_000, vec![row(1, 1, 0)]);
        pulse.windows = vec![window(300_000, 10_000), window(240_000, 60_000)];
        let (_, points) = pulse.points(Chart::Coarse, 1);
        assert!(points[0].latencies[0].is_some() && points[0].latencies[1].is_none());
        assert!(pulse.rates().wait.is_some());
    }

    #[test]
    fn charts_cover_an_hour_and_two_days() {
        assert_eq!(Chart::ALL.map(Chart::range_ms), [3_600_000, 172_800_000]);
    }
}

//! Latencies, counted in buckets that each are a tenth wider than the one before. A value read back is within
//! 5 % of the counted one (as in `DDSketch`: Masson, Rim and Lee, 2019), and the size is bounded.

use std::sync::LazyLock;

/// Bucket 0 is below a millisecond, bucket n from `GROWTH^(n-1)` up to `GROWTH^n` ms. The last one reaches
/// beyond a year.
pub const BUCKETS: usize = 255;
/// The number of a bucket that means "nothing was counted".
pub const NO_BUCKET: u8 = 255;
const GROWTH: f64 = 1.1;

/// The lowest whole millisecond of each bucket but the first.
static LOWEST_MS: LazyLock<[u64; BUCKETS - 1]> = LazyLock::new(|| {
    let mut lowest = [0; BUCKETS - 1];
    let mut bound = 1.0_f64;
    for ms in &mut lowest {
        // At most 4e10.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        {
            *ms = bound.ceil() as u64;
        }
        bound *= GROWTH;
    }
    lowest
});

/// Returns the bucket that counts `ms`.
pub fn bucket_of(ms: u64) -> u8 {
    let bucket = LOWEST_MS.partition_point(|lowest| *lowest <= ms);
    u8::try_from(bucket).expect("there are 255 buckets")
}

/// Returns the whole milliseconds that a bucket represents; `None` for [`NO_BUCKET`].
pub fn bucket_ms(bucket: u8) -> Option<u64> {
    // At most 4e10.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    match bucket {
        NO_BUCKET => None,
        0 => Some(0),
        n => Some((2.0 * GROWTH.powi(n.into()) / (GROWTH + 1.0)).round() as u64),
    }
}

/// Counts of one kind of latency. It keeps only buckets with a count: 8 bytes each, 255 at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    pub sum_ms: u64,
    /// Pairs of bucket and count, ordered by bucket.
    counts: Vec<(u8, u32)>,
}

impl Histogram {
    pub fn add(&mut self, ms: u64) {
        self.sum_ms = self.sum_ms.saturating_add(ms);
        self.add_counts(bucket_of(ms), 1);
    }

    pub fn add_counts(&mut self, bucket: u8, count: u32) {
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
    }

    pub fn counts(&self) -> &[(u8, u32)] {
        &self.counts
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Drops all counts, and keeps the allocation.
    pub fn clear(&mut self) {
        self.sum_ms = 0;
        self.counts.clear();
    }
}

/// The latencies of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies {
    /// From ready to granted, for each grant.
    pub wait: Histogram,
    /// From granted to acked or nacked.
    pub run: Histogram,
    /// From accepted to acked.
    pub end_to_end: Histogram,
}

impl Latencies {
    pub fn kinds(&self) -> [&Histogram; 3] {
        [&self.wait, &self.run, &self.end_to_end]
    }

    pub fn kinds_mut(&mut self) -> [&mut Histogram; 3] {
        [&mut self.wait, &mut self.run, &mut self.end_to_end]
    }

    pub fn is_empty(&self) -> bool {
        self.kinds().iter().all(|kind| kind.is_empty())
    }
}

/// Mean and percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub mean_ms: f64,
    pub p50_ms: u64,
    pub p95_ms: u64,
    pub p99_ms: u64,
}

impl Spread {
    /// Summarises histograms that each count with a share; `None` if they are empty.
    pub fn of<'a>(parts: impl IntoIterator<Item = (f64, &'a Histogram)>) -> Option<Self> {
        let (mut counts, mut total, mut sum_ms) = ([0.0_f64; BUCKETS], 0.0, 0.0);
        for (share, part) in parts {
            // Exact below 2^53 ms, and no mean is larger.
            #[allow(clippy::cast_precision_loss)]
            {
                sum_ms += share * part.sum_ms as f64;
            }
            for (bucket, count) in part.counts() {
                counts[usize::from(*bucket)] += share * f64::from(*count);
                total += share * f64::from(*count);
            }
        }
        if total <= 0.0 {
            return None;
        }
        let quantile = |rank: f64| {
            let mut seen = 0.0;
            let bucket = counts.iter().position(|count| {
                seen += count;
                // Sums of shares are not exact, so a tiny rest is not a task.
                *count > 0.0 && seen + 1e-9 >= rank * total
            });
            let bucket = bucket.and_then(|bucket| u8::try_from(bucket).ok());
            bucket.and_then(bucket_ms).unwrap_or_default()
        };
        Some(Self {
            mean_ms: sum_ms / total,
            p50_ms: quantile(0.50),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back_within_five_percent_up_to_a_year() {
        let year = 365 * 86_400_000_u64;
        let mut ms = 1;
        while ms < year {
            let read = bucket_ms(bucket_of(ms)).unwrap();
            // Half a millisecond is what rounding costs.
            assert!(read.abs_diff(ms) * 20 <= ms + 10, "{ms} reads as {read}");
            ms = ms * 101 / 100 + 1;
        }
        assert_eq!(
            [0, 1, 2, 3, 10].map(|ms| bucket_ms(bucket_of(ms)).unwrap()),
            [0, 1, 2, 3, 10]
        );
    }

    #[test]
    fn buckets_rise_and_the_last_takes_what_is_longer() {
        let mut last = 0;
        for ms in 0..100_000 {
            let bucket = bucket_of(ms);
            assert!(bucket >= last);
            last = bucket;
        }
        assert_eq!(bucket_of(u64::MAX), 254);
        assert_eq!(bucket_ms(NO_BUCKET), None);
    }

    #[test]
    fn percentiles_are_those_of_all_parts_by_their_shares() {
        let of = |values: &[u64]| {
            let mut histogram = Histogram::default();
            values.iter().for_each(|ms| histogram.add(*ms));
            histogram
        };
        let (fast, slow) = (of(&[10; 90]), of(&[1_000; 10]));
        let all = Spread::of([(1.0, &fast), (1.0, &slow)]).unwrap();
        assert_eq!((all.p50_ms, bucket_of(all.p95_ms)), (10, bucket_of(1_000)));
        assert!((all.mean_ms - 109.0).abs() < 1e-9);
        let fading = Spread::of([(1.0, &fast), (0.1, &slow)]).unwrap();
        assert_eq!(fading.p95_ms, 10);
        assert_eq!(Spread::of([(0.0, &fast)]), None);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_histogram_grows_with_the_buckets_and_not_with_what_it_counts() {
        let mut histogram = Histogram::default();
        for ms in 0..1_000_000_u64 {
            histogram.add(ms * 31_536);
        }
        assert!(histogram.counts().len() <= BUCKETS);
        assert!(histogram.counts().is_sorted());
        assert_eq!(
            histogram.counts().iter().map(|(_, count)| count).sum::<u32>(),
            1_000_000
        );
    }
}

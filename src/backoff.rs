//! Growing pauses with jitter, so that many workers or replicas do not retry at the same moment.

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }

    /// Returns the next pause: between half and all of a length that doubles up to `max`.
    pub(crate) fn next(&mut self) -> Duration {
        let length = self.next;
        self.next = (length * 2).min(self.max);
        length.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_never_vanish() {
        let (min, max) = (Duration::from_millis(200), Duration::from_secs(15));
        let mut backoff = Backoff::new(min, max);
        let pauses: Vec<Duration> = (0..100).map(|_| backoff.next()).collect();
        assert!(pauses.iter().all(|pause| *pause >= min / 2 && *pause <= max));
        assert!(pauses[20] >= max / 2);
        backoff.reset();
        assert!(backoff.next() <= min);
    }
}

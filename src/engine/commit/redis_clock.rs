//! The time of Redis's clock, estimated without a call.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Millis;

/// The latest time that Redis replied, and when this process heard it by its own clock.
#[derive(Debug, Default)]
pub(super) struct RedisClock(Option<(Millis, Instant)>);

impl RedisClock {
    /// Redis's clock read `now` some time before `heard_at`.
    pub(super) fn set(&mut self, now: Millis, heard_at: Instant) {
        self.0 = Some((now, heard_at));
    }

    /// Drops the estimate: somebody set the clock, or the last reply took very long.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// Returns a time that Redis's clock shows at `now + wait` at the earliest, unless somebody set it back
    /// meanwhile.
    pub(super) fn after(&self, wait: Duration, now: Instant) -> Option<Millis> {
        let (redis_now, heard_at) = self.0?;
        let passed = now.saturating_duration_since(heard_at) + wait;
        Some(redis_now.plus(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_on_from_the_last_reply() {
        let (start, mut clock) = (Instant::now(), RedisClock::default());
        assert_eq!(clock.after(Duration::ZERO, start), None);
        clock.set(Millis::new(1_000), start);
        let two_seconds_on = start + Duration::from_secs(2);
        let seven_on = clock.after(Duration::from_secs(5), two_seconds_on);
        assert_eq!(seven_on, Some(Millis::new(8_000)));
        clock.forget();
        assert_eq!(clock.after(Duration::ZERO, start), None);
    }
}

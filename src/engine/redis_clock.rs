//! What time it is at Redis, as far as can be told without asking.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Millis;

/// The latest time that Redis told, and when that was on this process's own clock.
#[derive(Debug, Default)]
pub(super) struct RedisClock(Option<(Millis, Instant)>);

impl RedisClock {
    /// Redis read `now` before `heard_at`.
    pub(super) fn told(&mut self, now: Millis, heard_at: Instant) {
        self.0 = Some((now, heard_at));
    }

    /// It is not what was thought: it was set, or its last answer took very long.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// What Redis's clock reads when `wait` from now is over, or some time before: never after, unless it was set back since.
    pub(super) fn after(&self, wait: Duration) -> Option<Millis> {
        let (now, heard_at) = self.0?;
        let passed = heard_at.elapsed() + wait;
        Some(now.plus(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_from_what_redis_told() {
        let mut clock = RedisClock::default();
        assert_eq!(clock.after(Duration::ZERO), None);
        clock.told(Millis::new(1_000), Instant::now() - Duration::from_secs(2));
        let soon = clock.after(Duration::from_secs(5)).unwrap();
        assert!((8_000..9_000).contains(&soon.get()), "{soon:?}");
        clock.forget();
        assert_eq!(clock.after(Duration::ZERO), None);
    }
}

//! Pauses between the steps of one call, so that Redis serves others at least half of the time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The longest pause: after a very slow step a pause of the same length would not help others.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// The pauses of one call: each is as long as the step before it.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    step_began: Option<Instant>,
}

impl Pauses {
    pub(super) async fn before_step(&mut self) {
        if let Some(began) = self.step_began {
            sleep(pause_after(began.elapsed())).await;
        }
        self.step_began = Some(Instant::now());
    }
}

fn pause_after(step: Duration) -> Duration {
    step.min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_as_long_as_the_step_before_within_bounds() {
        assert_eq!(pause_after(Duration::from_millis(3)), Duration::from_millis(3));
        assert_eq!(pause_after(Duration::from_secs(4)), PAUSE_MAX);
    }
}

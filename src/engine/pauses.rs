//! Work that one call does in many steps leaves Redis to everybody else half of the time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// A store that takes long for a step is not waited for twice as long as that.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// The pauses of one call: before each step but the first, as long as the step before took.
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

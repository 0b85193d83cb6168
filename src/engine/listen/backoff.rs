//! The pauses between two connections of a listener.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

const FIRST: Duration = Duration::from_millis(100);
const MAX: Duration = Duration::from_secs(2);

/// The next pause: doubled by each failure, up to [`MAX`].
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(FIRST)
    }

    /// Starts again with the first pause, after a connection.
    pub(super) fn reset(&mut self) {
        self.0 = FIRST;
    }

    /// Waits for one pause. Returns whether the listener goes on: `false` if it was stopped meanwhile.
    pub(super) async fn wait(&mut self, stop: &CancellationToken) -> bool {
        let goes_on = stop
            .run_until_cancelled(tokio::time::sleep(self.0))
            .await
            .is_some();
        self.0 = (self.0 * 2).min(MAX);
        goes_on
    }
}

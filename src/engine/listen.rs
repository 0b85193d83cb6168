//! Listens to other replicas: wake-ups, ends of tasks, events for watchers.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;

mod events;
mod follow;
mod followers;
mod wake;

pub use events::{Heard, Watcher};

pub(super) use events::Hub;
pub(super) use follow::{Attendant, Follow};
pub(super) use followers::Follower;
pub(super) use wake::listen as listen_for_wakes;

/// Returns the pauses before a listener connects again.
fn reconnects() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(2))
}

/// Waits for the next pause. Returns whether the listener continues: `false` if it was stopped meanwhile.
async fn waited(backoff: &mut Backoff, stop: &CancellationToken) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(backoff.next()))
        .await
        .is_some()
}

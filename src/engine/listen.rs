//! Listens to other replicas: wake-ups, ends of tasks, events for watchers.

mod backoff;
mod events;
mod follow;
mod followers;
mod wake;

pub use events::{Heard, Watcher};

pub(super) use events::Hub;
pub(super) use follow::{Attendant, Follow};
pub(super) use followers::Follower;
pub(super) use wake::listen as listen_for_wakes;

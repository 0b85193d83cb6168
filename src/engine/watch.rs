//! Events: watching them, and publishing them.

use super::listen::Watcher;
use super::{Engine, Failure};
use crate::domain::QueueName;
use crate::domain::event::{Event, EventKind};

impl Engine {
    /// Starts to watch all queues, or one.
    ///
    /// # Errors
    /// [`Failure::Draining`], and [`Failure::Overloaded`] if `WATCHERS_MAX` watchers exist already.
    pub fn watch(&self, only: Option<QueueName>) -> Result<Watcher, Failure> {
        if self.is_draining() {
            return Err(Failure::Draining);
        }
        self.inner.events.watch(only).ok_or(Failure::Overloaded)
    }

    /// Publishes an event to the watchers at all replicas, if it reaches Redis. `said` is a JSON object.
    pub(super) async fn tell(&self, kind: EventKind, queue: &QueueName, said: serde_json::Value) {
        let event = Event {
            kind,
            queue: queue.clone(),
            said: said.to_string().into(),
        };
        self.store().tell(&event).await;
    }
}

//! Creates queues.

use super::failure::Failure;
use crate::domain::QueueName;
use crate::domain::event::{Event, EventKind};
use crate::domain::queue::QueueConfig;
use crate::store::ops::configure::{ConfigureOp, Configured};
use crate::store::{QueueKeys, Store};

/// Creates a queue with the default config, unless it exists.
///
/// # Errors
/// [`Failure::QueuesFull`] if the deployment has `queues_max` queues; otherwise as the store fails.
pub(super) async fn create_queue(
    store: &Store,
    queues_max: usize,
    replica: &str,
    queue: &QueueName,
) -> Result<(), Failure> {
    if !store.register(queue, queues_max).await? {
        return Err(Failure::QueuesFull);
    }
    let config = QueueConfig::default();
    let op = ConfigureOp {
        expected: Some(0),
        create: true,
        config: &config,
    };
    // A mismatch means that another caller has just created it.
    if let Configured::Done { created: true, .. } = configure(store, queue, &op).await? {
        store.note(queue).await?;
        store.tell_made(queue, replica).await;
        let created = Event {
            kind: EventKind::QueueCreated,
            queue: queue.clone(),
            said: "{}".into(),
        };
        store.tell(&created).await;
    }
    Ok(())
}

/// Writes a config. Clears the remains of a deleted queue of this name first, which is bounded by its lanes.
pub(super) async fn configure(
    store: &Store,
    queue: &QueueName,
    op: &ConfigureOp<'_>,
) -> Result<Configured, Failure> {
    let keys = QueueKeys::new(queue);
    loop {
        match store.call(&keys, op).await? {
            Configured::Clearing => {}
            configured => return Ok(configured),
        }
    }
}

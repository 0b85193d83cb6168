//! Subscriptions: the messages of other replicas, typed.
//!
//! A subscription has a connection of its own, because it would survive the return of a connection to a pool.

use std::pin::Pin;

use deadpool_redis::redis::{self, Client, Msg};
use futures_util::{Stream, StreamExt};

use super::{Store, StoreError, keys};
use crate::domain::event::Event;
use crate::domain::{QueueName, TaskId};

/// A message between replicas. Every message is a hint that may be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A script made tasks ready while another replica had asked for a message.
    Ready {
        queue: QueueName,
        tasks: usize,
        /// The replica that sent the call.
        replica: String,
    },
    /// A script ended followed tasks.
    Ended { queue: QueueName, ids: Vec<TaskId> },
    /// A replica wrote a new lease key.
    LeaseKeyChanged,
}

/// A subscription to messages of one kind.
pub struct Subscription<T> {
    channel: Pin<Box<dyn Stream<Item = Msg> + Send>>,
    /// `None` for a message of unknown form.
    read: fn(&Msg) -> Option<T>,
}

impl Store {
    /// Subscribes to wake-ups and ends of tasks.
    ///
    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn subscribe_to_messages(&self) -> Result<Subscription<Message>, StoreError> {
        self.subscribe(&[keys::WAKE, keys::ENDED], message).await
    }

    /// Subscribes to events for watchers.
    ///
    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn subscribe_to_events(&self) -> Result<Subscription<Event>, StoreError> {
        let read = |received: &Msg| Event::read(received.get_payload_bytes());
        self.subscribe(&[keys::EVENTS], read).await
    }

    async fn subscribe<T>(
        &self,
        channels: &[&str],
        read: fn(&Msg) -> Option<T>,
    ) -> Result<Subscription<T>, StoreError> {
        let subscribed = async {
            let mut pubsub = Client::open(self.info().clone())?.get_async_pubsub().await?;
            pubsub.subscribe(channels).await?;
            let channel = Box::pin(pubsub.into_on_message());
            redis::RedisResult::Ok(Subscription { channel, read })
        };
        subscribed.await.map_err(|error| StoreError::of_sent(&error))
    }
}

impl<T> Subscription<T> {
    /// Returns the next message, and skips messages of unknown form.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when the connection has ended: messages may be lost from now on.
    pub async fn next(&mut self) -> Result<T, StoreError> {
        while let Some(received) = self.channel.next().await {
            if let Some(message) = (self.read)(&received) {
                return Ok(message);
            }
        }
        Err(StoreError::Unknown("the connection ended".to_owned()))
    }
}

fn message(received: &Msg) -> Option<Message> {
    let payload = received.get_payload_bytes();
    match received.get_channel_name() {
        keys::ENDED => ended(payload),
        _ if payload == keys::SECRET.as_bytes() => Some(Message::LeaseKeyChanged),
        _ => ready(payload),
    }
}

/// Reads "queue ready replica", as `wake` in `lua/rotation.lua` writes it.
fn ready(payload: &[u8]) -> Option<Message> {
    let mut words = std::str::from_utf8(payload).ok()?.split(' ');
    let (queue, tasks, replica) = (words.next()?, words.next()?, words.next()?);
    Some(Message::Ready {
        queue: QueueName::parse(queue).ok()?,
        tasks: tasks.parse().ok()?,
        replica: replica.to_owned(),
    })
}

/// Reads the queue, a blank, and the ids, as `tell_followers` in `lua/followed.lua` writes them.
fn ended(payload: &[u8]) -> Option<Message> {
    let blank = payload.iter().position(|byte| *byte == b' ')?;
    let (queue, ids) = (&payload[..blank], &payload[blank + 1..]);
    let ids = ids.chunks_exact(TaskId::BYTES).map(TaskId::from_slice);
    Some(Message::Ended {
        queue: QueueName::parse(std::str::from_utf8(queue).ok()?).ok()?,
        ids: ids.filter_map(Result::ok).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Millis;

    fn queue() -> QueueName {
        QueueName::parse("mail").unwrap()
    }

    #[test]
    fn a_wake_up_names_queue_tasks_and_replica() {
        let message = Message::Ready {
            queue: queue(),
            tasks: 12,
            replica: "replica1,".to_owned(),
        };
        assert_eq!(ready(b"mail 12 replica1,"), Some(message));
        for bad in [
            &b"mail 12"[..],
            b"mail x replica1,",
            b"no/name 1 r",
            b"\xff 1 r",
            b"",
        ] {
            assert_eq!(ready(bad), None);
        }
    }

    #[test]
    fn an_end_names_queue_and_whole_ids() {
        let ids = [TaskId::new(Millis::new(1)), TaskId::new(Millis::new(2))];
        let mut payload = b"mail ".to_vec();
        ids.iter().for_each(|id| payload.extend(id.as_bytes()));
        // A blank inside an id is no separator, and a cut id is dropped.
        payload.extend(b"   ");
        let message = Message::Ended {
            queue: queue(),
            ids: ids.to_vec(),
        };
        assert_eq!(ended(&payload), Some(message));
        assert_eq!(ended(b"mail"), None);
        assert_eq!(ended(b"no/name 12345678901234"), None);
    }
}

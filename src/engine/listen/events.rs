//! Events for watchers. The replica that causes an event publishes it in Redis; each replica listens while it
//! has watchers.
//!
//! No event is stored. A watcher that reads too slowly, or a replica that lost Redis, misses events and gets
//! [`Heard::Reset`], which means "read the state again". All watchers share one bounded buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{reconnects, waited};
use crate::backoff::Backoff;
use crate::domain::QueueName;
use crate::domain::event::Event;
use crate::domain::limits::WATCHERS_MAX;
use crate::store::{Store, StoreError};

/// Events that the slowest watcher may lag behind.
const BEHIND_MAX: usize = 1_024;
/// A replica without watchers stops to listen after at most this long.
const LOOK_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub enum Heard {
    Event(Arc<Event>),
    /// The watcher may have missed events before this one.
    Reset,
}

/// The state that watchers share with the listener.
pub(in crate::engine) struct Hub {
    sender: broadcast::Sender<Heard>,
    places: Arc<Semaphore>,
    wanted: Notify,
    hears: AtomicBool,
    over: CancellationToken,
}

impl Hub {
    /// All watchers end when `over` is cancelled.
    pub(in crate::engine) fn new(over: CancellationToken) -> Self {
        Self {
            sender: broadcast::channel(BEHIND_MAX).0,
            places: Arc::new(Semaphore::new(WATCHERS_MAX)),
            wanted: Notify::new(),
            hears: AtomicBool::new(false),
            over,
        }
    }
}

/// One watcher of events, until it is dropped.
pub struct Watcher {
    receiver: broadcast::Receiver<Heard>,
    only: Option<QueueName>,
    /// The first event is a reset.
    reset: bool,
    over: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// Returns the next event; `None` when the service stops. The first is a reset, once the replica hears
    /// events.
    pub async fn next(&mut self) -> Option<Heard> {
        if std::mem::take(&mut self.reset) {
            return Some(Heard::Reset);
        }
        loop {
            let heard = tokio::select! {
                // The shutdown does not wait for unread events.
                biased;
                () = self.over.cancelled() => return None,
                heard = self.receiver.recv() => heard,
            };
            match heard {
                Ok(Heard::Event(event)) if self.only.as_ref().is_some_and(|only| *only != event.queue) => {}
                Ok(heard) => return Some(heard),
                Err(broadcast::error::RecvError::Lagged(_)) => return Some(Heard::Reset),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl Hub {
    pub(in crate::engine) fn watch(&self, only: Option<QueueName>) -> Option<Watcher> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let receiver = self.sender.subscribe();
        self.wanted.notify_one();
        // Read after subscribing: if the replica does not listen yet, the reset that it sends when it starts
        // reaches this watcher.
        let reset = self.hears.load(Ordering::SeqCst);
        Some(Watcher {
            receiver,
            only,
            reset,
            over: self.over.clone(),
            _place: place,
        })
    }

    fn is_watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    fn say(&self, heard: Heard) {
        // Sending fails only if there is no watcher.
        let _ = self.sender.send(heard);
    }

    /// Listens while there are watchers, until it is stopped. It has a connection of its own because
    /// subscriptions survive the return to a pool.
    pub(in crate::engine) async fn listen(self: Arc<Self>, store: Store, stop: CancellationToken) {
        let mut backoff = reconnects();
        loop {
            while !self.is_watched() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.wanted.notified() => {}
                }
            }
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.hear(&store, &mut backoff) => ended,
            };
            self.hears.store(false, Ordering::SeqCst);
            if let Err(error) = ended {
                tracing::debug!(%error, "the subscription to events broke; it is retried");
                if !waited(&mut backoff, &stop).await {
                    return;
                }
            }
        }
    }

    /// Listens until there is no watcher any more, or the connection breaks.
    async fn hear(&self, store: &Store, backoff: &mut Backoff) -> Result<(), StoreError> {
        let mut events = store.subscribe_to_events().await?;
        backoff.reset();
        self.hears.store(true, Ordering::SeqCst);
        self.say(Heard::Reset);
        while self.is_watched() {
            if let Ok(event) = timeout(LOOK_EVERY, events.next()).await {
                self.say(Heard::Event(Arc::new(event?)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventKind;

    fn event(queue: &str) -> Heard {
        Heard::Event(Arc::new(Event {
            kind: EventKind::Queue,
            queue: QueueName::parse(queue).unwrap(),
            said: "{}".into(),
        }))
    }

    fn word(heard: Option<Heard>) -> String {
        match heard {
            Some(Heard::Event(event)) => event.queue.to_string(),
            Some(Heard::Reset) => "reset".to_owned(),
            None => "over".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_watcher_that_is_too_slow_is_reset_and_goes_on() {
        let hub = Hub::new(CancellationToken::new());
        let mut watcher = hub.watch(None).unwrap();
        for n in 0..BEHIND_MAX + 10 {
            hub.say(event(&format!("q{n}")));
        }
        let said = [word(watcher.next().await), word(watcher.next().await)];
        assert_eq!(said, ["reset", "q10"]);
        hub.over.cancel();
        assert_eq!(word(watcher.next().await), "over");
    }

    #[tokio::test]
    async fn who_watches_one_queue_hears_of_it_and_of_resets() {
        let hub = Hub::new(CancellationToken::new());
        let mut watcher = hub.watch(Some(QueueName::parse("a").unwrap())).unwrap();
        for heard in [event("b"), event("a"), Heard::Reset] {
            hub.say(heard);
        }
        let said = [word(watcher.next().await), word(watcher.next().await)];
        assert_eq!(said, ["a", "reset"]);
    }

    #[tokio::test]
    async fn who_comes_when_events_are_heard_begins_with_a_reset_and_there_are_so_many_places() {
        let hub = Hub::new(CancellationToken::new());
        hub.hears.store(true, Ordering::SeqCst);
        let mut watchers: Vec<_> = (0..WATCHERS_MAX).map(|_| hub.watch(None).unwrap()).collect();
        assert!(hub.watch(None).is_none());
        assert_eq!(word(watchers[0].next().await), "reset");
        drop(watchers);
        assert!(hub.watch(None).is_some() && !hub.is_watched());
    }
}

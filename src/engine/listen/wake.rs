//! Wake-ups between replicas. Scripts publish when they make tasks ready and another replica asked for a
//! message, and when they end followed tasks. A message is a hint: every queue with waiters is looked at each
//! second anyway.

use std::convert::Infallible;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::follow::Follow;
use super::{reconnects, waited};
use crate::backoff::Backoff;
use crate::engine::commit::{Command, Routes};
use crate::store::{Message, Store, StoreError};

/// Listens until it is stopped, and reconnects after a pause. Reports when it hears for the first time.
pub(in crate::engine) async fn listen(
    store: Store,
    replica: String,
    routes: Routes,
    follow: mpsc::Sender<Follow>,
    hears: oneshot::Sender<()>,
    stop: CancellationToken,
) {
    let mut listener = Listener {
        store,
        replica,
        routes,
        follow,
        hears: Some(hears),
        backoff: reconnects(),
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Err(error) = listener.hear() => {
                tracing::debug!(%error, "the subscription to wake-ups broke; it is retried");
            }
        }
        if !waited(&mut listener.backoff, &stop).await {
            return;
        }
    }
}

struct Listener {
    store: Store,
    replica: String,
    routes: Routes,
    follow: mpsc::Sender<Follow>,
    /// Until the first subscription.
    hears: Option<oneshot::Sender<()>>,
    backoff: Backoff,
}

impl Listener {
    /// Listens until the connection breaks.
    async fn hear(&mut self) -> Result<Infallible, StoreError> {
        let mut messages = self.store.subscribe_to_messages().await?;
        self.backoff.reset();
        if let Some(hears) = self.hears.take() {
            let _ = hears.send(());
        }
        loop {
            match messages.next().await? {
                // This replica wakes its own waiters without a message.
                Message::Ready { replica, .. } if replica == self.replica => {}
                Message::Ready { queue, tasks, .. } => {
                    self.routes.hint(&queue, Command::Hint(queue.clone(), tasks));
                }
                Message::Ended { queue, ids } => {
                    let _ = self.follow.try_send(Follow::Ended(queue, ids));
                }
                Message::LeaseKeyChanged => {
                    if let Err(error) = self.store.agree_on_lease_key().await {
                        tracing::debug!(%error, "a new lease key is not known yet");
                    }
                }
            }
        }
    }
}

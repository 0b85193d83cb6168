//! Wake-ups between replicas. Scripts publish when they make tasks ready and another replica asked for a
//! message, and when they end followed tasks. A message is a hint: every queue with waiters is looked at each
//! second anyway.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::follow::Follow;
use crate::engine::commit::{Command, Routes};
use crate::store::{Message, Store, StoreError};

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Listens until it is stopped, and reconnects after a pause. Reports when it hears for the first time.
pub(in crate::engine) async fn listen(
    store: Store,
    replica: String,
    routes: Routes,
    follow: mpsc::Sender<Follow>,
    hears: oneshot::Sender<()>,
    stop: CancellationToken,
) {
    let mut hears = Some(hears);
    let mut pause = PAUSE_FIRST;
    loop {
        let session = async {
            let mut messages = store.subscribe_to_messages().await?;
            pause = PAUSE_FIRST;
            if let Some(hears) = hears.take() {
                let _ = hears.send(());
            }
            while let Some(message) = messages.next().await {
                match message {
                    // This replica wakes its own waiters without a message.
                    Message::Ready { replica: from, .. } if from == replica => {}
                    Message::Ready { queue, tasks, .. } => {
                        routes.hint(&queue, Command::Hint(queue.clone(), tasks));
                    }
                    Message::Ended { queue, ids } => {
                        let _ = follow.try_send(Follow::Ended(queue, ids));
                    }
                    Message::LeaseKeyChanged => {
                        if let Err(error) = store.agree_on_lease_key().await {
                            tracing::debug!(%error, "a new lease key is not known yet");
                        }
                    }
                }
            }
            Ok::<(), StoreError>(())
        };
        tokio::select! {
            () = stop.cancelled() => return,
            ended = session => if let Err(error) = ended {
                tracing::debug!(%error, "the subscription to wake-ups broke; it is retried");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
        }
    }
}

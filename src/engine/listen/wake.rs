//! Wake-ups between replicas. Scripts publish when they make tasks ready and another replica asked for a
//! message, and when they end followed tasks. A message is a hint: every queue with waiters is looked at each
//! second anyway.

use std::time::Duration;

use deadpool_redis::redis;
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::follow::Follow;
use crate::domain::{QueueName, TaskId};
use crate::engine::commit::Command;
use crate::engine::commit::Routes;
use crate::store::{Store, keys};

/// Listens until it is stopped, and reconnects after a pause. Reports when it hears for the first time. It
/// has a connection of its own because subscriptions survive the return to a pool.
pub(in crate::engine) async fn listen(
    store: Store,
    replica: String,
    routes: Routes,
    follow: mpsc::Sender<Follow>,
    hears: oneshot::Sender<()>,
    stop: CancellationToken,
) {
    let mut hears = Some(hears);
    let mut pause = Duration::from_millis(100);
    loop {
        let session = async {
            let client = redis::Client::open(store.info().clone())?;
            let mut pubsub = client.get_async_pubsub().await?;
            pubsub.subscribe(&[keys::WAKE, keys::ENDED]).await?;
            pause = Duration::from_millis(100);
            if let Some(hears) = hears.take() {
                let _ = hears.send(());
            }
            let mut messages = pubsub.on_message();
            while let Some(message) = messages.next().await {
                let payload = message.get_payload_bytes();
                if message.get_channel_name() == keys::ENDED {
                    ended(payload, &follow);
                } else if payload != keys::SECRET.as_bytes() {
                    hint(payload, &replica, &routes);
                } else if let Err(error) = store.agree_on_lease_key().await {
                    tracing::debug!(%error, "a new lease key is not known yet");
                }
            }
            redis::RedisResult::Ok(())
        };
        tokio::select! {
            () = stop.cancelled() => return,
            ended = session => if let Err(error) = ended {
                tracing::debug!(%error, "no wake-ups from other replicas for now");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(2)),
        }
    }
}

/// "queue ready replica", as `wake` in `lua/lanes.lua` writes it.
fn hint(message: &[u8], replica: &str, routes: &Routes) {
    let mut words = std::str::from_utf8(message).unwrap_or_default().split(' ');
    let (Some(queue), Some(ready), Some(from)) = (words.next(), words.next(), words.next()) else {
        return;
    };
    if from == replica {
        return;
    }
    if let (Ok(queue), Ok(ready)) = (QueueName::parse(queue), ready.parse()) {
        routes.hint(&queue, Command::Hint(queue.clone(), ready));
    }
}

/// The queue, a blank, and the ids, as `tell_followers` in `lua/followed.lua` writes them.
fn ended(message: &[u8], follow: &mpsc::Sender<Follow>) {
    let mut parts = message.splitn(2, |byte| *byte == b' ');
    let queue = parts.next().and_then(|queue| std::str::from_utf8(queue).ok());
    let (Some(Ok(queue)), Some(ids)) = (queue.map(QueueName::parse), parts.next()) else {
        return;
    };
    let ids = ids.chunks_exact(TaskId::BYTES).map(TaskId::from_slice);
    let _ = follow.try_send(Follow::Ended(queue, ids.filter_map(Result::ok).collect()));
}

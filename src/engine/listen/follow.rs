//! Waits for the ends of tasks. One call asks Redis when a wait begins, and one call a second asks for all
//! waits of a queue together. In between, scripts publish the end of tasks that somebody follows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::followers::{Follower, Followers};
use crate::domain::limits::SCRIPT_ITEMS_MAX;
use crate::domain::{QueueName, TaskId};
use crate::engine::commit::Command;
use crate::engine::commit::Routes;
use crate::metrics::Metrics;
use crate::store::ops::Op;
use crate::store::ops::follow::{FollowOp, Followed};
use crate::store::{Conn, QueueKeys, Store, StoreError};

/// Every followed task is looked at this often, in case every message is lost.
const FALLBACK: Duration = Duration::from_secs(1);
/// Script calls of one pipeline.
const CALLS_MAX: usize = 64;
/// Commands taken between two calls.
const TAKE_MAX: usize = 8192;

pub(in crate::engine) enum Follow {
    Begin(QueueName, TaskId, Follower),
    /// Tasks ended in any replica.
    Ended(QueueName, Vec<TaskId>),
}

/// The tasks to ask for, by queue, each with the rest of its wait in ms.
type Asked = HashMap<QueueName, Vec<(TaskId, u64)>>;

/// Owns the waiting calls. If they are lost with the process, so are their callers.
pub(in crate::engine) struct Attendant {
    pub(in crate::engine) store: Store,
    /// A connection of its own: a pool would ping before each use.
    pub(in crate::engine) conn: Conn,
    pub(in crate::engine) commands: mpsc::Receiver<Follow>,
    pub(in crate::engine) metrics: Arc<Metrics>,
    pub(in crate::engine) routes: Routes,
    pub(in crate::engine) stop: CancellationToken,
}

impl Attendant {
    pub(in crate::engine) async fn run(mut self) {
        let mut followers = Followers::default();
        let mut ticks = interval(FALLBACK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Waits that begin while a call is under way go together with the next one.
            let mut begun = Asked::new();
            tokio::select! {
                () = self.stop.cancelled() => return,
                command = self.commands.recv() => match command {
                    Some(command) => take(command, &mut followers, &mut begun),
                    None => return,
                },
                _ = ticks.tick(), if followers.len() > 0 => begun.extend(followers.asked_for(Instant::now())),
            }
            for _ in 0..TAKE_MAX {
                let Ok(command) = self.commands.try_recv() else {
                    break;
                };
                take(command, &mut followers, &mut begun);
            }
            self.ask(begun, &mut followers).await;
        }
    }

    /// Tells Redis which tasks are followed, and wakes the followers of tasks that have ended already.
    async fn ask(&mut self, asked: Asked, followers: &mut Followers) {
        let calls: Vec<_> = asked
            .iter()
            .flat_map(|(queue, ids)| {
                ids.chunks(SCRIPT_ITEMS_MAX)
                    .map(move |ids| (queue, FollowOp(ids)))
            })
            .collect();
        for calls in calls.chunks(CALLS_MAX) {
            let mut batch = self.store.batch();
            for (queue, op) in calls {
                batch.push(&QueueKeys::new(queue), op);
            }
            let started = Instant::now();
            let answers = self.conn.send_unconfirmed(batch).await;
            let seconds = started.elapsed().as_secs_f64();
            for ((queue, op), answer) in calls.iter().zip(answers) {
                let class = answer.as_ref().err().map(StoreError::class);
                self.metrics
                    .store
                    .called(FollowOp::SCRIPT, op.0.len(), seconds, class);
                let ended = match answer.map(|reply| op.outcome(reply)) {
                    Ok(Ok(Ok(told))) => {
                        // Without a sweep an expired lease would wait for the housekeeper.
                        if told.sweep_is_due {
                            self.routes.hint(queue, Command::Sweep((*queue).clone()));
                        }
                        told.tasks
                    }
                    Ok(Ok(Err(_absent))) => vec![Followed::Gone; op.0.len()],
                    Ok(Err(error)) => {
                        tracing::error!(%queue, %error, "the reply to a follow call cannot be read");
                        continue;
                    }
                    Err(error) => {
                        tracing::debug!(%queue, %error, "followed tasks could not be reported to the store; it is retried in a second");
                        continue;
                    }
                };
                let over = op.0.iter().zip(ended);
                let over = over.filter(|(_, told)| *told != Followed::Waiting);
                followers.tell(queue, over.map(|((id, _), _)| *id));
            }
        }
    }
}

fn take(command: Follow, followers: &mut Followers, begun: &mut Asked) {
    match command {
        Follow::Begin(queue, id, follower) => {
            let left = follower.until.saturating_duration_since(Instant::now());
            let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            followers.add(&queue, id, follower);
            begun.entry(queue).or_default().push((id, left));
        }
        Follow::Ended(queue, ids) => followers.tell(&queue, ids),
    }
}

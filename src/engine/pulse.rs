//! Observations of this process, sent to Redis once a second, so that every replica shows the same numbers.
//!
//! A committer counts its observations of a queue in a [`Beat`]. This task collects the beats of all
//! committers and sends one script call per queue with news; idle queues cost nothing. A dying process or a
//! failed call loses samples of latencies only, because counts are differences of totals that scripts keep.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::beat::Beat;
use super::commit::{Command, Routes};
use crate::domain::QueueName;
use crate::store::ops::beat::BeatOp;
use crate::store::{Conn, QueueKeys, Store};

mod history;
mod survey;
mod workers;

pub use history::History;
pub use survey::Totals;
pub use workers::Worker;

const BEAT_EVERY: Duration = Duration::from_secs(1);
const LAST_BEAT_WITHIN: Duration = Duration::from_secs(1);
/// Script calls of one pipeline. Calls of others run between two pipelines.
const PIPELINE_QUEUES_MAX: usize = 64;

pub(super) struct Pulse {
    store: Store,
    /// A connection of its own: a pool would ping before each use.
    conn: Conn,
    routes: Routes,
    replica: String,
    /// Asks the task to end, after one more beat and before the committers stop.
    end: CancellationToken,
    /// The task has ended.
    over: CancellationToken,
}

/// A handle that ends the task and waits for its end.
#[derive(Clone, Default)]
pub(super) struct LastBeat {
    end: CancellationToken,
    over: CancellationToken,
}

impl LastBeat {
    /// Waits until all observations were sent, but not long: the rest of the shutdown must not wait for it.
    pub(super) async fn told(&self) {
        self.end.cancel();
        let _ = timeout(LAST_BEAT_WITHIN, self.over.cancelled()).await;
    }
}

impl Pulse {
    pub(super) fn new(store: &Store, routes: Routes, replica: &str, last: &LastBeat) -> Self {
        Self {
            store: store.clone(),
            conn: store.conn(),
            routes,
            replica: replica.to_owned(),
            end: last.end.clone(),
            over: last.over.clone(),
        }
    }

    pub(super) async fn run(mut self) {
        let _over = self.over.clone().drop_guard();
        let mut ticks = interval(BEAT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let last = tokio::select! {
                () = self.end.cancelled() => true,
                _ = ticks.tick() => false,
            };
            let beats = self.gather().await;
            self.send(beats).await;
            if last {
                return;
            }
        }
    }

    async fn gather(&self) -> Vec<(QueueName, Beat)> {
        let asked: Vec<_> = self.routes.all().iter().map(ask).collect();
        let mut beats = Vec::new();
        for answer in asked {
            // An overloaded committer sends its beat next time; one that is gone never does.
            beats.extend(answer.await.unwrap_or_default());
        }
        beats
    }

    async fn send(&mut self, beats: Vec<(QueueName, Beat)>) {
        for beats in beats.chunks(PIPELINE_QUEUES_MAX) {
            let mut batch = self.store.batch();
            for (queue, beat) in beats {
                let op = BeatOp {
                    replica: &self.replica,
                    waiting: beat.waiting,
                    moved: beat.moved,
                    latencies: &beat.latencies,
                    workers: &beat.workers,
                };
                batch.push(&QueueKeys::new(queue), &op);
            }
            let answers = self.conn.send_unconfirmed(batch).await;
            let failed = answers.into_iter().filter_map(Result::err).last();
            if let Some(error) = failed {
                tracing::debug!(%error, queues = beats.len(), "observations of the last second are lost");
            }
        }
    }
}

fn ask(committer: &mpsc::Sender<Command>) -> oneshot::Receiver<Vec<(QueueName, Beat)>> {
    let (reply, answer) = oneshot::channel();
    // If the channel is full, the sender is dropped with the command, and the receiver returns an error.
    let _ = committer.try_send(Command::Beat(reply));
    answer
}

//! The async shell around a shard: a channel, a connection, a sleep.
//!
//! Group commit without a timer: commands that arrive while one flush is under way form the next one. An idle
//! service adds no latency, and a busy one shares script calls and syncs among its callers.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::command::Command;
use super::shard::{Errand, Flight, Shard, ShardSettings};
use super::undelivered::GiveBack;
use super::waiting::WaitingCalls;
use crate::domain::{Millis, QueueName};
use crate::engine::create::create_queue;
use crate::engine::settings::EngineSettings;
use crate::store::{Answers, Conn, Store, StoreError};

/// Commands taken between two flushes.
const TAKE_MAX: usize = 8192;
/// Give-backs that may wait; the leases of more expire instead.
const GIVE_BACKS_MAX: usize = 16_384;

pub(in crate::engine) struct Committer {
    store: Store,
    /// Kept while the committer runs: a pool would ping before every flush.
    conn: Conn,
    settings: Arc<EngineSettings>,
    shard: Shard,
    commands: mpsc::Receiver<Command>,
    /// Undelivered grants, on a channel of their own: a crowd of requests cannot keep them out.
    give_backs: mpsc::Receiver<GiveBack>,
    /// The sender of `commands`, for the outcome of creating a queue.
    home: mpsc::Sender<Command>,
    /// Due times for the registry.
    hints: mpsc::Sender<(QueueName, Millis)>,
}

impl Committer {
    pub(in crate::engine) fn new(
        store: &Store,
        settings: Arc<EngineSettings>,
        (home, commands): (mpsc::Sender<Command>, mpsc::Receiver<Command>),
        hints: mpsc::Sender<(QueueName, Millis)>,
        waiting: WaitingCalls,
    ) -> Self {
        let (give_back, give_backs) = mpsc::channel(GIVE_BACKS_MAX);
        let shard_settings = ShardSettings {
            replica: settings.replica.as_str().into(),
            script_items: settings.script_items,
            auto_create: settings.auto_create,
            response_timeout: store.response_timeout(),
            metrics: settings.metrics.clone(),
        };
        Self {
            store: store.clone(),
            conn: store.conn(),
            settings,
            shard: Shard::new(shard_settings, give_back, waiting),
            commands,
            give_backs,
            home,
            hints,
        }
    }

    /// Runs until it is stopped and all that it took was sent.
    pub(in crate::engine) async fn run(mut self) {
        let mut stopping = false;
        loop {
            if !self.shard.has_work() {
                if stopping && self.commands.is_empty() && self.give_backs.is_empty() && self.shard.is_done()
                {
                    return;
                }
                tokio::select! {
                    command = self.commands.recv() => match command {
                        Some(command) => stopping |= self.take(command),
                        None => return,
                    },
                    // The shard keeps a sender, so this channel stays open.
                    Some(give_back) = self.give_backs.recv() => self.shard.take_give_back(give_back),
                    () = sleep_till(self.shard.next_tick()) => {}
                }
            }
            for _ in 0..TAKE_MAX {
                let Ok(command) = self.commands.try_recv() else {
                    break;
                };
                stopping |= self.take(command);
            }
            for _ in 0..TAKE_MAX {
                let Ok(give_back) = self.give_backs.try_recv() else {
                    break;
                };
                self.shard.take_give_back(give_back);
            }
            let now = Instant::now();
            self.shard.tick(now);
            let flights = self.shard.calls(now);
            if !flights.is_empty() {
                self.fly(flights).await;
            }
            self.run_errands();
        }
    }

    /// Returns whether the command stops the committer.
    fn take(&mut self, command: Command) -> bool {
        let stops = matches!(command, Command::Stop);
        self.shard.take(command, Instant::now());
        stops
    }

    /// Sends one flush and hands its replies to the shard.
    async fn fly(&mut self, flights: Vec<Flight>) {
        let mut batch = self.store.batch();
        for flight in &flights {
            flight.push(&mut batch);
        }
        let asked_at = Instant::now();
        let Answers { replies, confirmed } = self.conn.send(batch).await;
        let now = Instant::now();
        let seconds = (now - asked_at).as_secs_f64();
        for (flight, reply) in flights.into_iter().zip(replies) {
            let reply = match &confirmed {
                Ok(()) => reply,
                Err(error) => reply.and_then(|reply| self.shard.unconfirmed(&flight, reply, error, asked_at)),
            };
            let class = reply.as_ref().err().map(StoreError::class);
            let (script, items) = flight.measure();
            self.settings.metrics.store.called(script, items, seconds, class);
            self.shard.landed(flight, reply, asked_at, now);
        }
        self.shard.flush_landed();
    }

    fn run_errands(&mut self) {
        for errand in self.shard.errands() {
            match errand {
                // If the registry's channel is full, the slow sweep makes up for the lost hint.
                Errand::Hint(queue, at) => drop(self.hints.try_send((queue, at))),
                Errand::Create(queue) => self.create(queue),
            }
        }
    }

    /// Creates a queue beside the flushes; its enqueues wait for the outcome.
    fn create(&self, queue: QueueName) {
        let (store, settings, home) = (self.store.clone(), self.settings.clone(), self.home.clone());
        // The task ends after a few calls. If it is lost with the process, so are the enqueues that wait for
        // it.
        tokio::spawn(async move {
            let result = create_queue(&store, settings.max_queues, &settings.replica, &queue).await;
            let _ = home.send(Command::Created(queue, result)).await;
        });
    }
}

async fn sleep_till(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

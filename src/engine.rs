//! The memory of this process: requests under way, waiting leases, timers. It holds nothing that a crash must
//! not lose.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod beat;
mod bulk;
mod change;
mod commit;
mod create;
mod cursor;
mod dead;
mod dead_groups;
mod delete;
mod durability;
mod enqueue;
mod explain;
mod failure;
mod finished;
mod granted;
mod hold;
mod housekeeper;
mod lease;
mod listen;
mod pause;
mod pauses;
mod pulse;
mod queues;
mod settings;
mod settle;
mod standing;
mod verify;
mod watch;

pub use bulk::{CancelFilter, Progress};
pub use commit::SettleOutcome;
pub use dead::{Bulk, DeadOrder, Handled, NotBegun, NotReplayed, Pace};
pub use enqueue::EnqueueOutcome;
pub use failure::Failure;
pub use granted::Granted;
pub use lease::{LeaseFrom, LeaseRequest, Leased};
pub use listen::{Heard, Watcher};
pub use pause::NotPaused;
pub use pulse::{History, Totals, Worker};
pub use settings::EngineSettings;
pub use verify::Verified;

pub use crate::store::ops::delete::Deleted;

use self::commit::{Command, Committer, Routes, WaitingCalls};
use self::durability::Durability;
use self::listen::{Attendant, Follow, Hub};
use self::pulse::{LastBeat, Pulse};
use crate::domain::checkup::Check;
use crate::domain::counts::Counts;
use crate::domain::durability::Level;
use crate::domain::pause::Paused;
use crate::domain::pulse::Rates;
use crate::domain::queue::QueueConfig;
use crate::domain::{Millis, QueueName, TaskName, TaskState};
use crate::store::Store;

/// Limit for the first subscription to wake-ups. Without it waiting leases are served by their look each
/// second.
const HEARS_WITHIN: Duration = Duration::from_secs(1);
/// Commands that may wait for one committer. More are refused as overload.
const COMMANDS_MAX: usize = 16_384;

/// The product's verbs. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    settings: Arc<EngineSettings>,
    routes: Routes,
    waiting: WaitingCalls,
    follow: mpsc::Sender<Follow>,
    following: WaitingCalls,
    durability: Arc<Durability>,
    /// Queues that this process audits now.
    verifying: Mutex<HashSet<QueueName>>,
    last_beat: LastBeat,
    events: Arc<Hub>,
    draining: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Counts of one queue and what belongs to them, from one atomic snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueStats {
    pub counts: Counts,
    /// Exact up to 128 lanes in rotation, a lower bound beyond.
    pub oldest_ready_age_ms: Option<u64>,
    /// Lease calls that wait for the queue at all replicas, as of the last second. A call on several queues
    /// counts for each of them.
    pub workers_waiting: u64,
    /// The pause of the queue, if it is paused.
    pub paused: Option<Paused>,
}

/// Counts and rates of a queue; the rates are as of the last second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    pub stats: QueueStats,
    pub rates: Rates,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueInfo {
    pub queue: QueueName,
    pub config: QueueConfig,
    /// The `ETag`; every change of the config raises it.
    pub version: u64,
    pub created_at: Millis,
    pub stats: QueueStats,
}

/// The outcome of a config write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigWrite {
    Created(QueueInfo),
    Updated(QueueInfo),
    /// `If-Match` named another version than the queue has; 0: the queue does not exist.
    Mismatch {
        version: u64,
    },
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Opaque; `None` on the last page.
    pub next_cursor: Option<String>,
}

/// The filter of [`Engine::tasks`].
#[derive(Debug, Clone)]
pub struct TaskFilter {
    pub state: TaskState,
    pub name: Option<TaskName>,
    pub group: Option<String>,
}

/// A cursor that no list wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCursor;

/// The state that readiness reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether Redis accepted a write; the error is a text for the log and the health page.
    pub store: Result<(), String>,
    pub draining: bool,
    /// The level in force.
    pub durability: Level,
}

impl Engine {
    /// Starts committers, housekeeper and listeners. Redis must respond. Returns once this process hears the
    /// wake-ups of other replicas, or after a second.
    ///
    /// # Errors
    /// If the lease key of the deployment can be neither read nor created.
    pub async fn start(store: Store, settings: EngineSettings) -> Result<Self, Failure> {
        store.agree_on_lease_key().await?;
        let settings = Arc::new(settings);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let waiting = WaitingCalls::default();
        let (hints, hinted) = mpsc::channel(COMMANDS_MAX);
        let mut homes = Vec::new();
        for _ in 0..settings.committers.max(1) {
            let (me, commands) = mpsc::channel(COMMANDS_MAX);
            homes.push(me.clone());
            let channel = (me, commands);
            let committer = Committer::new(&store, settings.clone(), channel, hints.clone(), waiting.clone());
            tasks.spawn(committer.run());
        }
        let routes = Routes::new(homes);
        let housekeeper = housekeeper::Housekeeper {
            conn: store.conn(),
            store: store.clone(),
            routes: routes.clone(),
            hints: hinted,
            stop: stop.clone(),
        };
        tasks.spawn(housekeeper.run());
        let last_beat = LastBeat::default();
        tasks.spawn(Pulse::new(&store, routes.clone(), &settings.replica, &last_beat).run());
        let draining = CancellationToken::new();
        let events = Arc::new(Hub::new(draining.clone()));
        tasks.spawn(events.clone().listen(store.clone(), stop.clone()));
        let durability = Arc::new(Durability::new(settings.durability, settings.metrics.clone()));
        if settings.durability_is_watched && settings.durability == Level::Fsync {
            tasks.spawn(durability.clone().watch(store.clone(), stop.clone()));
        }
        let (follow, follows) = mpsc::channel(COMMANDS_MAX);
        let attendant = Attendant {
            store: store.clone(),
            conn: store.conn(),
            commands: follows,
            metrics: settings.metrics.clone(),
            routes: routes.clone(),
            stop: stop.clone(),
        };
        tasks.spawn(attendant.run());
        let (hears, heard) = oneshot::channel();
        tasks.spawn(listen::listen_for_wakes(
            store.clone(),
            settings.replica.clone(),
            routes.clone(),
            follow.clone(),
            hears,
            stop.clone(),
        ));
        tasks.close();
        if timeout(HEARS_WITHIN, heard).await.is_err() {
            tracing::warn!("no wake-ups from other replicas yet: their tasks are found within a second");
        }
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                settings,
                routes,
                waiting,
                follow,
                following: WaitingCalls::default(),
                durability,
                verifying: Mutex::default(),
                last_beat,
                events,
                draining,
                stop,
                tasks,
            }),
        })
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }

    fn settings(&self) -> &EngineSettings {
        &self.inner.settings
    }

    /// Notes a change of the queue that no committer made, so that its charts are updated.
    fn changed(&self, queue: &QueueName) {
        self.inner.routes.hint(queue, Command::Changed(queue.clone()));
    }

    pub async fn health(&self) -> Health {
        Health {
            store: self.store().probe().await.map_err(|error| error.to_string()),
            draining: self.is_draining(),
            durability: self.durability(),
        }
    }

    /// Checks Redis, and whether it provides the durability that responses name.
    pub async fn checkup(&self) -> Vec<Check> {
        let asked = self.settings().durability;
        let mut checks = self.store().checkup(Some(asked)).await;
        let level = self.durability();
        let shown = format!("answers name {}", level.word());
        checks.push(if level == asked {
            Check::ok("durability", shown)
        } else {
            Check::warn(
                "durability",
                format!("{shown}; {} was asked for", asked.word()),
                "Set appendonly yes, appendfsync always and no-appendfsync-on-rewrite no; within a second answers say so.",
            )
        });
        checks
    }

    /// Returns the level in force: the one of the settings, unless a check found that Redis does not provide
    /// it.
    pub fn durability(&self) -> Level {
        self.inner.durability.in_force()
    }

    /// Returns the number of lease calls that wait in this process.
    pub fn waiting(&self) -> usize {
        self.inner.waiting.calls()
    }

    fn is_draining(&self) -> bool {
        self.inner.draining.is_cancelled()
    }

    /// Ends all waiting lease calls (empty) and waiting reads, and lets none wait any more. Other requests
    /// proceed. Idempotent.
    pub async fn drain(&self) {
        self.inner.draining.cancel();
        for home in self.inner.routes.all() {
            let _ = home.send(Command::Drain).await;
        }
    }

    /// Stops all background tasks. Call it after [`Self::drain`], when no request is left.
    pub async fn stop(&self) {
        self.drain().await;
        self.inner.last_beat.told().await;
        self.inner.stop.cancel();
        for home in self.inner.routes.all() {
            let _ = home.send(Command::Stop).await;
        }
        self.inner.tasks.wait().await;
    }
}

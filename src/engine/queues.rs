//! Queues as things: made, configured, looked at, listed.

use serde_json::json;
use tokio::sync::oneshot;

use super::commit::Command;
use super::create::configure;
use super::{
    BadCursor, ConfigWrite, Engine, Failure, Page, QueueInfo, QueueStats, Snapshot, TaskFilter, cursor,
};
use crate::domain::event::EventKind;
use crate::domain::pulse::{Chart, MINUTE_MS};
use crate::domain::queue::QueueConfig;
use crate::domain::task::TaskView;
use crate::domain::{QueueName, TaskId, TaskName, limits};
use crate::store::QueueKeys;
use crate::store::ops::configure::{ConfigureOp, Configured};
use crate::store::ops::overview::{Overview, OverviewOp};
use crate::store::ops::pulse::PulseOp;
use crate::store::ops::reorder::ReorderOp;
use crate::store::ops::select::{SelectOp, States};
use crate::store::ops::show::ShowOp;

/// Tasks read at a time for a page, which ends early once it holds [`PAGE_BYTES_MAX`]: payloads may have 1 MiB each.
const LIST_CHUNK: usize = 32;
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Groups whose heads are put in order by one call.
const REORDER_GROUPS: usize = 16;

impl Engine {
    /// Replaces the config; `if_match` is the version that must be the present one, 0 for "must not exist".
    ///
    /// # Errors
    /// As [`Failure`] says; nothing changed unless it is [`Failure::Unknown`].
    pub async fn put_config(
        &self,
        queue: &QueueName,
        config: QueueConfig,
        if_match: Option<u64>,
    ) -> Result<ConfigWrite, Failure> {
        let store = self.store();
        let keys = QueueKeys::new(queue);
        if if_match.is_none_or(|version| version == 0)
            && !store.register(queue, self.settings().max_queues).await?
        {
            return Err(Failure::QueuesFull);
        }
        let create = if_match.is_none_or(|version| version == 0);
        let op = ConfigureOp {
            expected: if_match,
            create,
            config: &config,
        };
        let (version, created, reorder) = match configure(store, queue, &op).await? {
            Configured::Done {
                version,
                created,
                reorder,
            } => (version, created, reorder),
            Configured::Mismatch { version } => return Ok(ConfigWrite::Mismatch { version }),
            Configured::Clearing => return Err(Failure::Broken),
        };
        if created {
            store.note(queue).await?;
            store.tell_made(queue, &self.settings().replica).await;
        }
        if reorder {
            self.reorder(&keys).await?;
        }
        let kind = if created {
            EventKind::QueueCreated
        } else {
            EventKind::QueueConfigured
        };
        self.tell(kind, queue, json!({ "version": version })).await;
        match self.queue(queue).await? {
            Some(info) if created => Ok(ConfigWrite::Created(info)),
            Some(info) => Ok(ConfigWrite::Updated(info)),
            None => Err(Failure::QueueUnknown),
        }
    }

    /// Bounded by the groups there are: each call moves on.
    async fn reorder(&self, keys: &QueueKeys) -> Result<(), Failure> {
        let mut cursor = "0".to_owned();
        loop {
            match self
                .store()
                .call(
                    keys,
                    &ReorderOp {
                        cursor: &cursor,
                        groups: REORDER_GROUPS,
                    },
                )
                .await?
            {
                Ok(next) if next != "0" => cursor = next,
                _ => return Ok(()),
            }
        }
    }

    /// `None`: no such queue.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn queue(&self, queue: &QueueName) -> Result<Option<QueueInfo>, Failure> {
        let Ok(overview) = self.store().call(&QueueKeys::new(queue), &OverviewOp).await? else {
            return Ok(None);
        };
        let config = serde_json::from_str(&overview.document).map_err(|error| {
            tracing::error!(%queue, %error, "the queue's config document cannot be read");
            Failure::Broken
        })?;
        Ok(Some(QueueInfo {
            queue: queue.clone(),
            config,
            version: overview.version,
            created_at: overview.created_at,
            stats: stats_of(&overview),
        }))
    }

    /// `None`: no such queue.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn stats(&self, queue: &QueueName) -> Result<Option<QueueStats>, Failure> {
        let overview = self.store().call(&QueueKeys::new(queue), &OverviewOp).await?;
        Ok(overview.ok().map(|overview| stats_of(&overview)))
    }

    /// With what it does, as of the last second. `None`: no such queue.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn snapshot(&self, queue: &QueueName) -> Result<Option<Snapshot>, Failure> {
        let (keys, mut conn) = (QueueKeys::new(queue), self.store().conn());
        let pulse = PulseOp {
            chart: Chart::Fine,
            rows: RATES_ROWS,
            latencies: true,
        };
        match (
            conn.call(&keys, &OverviewOp).await?,
            conn.call(&keys, &pulse).await?,
        ) {
            (Ok(overview), Ok(pulse)) => Ok(Some(Snapshot {
                stats: stats_of(&overview),
                rates: pulse.rates(),
            })),
            _ => Ok(None),
        }
    }

    /// Asked of the committer, which alone knows: between its flushes, so that nobody is missed on the way.
    pub(super) async fn workers_waiting(
        &self,
        queue: &QueueName,
        name: Option<&TaskName>,
    ) -> Result<usize, Failure> {
        let (reply, answer) = oneshot::channel();
        self.inner
            .routes
            .ask(queue, Command::CountWaiting(queue.clone(), name.cloned(), reply))?;
        answer.await.map_err(|_| Failure::Draining)
    }

    /// All queues, in no order, page by page; a page may be short while a cursor is there.
    ///
    /// # Errors
    /// As [`Failure`] says; inside, a cursor that no list handed out.
    pub async fn queues(
        &self,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Result<Page<QueueInfo>, BadCursor>, Failure> {
        let Some((at, skip)) = cursor.map_or(Some((0, 0)), queues_cursor) else {
            return Ok(Err(BadCursor));
        };
        let (next, names) = self.store().conn().scan_queues(at, limit).await?;
        // A batch of the scan may be larger than the page: the rest of it comes with the next.
        let more = names.len() > skip + limit;
        let mut items = Vec::new();
        for queue in names.iter().skip(skip).take(limit) {
            items.extend(self.queue(queue).await?);
        }
        let next_cursor = match (more, next) {
            (true, _) => Some(format!("{at}.{}", skip + limit)),
            (false, 0) => None,
            (false, next) => Some(format!("{next}.0")),
        };
        Ok(Ok(Page { items, next_cursor }))
    }

    /// `None`: no such queue, or no such task in it.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn task(&self, queue: &QueueName, id: TaskId) -> Result<Option<TaskView>, Failure> {
        let shown = self.store().call(&QueueKeys::new(queue), &ShowOp(&[id])).await?;
        Ok(shown.ok().and_then(|mut tasks| tasks.pop().flatten()))
    }

    /// One state of one queue, page by page; filtered pages may be short, even empty, while a cursor is there.
    /// `None`: no such queue.
    ///
    /// # Errors
    /// As [`Failure`] says; inside, a cursor that no list handed out.
    pub async fn tasks(
        &self,
        queue: &QueueName,
        filter: TaskFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Result<Option<Page<TaskView>>, BadCursor>, Failure> {
        let keys = QueueKeys::new(queue);
        let limit = limit.clamp(1, limits::PAGE_MAX);
        let states = States::One(filter.state);
        let Some(mut cursor) = cursor.map_or(Some(Vec::new()), |text| cursor::read(text, states.word()))
        else {
            return Ok(Err(BadCursor));
        };
        let mut items = Vec::new();
        let mut bytes = 0;
        loop {
            let chunk = (limit - items.len()).min(LIST_CHUNK);
            let op = SelectOp {
                states,
                name: filter.name.as_ref().map(TaskName::as_str),
                group: filter.group.as_deref(),
                deletes: false,
                limit: chunk,
                cursor: &cursor,
            };
            let Ok(listed) = self.store().call(&keys, &op).await? else {
                return Ok(Ok(None));
            };
            if !listed.ids.is_empty() {
                let shown = self.store().call(&keys, &ShowOp(&listed.ids)).await?;
                // Some may have moved on since they were listed.
                let still = |task: &TaskView| task.state == filter.state;
                for task in shown.unwrap_or_default().into_iter().flatten().filter(still) {
                    bytes += task.payload.bytes().len();
                    items.push(task);
                }
            }
            cursor = listed.cursor;
            // A call that came back short has looked at as many entries as a page may look at.
            if cursor.is_empty()
                || items.len() >= limit
                || listed.ids.len() < chunk
                || bytes >= PAGE_BYTES_MAX
            {
                break;
            }
        }
        Ok(Ok(Some(Page {
            items,
            next_cursor: cursor::write(&cursor, states.word()),
        })))
    }
}

/// What a quarter of an hour may touch of the fine chart.
pub(super) const RATES_ROWS: u64 = 15 * MINUTE_MS / Chart::Fine.step_ms() + 1;

pub(super) fn stats_of(overview: &Overview) -> QueueStats {
    QueueStats {
        ready: overview.ready,
        scheduled: overview.scheduled,
        leased: overview.leased,
        dead: overview.dead,
        held: overview.held,
        breakers_open: overview.breakers_open,
        breakers_half_open: overview.breakers_half_open,
        paused: overview.paused.clone(),
        oldest_ready_age_ms: overview.oldest_ready_at.map(|at| overview.now.since(at)),
        unfinished_bytes: overview.unfinished_bytes,
        workers_waiting: overview.waiting,
        accepted_total: overview.accepted_total,
        completed_total: overview.completed_total,
        cancelled_total: overview.cancelled_total,
        purged_total: overview.purged_total,
        dead_evicted_total: overview.dead_evicted_total,
        dead_aged_total: overview.dead_aged_total,
        replayed_total: overview.replayed_total,
        duplicates_total: overview.duplicates_total,
        leases_expired_total: overview.leases_expired_total,
        idempotency_dropped_total: overview.idempotency_dropped_total,
    }
}

fn queues_cursor(cursor: &str) -> Option<(u64, usize)> {
    let (at, skip) = cursor.split_once('.')?;
    Some((at.parse().ok()?, skip.parse().ok()?))
}

//! Queues: configured, described, listed.

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

/// Tasks read at a time for a page, which ends early at [`PAGE_BYTES_MAX`] because a payload may have 1 MiB.
const LIST_CHUNK: usize = 32;
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Groups whose heads one call reorders.
const REORDER_GROUPS: usize = 16;

impl Engine {
    /// Replaces the config. `if_match` names the version that the queue must have; 0: it must not exist.
    ///
    /// # Errors
    /// As [`Failure`] lists. Nothing changed, except perhaps after [`Failure::Unknown`].
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

    /// Reorders the heads of all groups. Bounded by their number: each call advances.
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

    /// Returns `None` if there is no such queue.
    ///
    /// # Errors
    /// As [`Failure`] lists.
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

    /// Returns `None` if there is no such queue.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn stats(&self, queue: &QueueName) -> Result<Option<QueueStats>, Failure> {
        let overview = self.store().call(&QueueKeys::new(queue), &OverviewOp).await?;
        Ok(overview.ok().map(|overview| stats_of(&overview)))
    }

    /// Returns state, counts and rates as of the last second; `None` if there is no such queue.
    ///
    /// # Errors
    /// As [`Failure`] lists.
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

    /// Asks the committer, which alone knows its waiters. It counts between its flushes, so no call is missed
    /// on its way.
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

    /// Lists all queues in no order, page by page. A page may be short although a cursor follows.
    ///
    /// # Errors
    /// As [`Failure`] lists. The inner error: a cursor that no list wrote.
    pub async fn queues(
        &self,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Result<Page<QueueInfo>, BadCursor>, Failure> {
        let Some((at, skip)) = cursor.map_or(Some((0, 0)), queues_cursor) else {
            return Ok(Err(BadCursor));
        };
        let (next, names) = self.store().conn().scan_queues(at, limit).await?;
        // A batch of the scan may be larger than the page; its rest goes into the next page.
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

    /// Returns one task; `None` if there is no such queue, or no such task in it.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn task(&self, queue: &QueueName, id: TaskId) -> Result<Option<TaskView>, Failure> {
        let shown = self.store().call(&QueueKeys::new(queue), &ShowOp(&[id])).await?;
        Ok(shown.ok().and_then(|mut tasks| tasks.pop().flatten()))
    }

    /// Lists the tasks of one state of a queue, page by page. Filtered pages may be short or empty although a
    /// cursor follows. Returns `None` if there is no such queue.
    ///
    /// # Errors
    /// As [`Failure`] lists. The inner error: a cursor that no list wrote.
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
                // Some tasks may have changed their state since they were listed.
                let still = |task: &TaskView| task.state == filter.state;
                for task in shown.unwrap_or_default().into_iter().flatten().filter(still) {
                    bytes += task.payload.bytes().len();
                    items.push(task);
                }
            }
            cursor = listed.cursor;
            // A short reply means that the script has looked at as many entries as one page may.
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

/// Steps of the fine chart that a quarter of an hour can touch.
pub(super) const RATES_ROWS: u64 = 15 * MINUTE_MS / Chart::Fine.step_ms() + 1;

pub(super) fn stats_of(overview: &Overview) -> QueueStats {
    QueueStats {
        counts: overview.counts,
        oldest_ready_age_ms: overview.oldest_ready_at.map(|at| overview.now.since(at)),
        workers_waiting: overview.waiting,
        paused: overview.paused.clone(),
    }
}

fn queues_cursor(cursor: &str) -> Option<(u64, usize)> {
    let (at, skip) = cursor.split_once('.')?;
    Some((at.parse().ok()?, skip.parse().ok()?))
}

//! Cancels or purges many tasks for operators: a bounded number per call, with a cursor for the rest.

use super::pauses::Pauses;
use super::{BadCursor, Engine, Failure, cursor};
use crate::domain::change::Cancelled;
use crate::domain::{Group, QueueName, TaskName, TaskState, limits};
use crate::store::QueueKeys;
use crate::store::ops::Absent;
use crate::store::ops::cancel::CancelOp;
use crate::store::ops::discard::DiscardOp;
use crate::store::ops::purge::PurgeOp;
use crate::store::ops::select::{SelectOp, States};

/// Script calls that one call of bulk work may use to find tasks; each looks at up to 1,000 entries.
const LOOKS_MAX: usize = 10;
/// Tasks that one call purges, approximately.
const PURGE_MAX: usize = 10_000;

/// A filter of tasks; by default it matches all that are not finished.
#[derive(Debug, Clone, Default)]
pub struct CancelFilter {
    /// `Scheduled`, `Ready` or `Leased`.
    pub state: Option<TaskState>,
    pub name: Option<TaskName>,
    pub group: Option<Group>,
}

/// The progress of bulk work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Tasks that the filter matched.
    pub matched: u64,
    /// Tasks that were cancelled or purged.
    pub done: u64,
    /// Leased tasks that become cancelled when their current lease ends.
    pub cancel_requested: u64,
    /// Cursor of the next call; `None` at the end.
    pub next_cursor: Option<String>,
}

/// `Err` for a cursor of another kind of call; `None` for an unknown queue.
type Bulk = Result<Option<Progress>, BadCursor>;

impl Engine {
    /// Cancels at most `BULK_TASKS_MAX` tasks that match the filter; with `dry_run` it only counts them. An
    /// interrupted or repeated call never cancels a task that does not match.
    ///
    /// # Errors
    /// As [`Failure`] lists. Earlier script calls of the same call may have cancelled some tasks.
    pub async fn cancel_many(
        &self,
        queue: &QueueName,
        filter: &CancelFilter,
        dry_run: bool,
        from: Option<&str>,
    ) -> Result<Bulk, Failure> {
        let keys = QueueKeys::new(queue);
        let states = filter.state.map_or(States::Unfinished, States::One);
        let Some(mut at) = from.map_or(Some(Vec::new()), |text| cursor::read(text, states.word())) else {
            return Ok(Err(BadCursor));
        };
        let mut progress = Progress::default();
        let mut pauses = Pauses::default();
        for _ in 0..LOOKS_MAX {
            pauses.before_step().await;
            let found = usize::try_from(progress.matched).unwrap_or(usize::MAX);
            let room = limits::BULK_TASKS_MAX.saturating_sub(found);
            // A batch of a scan is never cut, so a call may find a few more tasks than it asked for.
            if room < 2 * limits::SCRIPT_ITEMS_MAX {
                break;
            }
            let select = SelectOp {
                states,
                name: filter.name.as_ref().map(TaskName::as_str),
                group: filter.group.as_ref().map(Group::as_str),
                deletes: true,
                limit: limits::SCRIPT_ITEMS_MAX,
                cursor: &at,
            };
            let Ok(listed) = self.store().call(&keys, &select).await? else {
                return Ok(Ok(None));
            };
            progress.matched += listed.ids.len() as u64;
            at = listed.cursor;
            if !dry_run && !listed.ids.is_empty() {
                let op = CancelOp {
                    only: filter.state,
                    ids: &listed.ids,
                };
                let Ok(answers) = self.store().call(&keys, &op).await? else {
                    return Ok(Ok(None));
                };
                let count =
                    |what: Cancelled| answers.iter().filter(|answer| **answer == Ok(what)).count() as u64;
                self.changed(queue);
                progress.done += count(Cancelled::Done);
                progress.cancel_requested += count(Cancelled::Requested);
            }
            if at.is_empty() {
                break;
            }
        }
        progress.next_cursor = cursor::write(&at, states.word());
        Ok(Ok(Some(progress)))
    }

    /// Deletes tasks of one state or of all states, about 10,000 per call. Leased tasks are not deleted:
    /// their cancellation is requested.
    ///
    /// # Errors
    /// As [`Failure`] lists. Earlier script calls of the same call may have purged some tasks.
    pub async fn purge(
        &self,
        queue: &QueueName,
        state: Option<TaskState>,
        from: Option<&str>,
    ) -> Result<Bulk, Failure> {
        let finished = matches!(state, Some(TaskState::Completed | TaskState::Cancelled));
        let states = state.map_or(States::Live, States::One);
        let start = |word| from.map_or(Some(Vec::new()), |text| cursor::read(text, word));
        let keys = QueueKeys::new(queue);
        let mut progress = Progress::default();
        let purged = match (start(states.word()), start(FINISHED)) {
            (Some(at), _) if !finished => self.purge_live(&keys, states, at, &mut progress).await?,
            // Unfinished tasks go first.
            (_, Some(at)) if finished || (state.is_none() && from.is_some()) => {
                self.purge_finished(&keys, state, &at, &mut progress).await?
            }
            _ => return Ok(Err(BadCursor)),
        };
        self.changed(queue);
        Ok(Ok(purged.ok().map(|()| progress)))
    }

    async fn purge_live(
        &self,
        keys: &QueueKeys,
        states: States,
        mut at: Vec<u8>,
        progress: &mut Progress,
    ) -> Result<Result<(), Absent>, Failure> {
        let mut pauses = Pauses::default();
        for _ in 0..PURGE_MAX / limits::SCRIPT_ITEMS_MAX {
            pauses.before_step().await;
            let select = SelectOp {
                states,
                name: None,
                group: None,
                deletes: true,
                limit: limits::SCRIPT_ITEMS_MAX,
                cursor: &at,
            };
            let Ok(listed) = self.store().call(keys, &select).await? else {
                return Ok(Err(Absent));
            };
            at = listed.cursor;
            progress.matched += listed.ids.len() as u64;
            if !listed.ids.is_empty() {
                let only = match states {
                    States::One(state) => Some(state),
                    _ => None,
                };
                let op = PurgeOp {
                    only,
                    ids: &listed.ids,
                };
                let Ok(purged) = self.store().call(keys, &op).await? else {
                    return Ok(Err(Absent));
                };
                progress.done += purged.purged;
                progress.cancel_requested += purged.cancel_requested;
            }
            if at.is_empty() {
                break;
            }
        }
        progress.next_cursor = match states {
            States::Live if at.is_empty() => cursor::write(b"0", FINISHED),
            states => cursor::write(&at, states.word()),
        };
        Ok(Ok(()))
    }

    async fn purge_finished(
        &self,
        keys: &QueueKeys,
        only: Option<TaskState>,
        at: &[u8],
        progress: &mut Progress,
    ) -> Result<Result<(), Absent>, Failure> {
        let mut skip = std::str::from_utf8(at).ok().and_then(|at| at.parse().ok());
        let mut next = Some(skip.take().unwrap_or(0));
        let mut pauses = Pauses::default();
        for _ in 0..PURGE_MAX / limits::SCRIPT_ITEMS_MAX {
            let Some(skip) = next else { break };
            pauses.before_step().await;
            let op = DiscardOp {
                only,
                skip,
                limit: limits::SCRIPT_ITEMS_MAX,
            };
            let Ok(discarded) = self.store().call(keys, &op).await? else {
                return Ok(Err(Absent));
            };
            progress.matched += discarded.purged;
            progress.done += discarded.purged;
            next = discarded.skip;
        }
        progress.next_cursor = next.and_then(|skip| cursor::write(skip.to_string().as_bytes(), FINISHED));
        Ok(Ok(()))
    }
}

/// The list of completed and cancelled tasks.
const FINISHED: &str = "finished";

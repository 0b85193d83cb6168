//! Unique keys: who holds which, and what an enqueue meets that asks for one that is held.

use std::collections::BTreeMap;

use leaseq::domain::task::{Enqueued, Made, NotEnqueued};
use leaseq::domain::unique::{OnDuplicate, Unique, UniqueScope};
use leaseq::domain::{Millis, NewTask, TaskId, TaskState};

use super::queue::Queue;
use super::task::State;

/// By key.
pub type Keys = BTreeMap<String, Hold>;

#[derive(Debug, Clone)]
pub struct Hold {
    holder: TaskId,
    scope: UniqueScope,
    since: Millis,
}

impl Queue {
    /// The holder of the key.
    fn holder(&self, key: &str) -> Option<TaskId> {
        let hold = self.keys.get(key)?;
        match hold.scope {
            UniqueScope::Ttl(ms) => (hold.since.plus(ms) > self.now).then_some(hold.holder),
            // One that waited past its expiry is dead, though nobody may have buried it yet.
            _ => (self.state_of(hold.holder) != Some(TaskState::Dead)).then_some(hold.holder),
        }
    }

    /// Returns the response for an enqueue whose key is held; `None` if the key is free.
    pub(super) fn meet(&mut self, new: &NewTask) -> Option<Result<Enqueued, NotEnqueued>> {
        let unique = new.unique.as_ref()?;
        let holder = self.holder(unique.key.as_str())?;
        self.totals.duplicates += 1;
        let told = self.existing(holder, Made::Duplicate, false);
        Some(match unique.on_duplicate {
            OnDuplicate::Reject => Err(NotEnqueued::Duplicate {
                holder,
                state: told.state,
            }),
            OnDuplicate::Replace if self.replace(holder, new) => Ok(Enqueued {
                made: Made::Replacement,
                ..told
            }),
            _ => Ok(told),
        })
    }

    fn state_of(&self, id: TaskId) -> Option<TaskState> {
        Some(self.tasks.get(&id)?.counts_as(self.now))
    }

    /// A task that was there already, in its present state.
    pub(super) fn existing(&self, id: TaskId, made: Made, replayed: bool) -> Enqueued {
        let state = self.state_of(id);
        Enqueued {
            id,
            state,
            run_at: self.tasks.get(&id).and_then(|task| match task.state {
                State::Scheduled { due, .. } if state == Some(TaskState::Scheduled) => Some(due),
                _ => None,
            }),
            made,
            replayed,
            result: None,
        }
    }

    /// Only what a producer says is replaced: id, place and due time stay.
    fn replace(&mut self, holder: TaskId, new: &NewTask) -> bool {
        let (now, policy) = (self.now, self.config.policy(new));
        let Some(task) = self.tasks.get_mut(&holder).filter(|task| task.grants == 0) else {
            return false;
        };
        if !matches!(task.counts_as(now), TaskState::Scheduled | TaskState::Ready) {
            return false;
        }
        task.payload = new.payload.bytes().clone();
        task.priority = new.priority.get();
        task.expires_at = new.expiry.map(|expiry| expiry.at(now));
        (task.max_attempts, task.lease_ms, task.retry) = (policy.max_attempts, policy.lease_ms, policy.retry);
        true
    }

    pub(super) fn hold(&mut self, id: TaskId, unique: &Unique) {
        let hold = Hold {
            holder: id,
            scope: unique.scope,
            since: self.now,
        };
        self.keys.insert(unique.key.as_str().to_owned(), hold);
    }

    /// Returns whether the key of a dead letter allows a replay: the key that the new task holds, if any; or
    /// the other holder.
    pub(super) fn key_of_replay(&self, old: TaskId, key: Option<&Unique>) -> Result<Option<Hold>, TaskId> {
        let Some(unique) = key else { return Ok(None) };
        match self.holder(unique.key.as_str()) {
            Some(holder) if holder == old => Ok(self.keys.get(unique.key.as_str()).cloned()),
            Some(holder) => Err(holder),
            // Its time is over.
            None if matches!(unique.scope, UniqueScope::Ttl(_)) => Ok(None),
            None => Ok(Some(Hold {
                holder: old,
                scope: unique.scope,
                since: self.now,
            })),
        }
    }

    pub(super) fn hand_over(&mut self, key: &Unique, hold: Hold, to: TaskId) {
        let hold = Hold { holder: to, ..hold };
        self.keys.insert(key.key.as_str().to_owned(), hold);
    }

    /// The task was granted.
    pub(super) fn free_at_grant(&mut self, id: TaskId) {
        self.keys
            .retain(|_, hold| hold.holder != id || hold.scope != UniqueScope::UntilLeased);
    }

    /// The task is over.
    pub(super) fn free(&mut self, id: TaskId) {
        self.keys
            .retain(|_, hold| hold.holder != id || matches!(hold.scope, UniqueScope::Ttl(_)));
    }
}

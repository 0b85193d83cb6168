//! The view of a reader on the model.

use leaseq::domain::{Millis, TaskId, TaskState};

use super::answer::{Counts, Seen, SeenTask};
use super::queue::Queue;
use super::task::{PLACES, State, Task};

impl Task {
    pub fn state_word(&self) -> TaskState {
        match self.state {
            State::Scheduled { .. } => TaskState::Scheduled,
            State::Ready { .. } => TaskState::Ready,
            State::Leased(_) => TaskState::Leased,
            State::Completed { .. } => TaskState::Completed,
            State::Cancelled { .. } => TaskState::Cancelled,
            State::Dead { .. } => TaskState::Dead,
        }
    }

    /// Grants that counted: the failed ones, and the one that runs or ended well.
    fn counted_grants(&self) -> u16 {
        let unfailed = match self.state {
            State::Leased(_) => true,
            State::Completed { after_expiry, .. } => !after_expiry,
            _ => false,
        };
        self.failed + u16::from(unfailed)
    }

    fn seen(&self) -> SeenTask {
        let (mut ready_at, mut lease_expires_at, mut finished_at) = (None, None, None);
        let (mut result, mut reason) = (None, None);
        match &self.state {
            State::Scheduled { due, .. } => ready_at = Some(*due),
            State::Ready { .. } => ready_at = Some(Millis::new(self.place / PLACES)),
            State::Leased(lease) => lease_expires_at = Some(lease.expires_at),
            State::Completed { at, result: r, .. } => (finished_at, result) = (Some(*at), r.clone()),
            State::Cancelled { at } => finished_at = Some(*at),
            State::Dead { at, reason: r } => (finished_at, reason) = (Some(*at), Some(*r)),
        }
        SeenTask {
            id: self.id,
            name: self.name.to_string(),
            group: self.group.clone(),
            state: self.state_word(),
            payload: self.payload.clone(),
            priority: self.priority,
            attempt: self.counted_grants(),
            max_attempts: self.max_attempts,
            deferrals: self.deferrals,
            grant: self.grants,
            lease_ms: self.lease_ms,
            retry: self.retry,
            enqueued_at: Millis::new(self.accepted / PLACES),
            expires_at: self.expires_at,
            ready_at,
            lease_expires_at,
            cancel_requested: self.cancel_requested,
            worker: self.worker.clone(),
            progress: self.progress.clone(),
            finished_at,
            result,
            reason,
            attempts: self.attempts.clone(),
            unique_key: self.unique.as_ref().map(|unique| unique.key.to_string()),
        }
    }
}

impl Queue {
    /// `ever`: all ids that were enqueued.
    pub fn seen(&self, ever: &[TaskId]) -> Seen {
        Seen {
            counts: self.counts(),
            tasks: ever.iter().map(|id| self.tasks.get(id).map(Task::seen)).collect(),
            lists: TaskState::ALL
                .iter()
                .map(|state| (*state, self.listed(*state)))
                .collect(),
            groups: self.groups(),
        }
    }

    fn counts(&self) -> Counts {
        let count = |state| {
            self.tasks
                .values()
                .filter(|task| task.state_word() == state && !self.lingering.contains_key(&task.id))
                .count() as u64
        };
        Counts {
            scheduled: count(TaskState::Scheduled),
            ready: count(TaskState::Ready),
            leased: count(TaskState::Leased),
            dead: count(TaskState::Dead),
            kept: self.finished.len() as u64,
            oldest_ready_at: self.oldest_ready_at(),
            accepted_total: self.totals.accepted,
            completed_total: self.totals.completed,
            cancelled_total: self.totals.cancelled,
            purged_total: self.totals.purged,
            dead_evicted_total: self.totals.dead_evicted,
            dead_aged_total: self.totals.dead_aged,
            replayed_total: self.totals.replayed,
            leases_expired_total: self.totals.leases_expired,
            duplicates_total: self.totals.duplicates,
            paused: self.in_force().cloned(),
        }
    }

    fn listed(&self, state: TaskState) -> Vec<TaskId> {
        match state {
            TaskState::Scheduled => self.due(usize::MAX, Millis::MAX),
            TaskState::Leased => self.ran_out(usize::MAX, Millis::MAX),
            TaskState::Completed | TaskState::Cancelled => {
                let of_state = |id: &&TaskId| self.tasks[*id].state_word() == state;
                self.finished.iter().rev().filter(of_state).copied().collect()
            }
            TaskState::Dead => self.dead_letters().into_iter().rev().collect(),
            _ => {
                let of_state = self.tasks.values().filter(|task| task.state_word() == state);
                of_state.map(|task| task.id).collect()
            }
        }
    }
}

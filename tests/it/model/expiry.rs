//! Expiry: a task that waits is granted to nobody from its `expires_at` on, and becomes a dead letter.

use leaseq::domain::task::DeadReason;
use leaseq::domain::{Millis, TaskId, TaskState};

use super::queue::Queue;
use super::settle::Effects;
use super::task::{State, Task};

impl Task {
    pub fn has_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// From its expiry on what waits is dead, whether or not a sweep has buried it.
    pub fn counts_as(&self, now: Millis) -> TaskState {
        if self.is_waiting() && self.has_expired(now) {
            return TaskState::Dead;
        }
        self.state_word()
    }
}

impl Queue {
    /// Waiting tasks that have expired, those that did so first before the others.
    pub fn overdue(&self, limit: usize) -> Vec<TaskId> {
        self.first(limit, |id| {
            let task = &self.tasks[id];
            let waits = matches!(task.state, State::Scheduled { .. } | State::Ready { .. });
            task.expires_at.filter(|_| waits && task.has_expired(self.now))
        })
    }

    /// Whether a lease could meet a task that has expired.
    pub fn holds_overdue(&self) -> bool {
        self.overdue(usize::MAX)
            .iter()
            .any(|id| self.tasks[id].is_in_lane())
    }

    /// A lease that meets a task past its expiry does not grant it. It leaves its lane, so that it is in
    /// nobody's way.
    pub(super) fn leaves_lane_unseen(&mut self, id: TaskId) -> bool {
        let now = self.now;
        let task = self.tasks.get_mut(&id).expect("chosen among the tasks");
        if !task.has_expired(now) {
            return false;
        }
        if let State::Ready { in_lane, .. } = &mut task.state {
            *in_lane = false;
        }
        let group = task.group.clone();
        self.depart(&group);
        true
    }

    /// A task that waits again, or would, has expired.
    pub(super) fn expire(&mut self, id: TaskId, effects: &mut Effects) -> TaskState {
        let now = self.now;
        let task = self.tasks.get_mut(&id).expect("it waits or was leased");
        if task.is_in_lane() {
            effects.departed.push(task.group.clone());
        }
        task.worker = None;
        task.state = State::Dead {
            at: now,
            reason: DeadReason::Expired,
        };
        self.free(id);
        effects.died = true;
        TaskState::Dead
    }
}

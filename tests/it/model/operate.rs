//! Operations of operators: cancel, change, purge, delete.

use leaseq::domain::change::{Cancelled, Change, Changed, NotChanged, When};
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::{Priority, TaskId, TaskState};

use super::answer::{Answer, Told};
use super::marks::Op;
use super::queue::Queue;
use super::settle::Effects;
use super::task::{PLACES, Proof, State, Task};

/// Which tasks bulk work means.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub state: Option<TaskState>,
    pub name: Option<&'static str>,
    pub group: Option<&'static str>,
}

/// A repeated enqueue may come so much later, in ms.
const REPEATED_WITHIN: u64 = 300_000;

impl Queue {
    /// Those that wait are cancelled now, the leased ones when their grant ends. `only` leaves other states
    /// alone.
    pub fn cancel(&mut self, ids: &[TaskId], only: Option<TaskState>) -> Answer {
        let mut effects = Effects::default();
        let mut left = Vec::new();
        let told = ids
            .iter()
            .map(|id| {
                let Some(task) = self.tasks.get_mut(id) else {
                    return Err(NotChanged::Unknown);
                };
                let state = task.counts_as(self.now);
                match state {
                    _ if only.is_some_and(|only| only != state) => Err(NotChanged::State(state)),
                    TaskState::Leased => {
                        task.cancel_requested = true;
                        Ok(Cancelled::Requested)
                    }
                    TaskState::Ready | TaskState::Scheduled => {
                        let group = task.group.clone();
                        self.cancel_now(*id, &mut effects);
                        self.depart(&group);
                        left.push(*id);
                        Ok(Cancelled::Done)
                    }
                    TaskState::Cancelled => Ok(Cancelled::Done),
                    TaskState::Completed | TaskState::Dead => Err(NotChanged::State(state)),
                }
            })
            .collect();
        self.keep_finished(effects.finished);
        self.leave_marks(&left);
        Answer::Cancelled(told)
    }

    /// All that match, in the order of their ids.
    pub fn cancel_many(&mut self, filter: &Filter) -> Answer {
        let ids = self.matching(filter);
        self.cancel(&ids, filter.state)
    }

    fn matching(&self, filter: &Filter) -> Vec<TaskId> {
        let matches = |task: &&Task| {
            task.is_unfinished()
                && filter.state.is_none_or(|state| task.state_word() == state)
                && filter.name.is_none_or(|name| task.name.as_str() == name)
                && filter.group.is_none_or(|group| task.group == group)
        };
        self.tasks.values().filter(matches).map(|task| task.id).collect()
    }

    /// It was accepted lately.
    pub(super) fn may_be_repeated(&self, task: &Task) -> bool {
        task.accepted + REPEATED_WITHIN * PLACES > self.now.get() * PLACES
    }

    /// So that neither a repeat of its enqueue nor an earlier lease is mistaken.
    pub(super) fn leave_marks(&mut self, left: &[TaskId]) {
        let mark = |id: &TaskId| {
            let nobody = Proof {
                task: *id,
                grant: 0,
                nonce: 0,
            };
            (Op::Left, nobody, Told::Lost)
        };
        self.marks.write(self.now, left.iter().map(mark).collect());
    }

    /// A task that waits. A ready one keeps its place whatever its priority; one that is put off or run now
    /// gets another.
    pub fn change(&mut self, id: TaskId, change: Change) -> Answer {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(&id) else {
            return Answer::Changed(Err(NotChanged::Unknown));
        };
        let (was_ready, ran_out) = match task.state {
            _ if task.counts_as(now) == TaskState::Dead => {
                return Answer::Changed(Err(NotChanged::State(TaskState::Dead)));
            }
            State::Ready { ran_out, .. } => (true, ran_out),
            State::Scheduled { ran_out, .. } => (false, ran_out),
            _ => return Answer::Changed(Err(NotChanged::State(task.state_word()))),
        };
        if let Some(priority) = change.priority {
            task.priority = priority.get();
        }
        let at = match change.when {
            When::AsItWas => None,
            When::Now => Some(now),
            When::At(at) => Some(at.max(now)),
        };
        match at {
            Some(due) if due > now => {
                task.place = task.place_at(due);
                task.state = State::Scheduled { due, ran_out };
            }
            Some(_) if !was_ready => {
                task.place = task.place_at(now);
                task.state = State::Ready {
                    ran_out,
                    in_lane: true,
                };
            }
            _ => {}
        }
        let changed = Changed {
            id,
            state: task.state_word(),
            priority: Priority::new(task.priority.into()).expect("as it was given"),
            ready_at: match task.state {
                State::Scheduled { due, .. } => due,
                _ => leaseq::domain::Millis::new(task.place / PLACES),
            },
        };
        let (is_ready, group) = (task.is_ready(), task.group.clone());
        match (was_ready, is_ready) {
            (true, false) => self.depart(&group),
            (false, true) => self.arrive(&[id]),
            _ => {}
        }
        Answer::Changed(Ok(changed))
    }

    /// Everything of one state, or of all; leased ones are cancelled instead.
    pub fn purge(&mut self, state: Option<TaskState>) -> Answer {
        // One past its expiry is found where it waits and counts as dead: only who purges all states purges
        // it.
        let of_state = |task: &&Task| {
            let is_it = |state| task.state_word() == state && task.counts_as(self.now) == state;
            state.is_none_or(is_it) && !self.lingering.contains_key(&task.id)
        };
        let ids: Vec<_> = self.tasks.values().filter(of_state).map(|task| task.id).collect();
        let (mut purged, mut cancel_requested, mut left) = (0, 0, Vec::new());
        for id in ids {
            let task = self.tasks.get_mut(&id).expect("just found");
            if task.lease().is_some() {
                task.cancel_requested = true;
                cancel_requested += 1;
                continue;
            }
            purged += 1;
            let task = self.tasks.remove(&id).expect("just found");
            self.free(id);
            if let State::Completed { .. } | State::Cancelled { .. } = task.state {
                self.finished.retain(|finished| *finished != id);
                continue;
            }
            self.totals.purged += 1;
            self.depart(&task.group);
            left.extend(self.may_be_repeated(&task).then_some(id));
        }
        self.leave_marks(&left);
        Answer::Purged {
            purged,
            cancel_requested,
        }
    }

    /// Nothing of it is left, and the one that is made anew knows nothing of it.
    pub fn delete(&mut self, config: QueueConfig) -> Answer {
        let live = self
            .tasks
            .values()
            .filter(|task| !self.lingering.contains_key(&task.id))
            .filter(|task| task.is_unfinished() || matches!(task.state, State::Dead { .. }));
        let tasks = live.count() as u64;
        *self = Self::new(self.now, config);
        Answer::Deleted {
            tasks,
            version: self.version,
        }
    }
}

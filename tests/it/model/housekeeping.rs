//! The effects of time: due tasks become ready, leases run out, finished tasks and dead letters are dropped.

use leaseq::domain::queue::{Keep, defaults};
use leaseq::domain::task::AttemptOutcome;
use leaseq::domain::{Millis, TaskId};

use super::answer::Answer;
use super::breaker::Verdict;
use super::queue::Queue;
use super::settle::Effects;
use super::task::{PLACES, State};

impl Queue {
    /// Moves at most `limit` of each kind, the longest due first.
    pub fn sweep(&mut self, limit: usize) -> Answer {
        let mut effects = Effects::default();
        let (due, overdue) = (self.due(limit, self.now), self.overdue(limit));
        for id in &overdue {
            self.expire(*id, &mut effects);
        }
        let mut came_due = 0;
        for id in due.iter().filter(|id| !overdue.contains(id)) {
            let task = self.tasks.get_mut(id).expect("it was scheduled");
            let State::Scheduled { ran_out, .. } = task.state else {
                unreachable!("it was scheduled")
            };
            if task.has_expired(self.now) {
                self.expire(*id, &mut effects);
                continue;
            }
            task.state = State::Ready {
                ran_out,
                in_lane: true,
            };
            effects.arrived.push(*id);
            came_due += 1;
        }
        let ran_out = self.ran_out(limit, self.now);
        for id in &ran_out {
            self.take_back(*id, &mut effects);
        }
        self.arrive(&effects.arrived);
        for group in &effects.departed {
            self.depart(group);
        }
        let looked_at = self.looked_at(limit);
        if effects.died {
            self.evict_dead_letters();
        }
        let trimmed = match effects.finished.is_empty() {
            true => self.trim_finished(limit),
            false => self.keep_finished(effects.finished),
        };
        for id in &looked_at {
            self.lingering.remove(id);
            self.tasks.remove(id);
        }
        self.age_dead_letters();
        self.evict_dead_letters();
        self.totals.leases_expired += ran_out.len() as u64;
        let more = trimmed >= limit || looked_at.len() >= limit;
        Answer::Swept {
            next_at: if more { Some(self.now) } else { self.next_at() },
            expired: ran_out.len() as u64,
            came_due,
        }
    }

    /// Scheduled tasks that are due by `now`, the longest due first.
    pub fn due(&self, limit: usize, now: Millis) -> Vec<TaskId> {
        let due = |id: &TaskId| match self.tasks[id].state {
            State::Scheduled { due, .. } => Some(due).filter(|due| *due <= now),
            _ => None,
        };
        self.first(limit, due)
    }

    /// Leases that end by `now`, to the millisecond.
    pub fn ran_out(&self, limit: usize, now: Millis) -> Vec<TaskId> {
        let over = |id: &TaskId| {
            let lease = self.tasks[id].lease().filter(|lease| lease.expires_at <= now)?;
            Some((lease.expires_at, lease.nonce))
        };
        self.first(limit, over)
    }

    pub(super) fn first<K: Ord>(&self, limit: usize, key: impl Fn(&TaskId) -> Option<K>) -> Vec<TaskId> {
        let mut found: Vec<_> = self.tasks.keys().filter_map(|id| Some((key(id)?, *id))).collect();
        found.sort();
        found.into_iter().map(|(_, id)| id).take(limit).collect()
    }

    /// A lease ran out: a failed attempt. The task is ready since then, without backoff.
    fn take_back(&mut self, id: TaskId, effects: &mut Effects) {
        let task = &self.tasks[&id];
        let lease = task.lease().expect("its lease ran out").clone();
        let attempt = task.failed_attempt(
            &lease,
            AttemptOutcome::LeaseExpired,
            ("lease_expired", "the lease ran out before the task was settled"),
            lease.expires_at,
        );
        self.judge_grant(id, Verdict::Failure);
        self.fail(id, attempt, Some(lease.expires_at), effects);
        let task = self.tasks.get_mut(&id).expect("as above");
        if task.is_ready() {
            task.state = State::Ready {
                ran_out: Some(lease.nonce),
                in_lane: true,
            };
        }
    }

    /// Dead letters, oldest first.
    pub fn dead_letters(&self) -> Vec<TaskId> {
        self.first(usize::MAX, |id| match self.tasks[id].state {
            State::Dead { at, .. } if !self.lingering.contains_key(id) => Some(at),
            _ => None,
        })
    }

    /// Never more than `max_size`: the oldest leave, counted (I14).
    pub(super) fn evict_dead_letters(&mut self) {
        let max_size = self.config.dead_max_size.unwrap_or(defaults::DEAD_MAX_SIZE) as usize;
        let dead = self.dead_letters();
        let over = dead.len().saturating_sub(max_size);
        for id in &dead[..over] {
            self.forget(*id);
            self.totals.dead_evicted += 1;
        }
    }

    /// After `max_age` they leave, counted.
    fn age_dead_letters(&mut self) {
        let max_age_ms = self.config.dead_max_age_ms.unwrap_or(defaults::DEAD_MAX_AGE_MS);
        for id in self.dead_letters() {
            if matches!(self.tasks[&id].state, State::Dead { at, .. } if at.plus(max_age_ms) <= self.now) {
                self.forget(id);
                self.totals.dead_aged += 1;
            }
        }
    }

    /// Nothing keeps it any more, but somebody who waits for its end may not have looked yet.
    fn forget(&mut self, id: TaskId) {
        match self.followed.get(&id).copied().filter(|until| *until > self.now) {
            Some(until) => drop(self.lingering.insert(id, until)),
            None => drop(self.tasks.remove(&id)),
        }
    }

    /// Ended tasks that linger though nobody waits for them any more.
    fn looked_at(&self, limit: usize) -> Vec<TaskId> {
        self.first(limit, |id| {
            self.lingering.get(id).copied().filter(|until| *until <= self.now)
        })
    }

    /// Tasks just finished: gone at once, or kept as far as the retention covers. Says how many left that
    /// were kept before.
    pub(super) fn keep_finished(&mut self, finished: Vec<TaskId>) -> usize {
        if finished.is_empty() {
            return 0;
        }
        let kept_before = self.finished.len();
        let keep = self.config.keep.unwrap_or(defaults::KEEP);
        // The work of one call is bounded: it drops two for each that comes, and a few.
        let limit = 2 * finished.len() + 8;
        for id in finished {
            let task = self.tasks.get_mut(&id).expect("just finished");
            if keep == Keep::None {
                self.forget(id);
                continue;
            }
            if keep == Keep::Results {
                task.payload = "null".into();
            }
            self.finished.push(id);
        }
        match keep {
            Keep::None => 0,
            _ => self.trim_finished(limit).min(kept_before),
        }
    }

    /// The oldest leave while there are too many or they are too old, at most `limit` of them (I25). Says how
    /// many.
    fn trim_finished(&mut self, limit: usize) -> usize {
        let max = self.config.completed_max.unwrap_or(defaults::COMPLETED_MAX) as usize;
        let keep_ms = self.config.completed_ms.unwrap_or(defaults::COMPLETED_MS);
        for trimmed in 0..limit {
            let Some(oldest) = self.finished.first().copied() else {
                return trimmed;
            };
            let (State::Completed { at, .. } | State::Cancelled { at }) = self.tasks[&oldest].state else {
                unreachable!("finished tasks are completed or cancelled")
            };
            if self.finished.len() <= max && at.plus(keep_ms) > self.now {
                return trimmed;
            }
            self.finished.remove(0);
            self.forget(oldest);
        }
        limit
    }

    /// When the task that waits longest became ready.
    pub fn oldest_ready_at(&self) -> Option<Millis> {
        let ready = self.tasks.values().filter(|task| task.is_in_lane());
        ready.map(|task| Millis::new(task.place / PLACES)).min()
    }
}

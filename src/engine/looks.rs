//! When a committer looks at a queue without being told to: deadlines, due times, and the net under lost hints.

use std::time::Duration;

use tokio::time::Instant;

use super::committer::{Committer, Waiter};
use crate::domain::{Millis, QueueName};

/// Waiters of a queue look at least this often, should every hint be lost.
pub(super) const FALLBACK: Duration = Duration::from_secs(1);
/// Lines kept for queues that are idle.
const IDLE_LINES_MAX: usize = 16_384;

impl Committer {
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let look = self.looks.first().map(|(at, _)| *at);
        [look, self.waiters.next_deadline()].into_iter().flatten().min()
    }

    /// Deadlines of waiters, and queues to look at.
    pub(super) fn timers(&mut self, now: Instant) {
        for (queue, waiter) in self.waiters.expire(now) {
            if let Waiter::Lease { job, .. } = waiter {
                self.answer_empty(&queue, job);
            }
        }
        while let Some((at, queue)) = self.looks.first().cloned()
            && at <= now
        {
            self.looks.pop_first();
            let due = self.line(&queue).look.take().is_some_and(|(_, due)| due);
            if due {
                self.line(&queue).sweep = true;
                self.soil(&queue);
            }
            self.waiters.prune(&queue, Waiter::is_there);
            if self.waiters.waits(&queue) {
                self.wake(&queue, 1);
                self.look_at(&queue, now + FALLBACK, false);
            }
        }
        if self.lines.len() > IDLE_LINES_MAX {
            let waiters = &self.waiters;
            self.lines
                .retain(|queue, line| !line.is_idle() || line.dirty || waiters.waits(queue));
        }
    }

    /// Looks at the queue at `at`, or earlier if that was planned already.
    pub(super) fn look_at(&mut self, queue: &QueueName, at: Instant, due: bool) {
        let line = self.line(queue);
        let planned = line.look;
        let next = match planned {
            Some((earlier, its_due)) if earlier <= at => (earlier, its_due || (due && earlier == at)),
            _ => (at, due),
        };
        if planned == Some(next) {
            return;
        }
        line.look = Some(next);
        if let Some((before, _)) = planned {
            self.looks.remove(&(before, queue.clone()));
        }
        self.looks.insert((next.0, queue.clone()));
    }

    /// Something of the queue is due at `at` of Redis's clock, which reads `now`.
    pub(super) fn due_at(&mut self, queue: &QueueName, at: Option<Millis>, now: Millis) {
        let Some(at) = at else { return };
        if at <= now {
            self.line(queue).sweep = true;
            self.soil(queue);
            return;
        }
        self.look_at(queue, Instant::now() + Duration::from_millis(at.since(now)), true);
        let line = self.line(queue);
        if line.hinted.is_none_or(|hinted| at < hinted || hinted <= now) {
            line.hinted = Some(at);
            // Lost hints are made up for by the slow sweep.
            let _ = self.hints.try_send((queue.clone(), at));
        }
    }
}

pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

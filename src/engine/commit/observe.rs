//! Observations of a queue, from replies that carry the times of Redis. No call is made for them.

use std::collections::HashSet;

use tokio::time::Instant;

use super::command::{TaskOutcome, new_tasks};
use super::shard::{Kind, Shard};
use crate::domain::{Lease, Millis, NewTask, QueueName};
use crate::engine::beat::Beat;
use crate::metrics::seconds;
use crate::store::ops::lease::Grant;
use crate::store::ops::{Answer, Settles};

impl Shard {
    /// Returns the observations of the queue since its last beat.
    pub(super) fn beat(&mut self, queue: &QueueName) -> &mut Beat {
        if self.pending(queue).beat.is_none() {
            self.gathering.seen.push(queue.clone());
        }
        self.pending(queue).beat.get_or_insert_default()
    }

    /// As [`Self::beat`], for a queue whose tasks moved.
    pub(super) fn moved(&mut self, queue: &QueueName) -> &mut Beat {
        let beat = self.beat(queue);
        beat.moved = true;
        beat
    }

    pub(super) fn observe_accepted(
        &mut self,
        queue: &QueueName,
        tasks: &[NewTask],
        outcomes: &[TaskOutcome],
    ) {
        self.moved(queue);
        let names = new_tasks(tasks, outcomes).map(|task| self.metrics().name(queue, &task.name));
        // Counters per name exist only if an operator asked for them.
        names.map_while(|name| name).for_each(|name| name.enqueued.inc());
    }

    pub(super) fn observe_grants(&mut self, queue: &QueueName, now: Millis, grants: &[Grant]) {
        if grants.is_empty() {
            return;
        }
        let counters = self.metrics().queue(queue);
        let wait = &mut self.moved(queue).latencies.wait;
        for ready_at in grants.iter().filter_map(Grant::ready_at) {
            wait.add(now.since(ready_at));
            counters.waited(seconds(ready_at, now));
        }
    }

    /// Measures how long the ended attempts ran, and how long completed tasks took since their acceptance.
    pub(super) fn observe_settles<K: Kind>(
        &mut self,
        queue: &QueueName,
        items: &[(Lease, K)],
        settles: &Settles<K::Done>,
    ) {
        if !K::ENDS {
            return;
        }
        let now = settles.now;
        let counters = self.metrics().queue(queue);
        let latencies = &mut self.moved(queue).latencies;
        for ((lease, _), answer) in items.iter().zip(&settles.answers) {
            let Answer::Done(done) = answer else { continue };
            let Some(completed) = K::ended(done) else {
                continue;
            };
            latencies.run.add(now.since(lease.granted_at));
            counters.ran(seconds(lease.granted_at, now));
            if completed {
                let accepted_at = Millis::new(lease.granted_at.get().saturating_sub(lease.age_ms));
                latencies.end_to_end.add(now.since(accepted_at));
                counters.took(seconds(accepted_at, now));
            }
        }
    }

    /// Takes the observations of all queues, each with the number of calls that wait for it now.
    pub(super) fn beats(&mut self, now: Instant) -> Vec<(QueueName, Beat)> {
        let mut beats = Vec::new();
        for queue in std::mem::take(&mut self.gathering.seen) {
            if let Some(beat) = self.pending(&queue).beat.take() {
                beats.push((queue, *beat));
            }
        }
        let seen: HashSet<&QueueName> = beats.iter().map(|(queue, _)| queue).collect();
        let others = self.awaited_queues().chain(self.gathering.sent.keys());
        let others: HashSet<QueueName> = others.filter(|queue| !seen.contains(queue)).cloned().collect();
        for queue in others {
            let waiting = self.waiting_now(&queue);
            if self.gathering.is_news(&queue, waiting, now) {
                beats.push((queue, Beat::default()));
            }
        }
        for (queue, beat) in &mut beats {
            beat.waiting = self.waiting_now(queue);
            self.gathering.remember(queue, beat.waiting, now);
        }
        beats
    }

    fn waiting_now(&self, queue: &QueueName) -> u32 {
        u32::try_from(self.waiting_calls(queue, None)).unwrap_or(u32::MAX)
    }
}

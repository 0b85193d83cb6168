//! What answers of Redis say about latencies. Times are Redis's, which the answers carry; nothing is asked for it.

use super::Beat;
use crate::domain::task::{Enqueued, NotEnqueued};
use crate::domain::{Lease, Millis, NewTask, QueueName};
use crate::engine::committer::Committer;
use crate::engine::line::Item;
use crate::metrics::seconds;
use crate::store::ops::lease::Grant;
use crate::store::ops::{Answer, Settles};

impl Committer {
    /// Where what is seen of the queue until the next beat is noted.
    pub(in crate::engine) fn beat(&mut self, queue: &QueueName) -> &mut Beat {
        if self.line(queue).beat.is_none() {
            self.gathering.seen.push(queue.clone());
        }
        self.line(queue).beat.get_or_insert_default()
    }

    /// The same, of a queue whose tasks moved.
    pub(in crate::engine) fn moved(&mut self, queue: &QueueName) -> &mut Beat {
        let beat = self.beat(queue);
        beat.moved = true;
        beat
    }

    pub(in crate::engine) fn saw_accepted(
        &mut self,
        queue: &QueueName,
        tasks: &[&NewTask],
        outcomes: &[Result<Enqueued, NotEnqueued>],
    ) {
        self.moved(queue);
        let is_new = |outcome: &Result<Enqueued, NotEnqueued>| outcome.as_ref().is_ok_and(Enqueued::is_new);
        let new = tasks.iter().zip(outcomes).filter(|(_, outcome)| is_new(outcome));
        let names = new.map(|(task, _)| self.settings.metrics.name(queue, &task.name));
        // None is counted unless somebody asks for it.
        names.map_while(|name| name).for_each(|name| name.enqueued.inc());
    }

    pub(in crate::engine) fn saw_grants(&mut self, queue: &QueueName, now: Millis, grants: &[Grant]) {
        if grants.is_empty() {
            return;
        }
        let counters = self.settings.metrics.queue(queue);
        let wait = &mut self.moved(queue).latencies.wait;
        for ready_at in grants.iter().filter_map(Grant::ready_at) {
            wait.add(now.since(ready_at));
            counters.waited(seconds(ready_at, now));
        }
    }

    /// Of acks and nacks: how long the attempt ran, and of those that `completed` the task since its acceptance. `None`: a repeat,
    /// which was seen before.
    pub(in crate::engine) fn saw_settles<T, A>(
        &mut self,
        queue: &QueueName,
        items: &[Item<(Lease, T)>],
        settles: &Settles<A>,
        completed: impl Fn(&A) -> Option<bool>,
    ) {
        let now = settles.now;
        let counters = self.settings.metrics.queue(queue);
        let latencies = &mut self.moved(queue).latencies;
        for (item, answer) in items.iter().zip(&settles.answers) {
            let Answer::Done(done) = answer else { continue };
            let lease = &item.op.0;
            let Some(completed) = completed(done) else {
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
}

//! Enqueues: calls that accept tasks.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Call, Next, after, outcome};
use crate::domain::QueueName;
use crate::engine::commit::command::{EnqueueJob, TaskOutcome, new_tasks};
use crate::engine::commit::shard::{Errand, Shard};
use crate::engine::failure::Failure;
use crate::store::StoreError;
use crate::store::ops::enqueue::{Accepted, EnqueueOp};
use crate::store::reply::Reply;

pub(in crate::engine::commit) struct EnqueueFlight {
    pub(super) op: EnqueueOp,
    /// In the order of the tasks.
    callers: Vec<Caller>,
}

struct Caller {
    tasks: usize,
    bytes: usize,
    reply: oneshot::Sender<Result<Vec<TaskOutcome>, Failure>>,
}

impl EnqueueFlight {
    fn new(jobs: Vec<EnqueueJob>, mut op: EnqueueOp) -> Self {
        let mut callers = Vec::with_capacity(jobs.len());
        for mut job in jobs {
            callers.push(Caller {
                tasks: job.tasks.len(),
                bytes: job.bytes,
                reply: job.reply,
            });
            if op.tasks.is_empty() {
                op.tasks = job.tasks;
            } else {
                op.tasks.append(&mut job.tasks);
            }
        }
        Self { op, callers }
    }

    #[cfg(test)]
    pub(in crate::engine::commit) fn tasks(&self) -> &[crate::domain::NewTask] {
        &self.op.tasks
    }

    #[cfg(test)]
    pub(in crate::engine::commit) fn is_retry(&self) -> bool {
        self.op.again
    }

    /// Takes the call apart again, to send it once more. `unknown`: this try may have been applied.
    fn into_jobs(self, unknown: bool) -> Vec<EnqueueJob> {
        let Self { op, callers } = self;
        let mut tasks = op.tasks.into_iter();
        let job = |caller: Caller| EnqueueJob {
            tasks: tasks.by_ref().take(caller.tasks).collect(),
            bytes: caller.bytes,
            again: op.again || unknown,
            all_or_none: op.all_or_none,
            reply: caller.reply,
        };
        callers.into_iter().map(job).collect()
    }

    fn accept(self, outcomes: Vec<TaskOutcome>) {
        let mut outcomes = outcomes.into_iter();
        for caller in self.callers {
            let own = outcomes.by_ref().take(caller.tasks).collect();
            let _ = caller.reply.send(Ok(own));
        }
    }

    fn fail(self, failure: &Failure) {
        for caller in self.callers {
            let _ = caller.reply.send(Err(failure.clone()));
        }
    }
}

impl Shard {
    pub(in crate::engine::commit) fn enqueue_call(
        &mut self,
        queue: &QueueName,
        now: Instant,
    ) -> Option<Call> {
        let (items_max, replica) = (self.items_max(), self.replica());
        let pending = self.pending(queue);
        let jobs = pending.take_enqueues(items_max);
        let first = jobs.first()?;
        let (names_epoch, asked_names) = pending.names.unknown(jobs.iter().flat_map(|job| &job.tasks), now);
        let op = EnqueueOp {
            version: pending.version,
            config: pending.config.clone(),
            replica,
            again: first.again,
            all_or_none: first.all_or_none,
            names_epoch,
            asked_names,
            tasks: Vec::new(),
        };
        Some(Call::Enqueue(EnqueueFlight::new(jobs, op)))
    }

    pub(in crate::engine::commit) fn enqueue_landed(
        &mut self,
        queue: &QueueName,
        flight: EnqueueFlight,
        reply: Result<Reply, StoreError>,
        at: Instant,
    ) {
        match outcome(&flight.op, reply) {
            Ok(Accepted::Tasks {
                now,
                ready,
                names_epoch,
                outcomes,
            }) => {
                let EnqueueOp { tasks, again, .. } = &flight.op;
                self.observe_accepted(queue, tasks, &outcomes);
                self.add_ready(queue, ready);
                // The outcome of a repeat may be of long ago, when other names were known.
                if !again {
                    let names = &mut self.pending(queue).names;
                    for task in new_tasks(tasks, &outcomes) {
                        names.learn(names_epoch, &task.name);
                    }
                }
                let due = outcomes.iter().flatten().filter_map(|enqueued| enqueued.run_at);
                let expire = tasks.iter().filter_map(|task| Some(task.expiry?.at(now)));
                self.due_at(queue, due.chain(expire).min(), now, at);
                flight.accept(outcomes);
            }
            Ok(Accepted::Config { version, document }) => match serde_json::from_str(&document) {
                Ok(config) => {
                    let pending = self.pending(queue);
                    (pending.version, pending.config) = (version, Arc::new(config));
                    self.enqueue_again(queue, flight.into_jobs(false));
                }
                Err(error) => {
                    tracing::error!(%queue, %error, "the queue's config document cannot be read");
                    flight.fail(&Failure::Broken);
                }
            },
            Ok(Accepted::Absent) if self.creates_queues() => {
                self.pending(queue).creating = true;
                self.errand(Errand::Create(queue.clone()));
                self.enqueue_again(queue, flight.into_jobs(false));
            }
            Ok(Accepted::Absent) => flight.fail(&Failure::QueueUnknown),
            Err(error) => match after(&error, flight.op.again) {
                Next::Retry => self.enqueue_again(queue, flight.into_jobs(true)),
                Next::Fail(failure) => flight.fail(&failure),
            },
        }
    }

    /// Puts jobs back to the front of the queue's enqueues.
    fn enqueue_again(&mut self, queue: &QueueName, jobs: Vec<EnqueueJob>) {
        let pending = self.pending(queue);
        for job in jobs.into_iter().rev() {
            pending.enqueues.push_front(job);
        }
        self.flush_soon(queue);
    }
}

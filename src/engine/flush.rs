//! One flush: which script calls a queue sends, and what their answers mean for those who wait for them.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::command::{EnqueueJob, LeaseJob};
use super::committer::Committer;
use super::failure::Failure;
use super::line::{Ending, Item};
use super::outcomes::{Next, acked, after, extended, lease_outcome, nacked, outcome, told};
use super::sent::Sent;
use crate::domain::settle::{NotSettled, Release, Settle, Settled};
use crate::domain::task::Enqueued;
use crate::domain::{Lease, Millis, NewTask, QueueName, TaskId, TaskState, limits};
use crate::store::ops::ack::{AckOp, Acked};
use crate::store::ops::enqueue::{Accepted, EnqueueOp};
use crate::store::ops::extend::ExtendOp;
use crate::store::ops::lease::{Grant, Granted, LeaseOp, Wish};
use crate::store::ops::nack::{NackOp, Nacked};
use crate::store::ops::recall::RecallOp;
use crate::store::ops::release::{How, ReleaseOp, Released};
use crate::store::ops::sweep::SweepOp;
use crate::store::ops::{Absent, Answer, Settles};
use crate::store::reply::Reply;
use crate::store::{Batch, StoreError};

/// Due tasks and expired leases moved by one sweep.
const SWEEP_ITEMS_MAX: usize = 100;

/// How often leases that get all they asked for look for what is due: half of what I19 allows.
const LOOK_EVERY: Duration = Duration::from_millis(500);

fn chances(count: usize) -> Vec<u32> {
    let mut rng = rand::rng();
    (0..count).map(|_| rng.random_range(0..1_000_000)).collect()
}

/// Splits items into what the script needs and where the answers go.
fn ops<T: Clone>(items: &[Item<T>]) -> Vec<T> {
    items.iter().map(|item| item.op.clone()).collect()
}

impl Committer {
    /// Settles first, so that what they free is there; then what is due; then enqueues; then leases, which see all of it.
    pub(super) fn calls_of(&mut self, queue: &QueueName, batch: &mut Batch) -> Vec<Sent> {
        let items_max = self.settings.script_items;
        let replica = self.settings.replica.clone();
        let line = self.line(queue);
        let keys = line.keys.clone();
        let mut sent = Vec::new();

        let endings = line.take_endings(items_max);
        if !endings.acks.is_empty() {
            batch.push(&keys, &AckOp(&ops(&endings.acks)));
            sent.push(Sent::Ack(endings.acks));
        }
        if !endings.nacks.is_empty() {
            let (items, chances) = (ops(&endings.nacks), chances(endings.nacks.len()));
            batch.push(
                &keys,
                &NackOp {
                    replica: &replica,
                    items: &items,
                    chances: &chances,
                },
            );
            sent.push(Sent::Nack(endings.nacks));
        }
        if !endings.extends.is_empty() {
            batch.push(&keys, &ExtendOp(&ops(&endings.extends)));
            sent.push(Sent::Extend(endings.extends));
        }
        if !endings.releases.is_empty() {
            let (items, chances) = (ops(&endings.releases), chances(endings.releases.len()));
            batch.push(
                &keys,
                &ReleaseOp {
                    replica: &replica,
                    items: &items,
                    chances: &chances,
                },
            );
            sent.push(Sent::Release(endings.releases));
        }
        if std::mem::take(&mut line.sweep) {
            batch.push(
                &keys,
                &SweepOp {
                    replica: &replica,
                    limit: SWEEP_ITEMS_MAX,
                },
            );
            sent.push(Sent::Sweep);
        }
        let enqueues = line.take_enqueues(items_max);
        if let Some(first) = enqueues.first() {
            let (version, config) = line.config.clone();
            let tasks: Vec<&NewTask> = enqueues.iter().flat_map(|job| &job.tasks).collect();
            let (again, all_or_none) = (first.again, first.all_or_none);
            let (names_epoch, asked_names) = line.names.unknown(&tasks, Instant::now());
            batch.push(
                &keys,
                &EnqueueOp {
                    version,
                    config: &config,
                    replica: &replica,
                    again,
                    all_or_none,
                    names_epoch,
                    asked_names: &asked_names,
                    tasks: &tasks,
                },
            );
            let count = tasks.len();
            sent.push(Sent::Enqueue(enqueues));
            // Those who wait look in the same flush: one round trip from enqueue to delivery.
            if version > 0 {
                self.wake(queue, count);
            }
        }
        self.lease_calls(queue, batch, &mut sent);
        sent
    }

    fn lease_calls(&mut self, queue: &QueueName, batch: &mut Batch, sent: &mut Vec<Sent>) {
        let items_max = self.settings.script_items;
        let replica = self.settings.replica.clone();
        let line = self.line(queue);
        let keys = line.keys.clone();
        let Some((names, jobs)) = line.take_leases(items_max) else {
            return;
        };
        let (recalls, jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.recall);
        for job in recalls {
            batch.push(
                &keys,
                &RecallOp(job.wish.request_key.as_deref().unwrap_or_default()),
            );
            sent.push(Sent::Recall(job));
        }
        if jobs.is_empty() {
            return;
        }
        let line = self.line(queue);
        let look = line.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if look {
            line.looked = Some(Instant::now());
        }
        let wishes: Vec<Wish> = jobs.iter().map(|job| job.wish.clone()).collect();
        let seed = rand::rng().random_range(0..2048);
        let op = LeaseOp {
            replica: &replica,
            // A call on many queues asks without waiting, and watches meanwhile.
            tell_me: jobs.iter().any(|job| job.deadline.is_some()) || self.waiters.waits(queue),
            look,
            // What all of them together may get fits into the answer of any.
            bytes_max: jobs
                .iter()
                .map(|job| job.bytes_max)
                .min()
                .unwrap_or(limits::LEASE_BYTES_MAX),
            seed,
            names: &names,
            wishes: &wishes,
            not_after: self.redis_clock.after(self.store.response_timeout()),
        };
        batch.push(&keys, &op);
        sent.push(Sent::Lease(jobs, seed));
    }

    /// `asked_at`: when the call was sent.
    pub(super) fn answered(
        &mut self,
        queue: &QueueName,
        sent: Sent,
        answer: Result<Reply, StoreError>,
        asked_at: Instant,
    ) {
        match sent {
            Sent::Enqueue(jobs) => self.enqueue_answered(queue, jobs, answer),
            Sent::Ack(items) => {
                let outcome = outcome(&AckOp(&[]), answer);
                if let Ok(Ok(settles)) = &outcome {
                    let completed = |done: &Acked| (*done != Acked::Already).then_some(true);
                    self.saw_settles(queue, &items, settles, completed);
                }
                self.settles_answered(queue, items, outcome, Settle::Ack, acked);
            }
            Sent::Nack(items) => {
                let outcome = outcome(
                    &NackOp {
                        replica: "",
                        items: &[],
                        chances: &[],
                    },
                    answer,
                );
                if let Ok(Ok(settles)) = &outcome {
                    self.came_back(queue, settles, |done| (done.state, done.next_at, done.expires_at));
                    let completed = |done: &Nacked| (!done.already).then_some(false);
                    self.saw_settles(queue, &items, settles, completed);
                }
                self.settles_answered(queue, items, outcome, Settle::Nack, nacked);
            }
            Sent::Extend(items) => {
                let outcome = outcome(&ExtendOp(&[]), answer);
                self.settles_answered(queue, items, outcome, Settle::Extend, extended);
            }
            Sent::Release(items) => {
                let outcome = outcome(
                    &ReleaseOp {
                        replica: "",
                        items: &[],
                        chances: &[],
                    },
                    answer,
                );
                self.releases_answered(queue, items, outcome);
            }
            Sent::Sweep => self.sweep_answered(queue, answer),
            Sent::Lease(jobs, seed) => self.lease_answered(queue, jobs, seed, answer, asked_at),
            Sent::Recall(job) => {
                let answer = match outcome(&RecallOp(""), answer) {
                    Ok(Granted::Tasks { now, grants, .. }) => {
                        let mut grants = self.grants(queue, now, asked_at, grants);
                        grants.recalled = true;
                        Ok(grants)
                    }
                    Ok(Granted::Absent | Granted::Late) => Ok(self.no_grants(queue)),
                    Err(error) => Err(error.into()),
                };
                let _ = job.reply.send(answer);
            }
        }
    }

    /// The call was done, but too few replicas have it: its callers cannot be told that it was. What nobody was to be
    /// told of goes on as it is.
    pub(super) fn unconfirmed(
        &self,
        queue: &QueueName,
        sent: &Sent,
        reply: Reply,
        error: &StoreError,
    ) -> Result<Reply, StoreError> {
        let Sent::Lease(jobs, seed) = sent else {
            return match sent {
                Sent::Sweep => Ok(reply),
                _ => Err(error.clone()),
            };
        };
        match lease_outcome(jobs, *seed, Ok(reply.clone())) {
            Ok(Granted::Tasks { now, mut grants, .. }) if !grants.is_empty() => {
                // Dropped, they are given back: their callers will not know that they have them.
                for (index, job) in jobs.iter().enumerate() {
                    let mine = grants.extract_if(.., |grant| grant.wish == index).collect();
                    drop(self.grants_to(job, queue, now, Instant::now(), mine));
                }
                Err(error.clone())
            }
            _ => Ok(reply),
        }
    }

    fn enqueue_answered(
        &mut self,
        queue: &QueueName,
        jobs: Vec<EnqueueJob>,
        answer: Result<Reply, StoreError>,
    ) {
        let tasks: Vec<&NewTask> = jobs.iter().flat_map(|job| &job.tasks).collect();
        let config = Arc::default();
        let op = EnqueueOp {
            version: 0,
            config: &config,
            replica: "",
            again: false,
            all_or_none: false,
            names_epoch: 0,
            asked_names: &[],
            tasks: &tasks,
        };
        match outcome(&op, answer) {
            Ok(Accepted::Tasks {
                now,
                ready,
                names_epoch,
                outcomes,
            }) => {
                self.saw_accepted(queue, &tasks, &outcomes);
                let line = self.line(queue);
                line.fresh += usize::try_from(ready).unwrap_or(usize::MAX);
                // What a repeat is told of may have been accepted long ago.
                if jobs.iter().all(|job| !job.again) {
                    let outcomes = tasks.iter().zip(&outcomes);
                    let accepted = outcomes.filter(|(_, told)| told.as_ref().is_ok_and(Enqueued::is_new));
                    accepted.for_each(|(task, _)| line.names.learn(names_epoch, &task.name));
                }
                let due = outcomes.iter().flatten().filter_map(|enqueued| enqueued.run_at);
                let expire = tasks.iter().filter_map(|task| Some(task.expiry?.at(now)));
                self.due_at(queue, due.chain(expire).min(), now);
                let mut outcomes = outcomes.into_iter();
                for job in jobs {
                    let mine = outcomes.by_ref().take(job.tasks.len());
                    let _ = job.reply.send(Ok(mine.collect()));
                }
            }
            Ok(Accepted::Config { version, document }) => match serde_json::from_str(&document) {
                Ok(config) => {
                    self.line(queue).config = (version, Arc::new(config));
                    self.enqueue_again(queue, jobs, false);
                }
                Err(error) => {
                    tracing::error!(%queue, %error, "the queue's config document cannot be read");
                    Self::refuse_enqueues(jobs, &Failure::Broken);
                }
            },
            Ok(Accepted::Absent) if self.settings.auto_create => {
                self.enqueue_again(queue, jobs, false);
                self.make_queue(queue);
            }
            Ok(Accepted::Absent) => Self::refuse_enqueues(jobs, &Failure::QueueUnknown),
            Err(error) => match after(&error, jobs.first().is_some_and(|job| job.again)) {
                Next::Again => self.enqueue_again(queue, jobs, true),
                Next::Fail(failure) => Self::refuse_enqueues(jobs, &failure),
            },
        }
    }

    fn enqueue_again(&mut self, queue: &QueueName, jobs: Vec<EnqueueJob>, unknown: bool) {
        let line = self.line(queue);
        for mut job in jobs.into_iter().rev() {
            job.again |= unknown;
            line.enqueues.push_front(job);
        }
        self.soil(queue);
    }

    fn settles_answered<T, A>(
        &mut self,
        queue: &QueueName,
        items: Vec<Item<(Lease, T)>>,
        outcome: Result<Result<Settles<A>, Absent>, StoreError>,
        back: impl Fn(Lease, T) -> Settle,
        read: impl Fn(TaskId, A) -> Settled,
    ) {
        match outcome {
            Ok(Ok(settles)) => {
                self.line(queue).fresh += usize::try_from(settles.freed).unwrap_or(usize::MAX);
                for (item, answer) in items.into_iter().zip(settles.answers) {
                    let id = item.op.0.task;
                    self.settle_answered(item.home, Ok(told(answer, |answer| read(id, answer))));
                }
            }
            Ok(Err(Absent)) => {
                for item in items {
                    self.settle_answered(item.home, Ok(Err(NotSettled::Unknown)));
                }
            }
            Err(error) => {
                for item in items {
                    self.settle_failed(
                        queue,
                        item.map(|(lease, op)| Ending::Worker(back(lease, op))),
                        &error,
                    );
                }
            }
        }
    }

    fn releases_answered(
        &mut self,
        queue: &QueueName,
        items: Vec<Item<(Lease, How)>>,
        outcome: Result<Result<Settles<Released>, Absent>, StoreError>,
    ) {
        if let Ok(Ok(settles)) = &outcome {
            self.came_back(queue, settles, |done| (done.state, done.run_at, done.expires_at));
            self.moved(queue);
        }
        let back = |lease, how| match how {
            How::Release(retry_after, hold) => Settle::Release(
                lease,
                Release {
                    retry_after,
                    hold,
                    reason: None,
                },
            ),
            How::GiveBack(_) => Settle::Release(lease, Release::default()),
        };
        self.settles_answered(queue, items, outcome, back, |id, done| Settled::Released {
            id,
            state: done.state,
            run_at: done.run_at,
            already: done.already,
        });
    }

    /// Tasks that settles made ready, or will.
    fn came_back<A>(
        &mut self,
        queue: &QueueName,
        settles: &Settles<A>,
        how: impl Fn(&A) -> (TaskState, Option<Millis>, Option<Millis>),
    ) {
        let done = settles.answers.iter().filter_map(|answer| match answer {
            Answer::Done(done) => Some(how(done)),
            Answer::Lost | Answer::Unknown => None,
        });
        let (mut ready, mut due) = (0, None);
        for (state, run_at, expires_at) in done {
            ready += usize::from(state == TaskState::Ready);
            let run_at = run_at.filter(|_| state == TaskState::Scheduled);
            due = due.into_iter().chain(run_at).chain(expires_at).min();
        }
        self.line(queue).fresh += ready;
        self.due_at(queue, due, settles.now);
    }

    /// Settles are idempotent by their lease, so an unknown outcome is asked once more.
    fn settle_failed(&mut self, queue: &QueueName, mut item: Item<Ending>, error: &StoreError) {
        match after(error, item.again) {
            Next::Again => {
                item.again = true;
                self.line(queue).endings.push_back(item);
                self.soil(queue);
            }
            Next::Fail(failure) => self.settle_answered(item.home, Err(failure)),
        }
    }

    fn sweep_answered(&mut self, queue: &QueueName, answer: Result<Reply, StoreError>) {
        match outcome(
            &SweepOp {
                replica: "",
                limit: 0,
            },
            answer,
        ) {
            Ok(Ok(swept)) => {
                if swept.moved {
                    self.moved(queue);
                }
                self.line(queue).fresh +=
                    usize::try_from(swept.expired + swept.came_due + swept.freed).unwrap_or(usize::MAX);
                self.due_at(queue, swept.next_at, swept.now);
                if swept.more_lapsed {
                    self.due_at(queue, Some(swept.now), swept.now);
                }
            }
            Ok(Err(Absent)) => {}
            Err(error) => {
                tracing::warn!(%queue, %error, "a sweep failed; it is tried again");
                self.look_at(
                    queue,
                    tokio::time::Instant::now() + std::time::Duration::from_secs(1),
                    true,
                );
            }
        }
    }

    fn lease_answered(
        &mut self,
        queue: &QueueName,
        jobs: Vec<LeaseJob>,
        seed: u16,
        answer: Result<Reply, StoreError>,
        asked_at: Instant,
    ) {
        let (now, next_at, first_due, recalled, shut, again, grants) =
            match lease_outcome(&jobs, seed, answer) {
                Ok(Granted::Tasks {
                    now,
                    next_at,
                    first_due,
                    recalled,
                    shut,
                    again,
                    grants,
                }) => (now, next_at, first_due, recalled, shut, again, grants),
                Ok(Granted::Absent) => return self.park(queue, jobs),
                // Yet here somebody is: the clocks do not go together as was thought. They ask again, without a limit.
                Ok(Granted::Late) => {
                    self.redis_clock.forget();
                    let line = self.line(queue);
                    for job in jobs.into_iter().rev() {
                        line.leases.push_front(job);
                    }
                    return self.soil(queue);
                }
                // Nothing was granted, so those who can wait do. A named call may have grants from before: to end its wait with
                // none would say that it has not.
                Err(StoreError::NotApplied(why)) => {
                    let (waiting, asking): (Vec<_>, Vec<_>) = jobs
                        .into_iter()
                        .partition(|job| job.deadline.is_some() && job.wish.request_key.is_none());
                    for job in asking {
                        let _ = job.reply.send(Err(Failure::NotApplied(why)));
                    }
                    return self.park(queue, waiting);
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    for job in jobs {
                        let _ = job.reply.send(Err(failure.clone()));
                    }
                    return;
                }
            };
        self.redis_clock.told(now, Instant::now());
        self.saw_grants(queue, now, &grants);
        let line = self.line(queue);
        line.fresh = line.fresh.saturating_sub(grants.len());
        let due_now = next_at.is_some_and(|at| at <= now);
        let next_end = grants.iter().map(Grant::expires_at).min();
        let mut grants = grants.into_iter().peekable();
        let (mut satisfied, mut parked, mut retried) = (0, Vec::new(), Vec::new());
        for (index, mut job) in jobs.into_iter().enumerate() {
            let mut mine = Vec::new();
            while let Some(grant) = grants.next_if(|grant| grant.wish == index) {
                mine.push(grant);
            }
            if recalled.contains(&index) {
                job.recall = true;
                retried.push(job);
            } else if !mine.is_empty() {
                satisfied += usize::from(mine.len() == job.wish.tasks);
                // A caller who left drops the answer, and with it the guard gives the tasks back.
                let mine = self.grants_to(&job, queue, now, asked_at, mine);
                let _ = job.reply.send(Ok(mine));
            } else if again || due_now {
                retried.push(job);
            } else {
                parked.push(job);
            }
        }
        let all_satisfied = parked.is_empty() && retried.is_empty();
        self.due_at(queue, next_at.into_iter().chain(next_end).min(), now);
        let line = self.line(queue);
        let moment = |at: Millis| Instant::now() + Duration::from_millis(at.since(now));
        let shut = shut.map(|shut| (shut.reason, shut.look_at.map(moment)));
        // All jobs of a call have the same filter.
        if let Some(job) = parked.first() {
            line.first_due = first_due.map(moment);
            line.shut.told(&job.names, shut);
        }
        // Also for those who were not woken: who got a part of what it wanted took what there was.
        if let Some((_, Some(look_at))) = shut
            && (!parked.is_empty() || self.waiters.waits(queue))
        {
            self.look_at(queue, look_at, false);
        }
        let line = self.line(queue);
        for job in retried.into_iter().rev() {
            line.leases.push_front(job);
        }
        self.soil(queue);
        self.park(queue, parked);
        // Who got all it asked for may have left some: the next ones look, twice as many each time.
        if all_satisfied && satisfied > 0 && self.waiters.waits(queue) {
            self.wake(queue, satisfied * 2);
        }
    }
}

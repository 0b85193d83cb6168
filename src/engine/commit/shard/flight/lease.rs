//! Leases: calls that grant tasks, and recalls, which read the grants of a repeated request.

use std::iter::{self, Peekable};
use std::time::Duration;
use std::vec;

use rand::Rng;
use tokio::time::Instant;

use super::{Call, outcome};
use crate::domain::gate::Shut;
use crate::domain::{Millis, QueueName, limits};
use crate::engine::commit::command::{LeaseCaller, LeaseJob, Leased};
use crate::engine::commit::shard::Shard;
use crate::engine::commit::undelivered::{RawGrants, Undelivered};
use crate::engine::failure::Failure;
use crate::store::StoreError;
use crate::store::ops::lease::{Grant, Grants, LeaseOp, LeaseReply};
use crate::store::ops::recall::RecallOp;
use crate::store::reply::Reply;

/// How often calls that get all they ask for still ask for the next due time: half of the second that I19
/// allows.
const ASK_FOR_DUE_EVERY: Duration = Duration::from_millis(500);

pub(in crate::engine::commit) struct LeaseFlight {
    pub(super) op: LeaseOp,
    /// In the order of the wishes.
    callers: Vec<LeaseCaller>,
}

pub(in crate::engine::commit) struct RecallFlight {
    pub(super) op: RecallOp,
    caller: LeaseCaller,
}

impl LeaseFlight {
    #[cfg(test)]
    pub(in crate::engine::commit) fn not_after(&self) -> Option<Millis> {
        self.op.not_after
    }

    fn into_jobs(self) -> Vec<LeaseJob> {
        let wishes = self.op.wishes.into_iter();
        let jobs = wishes.zip(self.callers);
        jobs.map(|(wish, caller)| LeaseJob { wish, caller }).collect()
    }
}

impl Shard {
    /// Takes the leases of the next flush: those with one `names` filter, and recalls apart.
    pub(in crate::engine::commit) fn lease_calls(&mut self, queue: &QueueName, now: Instant) -> Vec<Call> {
        let items_max = self.items_max();
        let jobs = self.pending(queue).take_leases(items_max);
        let (recalls, jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.caller.recall);
        let mut calls: Vec<Call> = recalls.into_iter().map(recall).collect();
        if jobs.is_empty() {
            return calls;
        }
        let waits = self.waits(queue);
        let pending = self.pending(queue);
        let look = pending
            .asked_for_due
            .is_none_or(|at| now.saturating_duration_since(at) >= ASK_FOR_DUE_EVERY);
        if look {
            pending.asked_for_due = Some(now);
        }
        let (wishes, callers): (Vec<_>, Vec<LeaseCaller>) =
            jobs.into_iter().map(|job| (job.wish, job.caller)).unzip();
        let op = LeaseOp {
            replica: self.replica(),
            // A call on several queues does not wait in any of them, but watches them meanwhile.
            tell_me: waits || callers.iter().any(|caller| caller.deadline.is_some()),
            look,
            // The payloads of all wishes together must fit into the response of each caller.
            bytes_max: callers
                .iter()
                .map(|caller| caller.bytes_max)
                .min()
                .unwrap_or(limits::LEASE_BYTES_MAX),
            seed: rand::rng().random_range(0..2048),
            names: callers[0].names.clone(),
            wishes,
            not_after: self.redis_time_after(self.response_timeout(), now),
        };
        calls.push(Call::Lease(LeaseFlight { op, callers }));
        calls
    }

    /// Reads a reply that too few replicas confirmed. Grants are given back, because their callers get an
    /// error; a reply without grants stays as it is.
    pub(in crate::engine::commit) fn unconfirmed_lease(
        &self,
        queue: &QueueName,
        flight: &LeaseFlight,
        reply: Reply,
        error: &StoreError,
        at: Instant,
    ) -> Result<Reply, StoreError> {
        match outcome(&flight.op, Ok(reply.clone())) {
            Ok(LeaseReply::Tasks(Grants { now, grants, .. })) if !grants.is_empty() => {
                let mut grants = grants.into_iter().peekable();
                for (index, wish) in flight.op.wishes.iter().enumerate() {
                    let own = take_own(&mut grants, index);
                    drop(self.guard(queue, wish.request_key.clone(), &own, (at, now)));
                }
                Err(error.clone())
            }
            _ => Ok(reply),
        }
    }

    /// `asked_at`: when the call was sent. `at`: when its reply came.
    pub(in crate::engine::commit) fn lease_landed(
        &mut self,
        queue: &QueueName,
        flight: LeaseFlight,
        reply: Result<Reply, StoreError>,
        (asked_at, at): (Instant, Instant),
    ) {
        match outcome(&flight.op, reply) {
            Ok(LeaseReply::Tasks(grants)) => {
                self.heard_redis_time(grants.now, at);
                self.grants_landed(queue, flight.into_jobs(), grants, (asked_at, at));
            }
            Ok(LeaseReply::Absent) => self.park(queue, flight.into_jobs(), at),
            // A caller still waits, so this process knows the clock of Redis badly. Call again without a time
            // limit.
            Ok(LeaseReply::Late) => {
                self.forget_redis_time();
                self.lease_again(queue, flight.into_jobs());
            }
            // Nothing was granted, so calls that can wait go on waiting. A call with a `request_id` may have
            // grants of an earlier try: an empty response would deny them.
            Err(StoreError::NotApplied(why)) => {
                let (waiting, failed): (Vec<_>, Vec<_>) = flight
                    .into_jobs()
                    .into_iter()
                    .partition(|job| job.caller.deadline.is_some() && job.wish.request_key.is_none());
                for job in failed {
                    let _ = job.caller.reply.send(Err(Failure::NotApplied(why)));
                }
                self.park(queue, waiting, at);
            }
            Err(error) => {
                let failure = Failure::from(error);
                for caller in flight.callers {
                    let _ = caller.reply.send(Err(failure.clone()));
                }
            }
        }
    }

    /// Hands grants to their callers, and decides about the callers that got none: call again, or wait.
    fn grants_landed(
        &mut self,
        queue: &QueueName,
        jobs: Vec<LeaseJob>,
        reply: Grants,
        (asked_at, at): (Instant, Instant),
    ) {
        let Grants { now, grants, .. } = reply;
        self.observe_grants(queue, now, &grants);
        let pending = self.pending(queue);
        pending.new_ready = pending.new_ready.saturating_sub(grants.len());
        let due_now = reply.next_at.is_some_and(|next_at| next_at <= now);
        let first_end = grants.iter().map(Grant::expires_at).min();

        let mut grants = grants.into_iter().peekable();
        let (mut satisfied, mut parked, mut retried) = (0, Vec::new(), Vec::new());
        for (index, mut job) in jobs.into_iter().enumerate() {
            let own = take_own(&mut grants, index);
            if reply.recalled.contains(&index) {
                job.caller.recall = true;
                retried.push(job);
            } else if !own.is_empty() {
                satisfied += usize::from(own.len() == job.wish.tasks);
                let guard = self.guard(queue, job.wish.request_key, &own, (asked_at, now));
                // If the caller left, the message is dropped, and the guard in it gives the tasks back.
                let _ = job.caller.reply.send(Ok(Leased::Tasks(RawGrants {
                    now,
                    grants: own,
                    guard,
                })));
            } else if reply.again || due_now {
                retried.push(job);
            } else {
                parked.push(job);
            }
        }
        let all_satisfied = parked.is_empty() && retried.is_empty();
        self.due_at(queue, reply.next_at.into_iter().chain(first_end).min(), now, at);
        self.remember_why_short(queue, &parked, (reply.first_due, reply.shut), now, at);
        self.lease_again(queue, retried);
        self.park(queue, parked, at);
        // Callers that got all they asked for may have left tasks behind: twice as many waiters look next.
        if all_satisfied && satisfied > 0 && self.waits(queue) {
            self.wake(queue, satisfied * 2);
        }
    }

    /// Remembers why a call fell short, for empty responses, and plans a look at the time when a gate may
    /// open.
    fn remember_why_short(
        &mut self,
        queue: &QueueName,
        parked: &[LeaseJob],
        (first_due, shut): (Option<Millis>, Option<Shut>),
        now: Millis,
        at: Instant,
    ) {
        let moment = |time: Millis| at + Duration::from_millis(time.since(now));
        let shut = shut.map(|shut| (shut.reason, shut.look_at.map(moment)));
        // All jobs of a call have the same filter.
        if let Some(job) = parked.first() {
            let pending = self.pending(queue);
            pending.first_due = first_due.map(moment);
            pending.shut.remember(&job.caller.names, shut);
        }
        // Plan the look even if no caller came back empty: a partial reply means that the queue ran dry.
        if let Some((_, Some(look_at))) = shut
            && (!parked.is_empty() || self.waits(queue))
        {
            self.look_at(queue, look_at, false);
        }
    }

    /// Puts jobs back to the front of the queue's leases.
    fn lease_again(&mut self, queue: &QueueName, jobs: Vec<LeaseJob>) {
        let pending = self.pending(queue);
        for job in jobs.into_iter().rev() {
            pending.leases.push_front(job);
        }
        self.flush_soon(queue);
    }

    pub(in crate::engine::commit) fn recall_landed(
        &mut self,
        queue: &QueueName,
        flight: RecallFlight,
        reply: Result<Reply, StoreError>,
        asked_at: Instant,
    ) {
        let outcome = match outcome(&flight.op, reply) {
            Ok(LeaseReply::Tasks(Grants { now, grants, .. })) if !grants.is_empty() => {
                let guard = self.guard(queue, None, &grants, (asked_at, now)).recalled();
                Ok(Leased::Tasks(RawGrants { now, grants, guard }))
            }
            Ok(_) => Ok(Leased::EMPTY),
            Err(error) => Err(error.into()),
        };
        let _ = flight.caller.reply.send(outcome);
    }

    fn guard(
        &self,
        queue: &QueueName,
        call: Option<String>,
        grants: &[Grant],
        (asked_at, now): (Instant, Millis),
    ) -> Undelivered {
        Undelivered::new(self.home(), queue.clone(), call, grants, (asked_at, now))
    }
}

/// Takes the grants of one wish. Scripts reply with grants in the order of the wishes.
fn take_own(grants: &mut Peekable<vec::IntoIter<Grant>>, wish: usize) -> Vec<Grant> {
    iter::from_fn(|| grants.next_if(|grant| grant.wish == wish)).collect()
}

fn recall(job: LeaseJob) -> Call {
    Call::Recall(RecallFlight {
        op: RecallOp(job.wish.request_key.unwrap_or_default()),
        caller: job.caller,
    })
}

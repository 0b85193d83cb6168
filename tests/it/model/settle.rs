//! Ack, nack, extend, release and give-back: only the current grant may, and each ends one way.

use bytes::Bytes;
use leaseq::domain::gate::Scope;
use leaseq::domain::queue::defaults;
use leaseq::domain::retry::{Jitter, Strategy};
use leaseq::domain::settle::{Hold, RetryAfter};
use leaseq::domain::task::{AttemptOutcome, DeadReason};
use leaseq::domain::{Millis, RetryPolicy, TaskId, TaskState};

use super::answer::{Answer, Told};
use super::breaker::Verdict;
use super::marks::Op;
use super::queue::Queue;
use super::task::{Attempt, Fault, Lease, Proof, State, Task};

/// The next state of a task whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// As the task's policy says.
    Backoff,
    Delay(u64),
    /// Straight to the dead letters.
    Reject,
}

/// The effects of a call beside its items. They are written once, after the items.
#[derive(Default)]
pub(super) struct Effects {
    marks: Vec<(Op, Proof, Told)>,
    pub(super) arrived: Vec<TaskId>,
    /// Groups that may have nothing ready any more.
    pub(super) departed: Vec<String>,
    pub(super) finished: Vec<TaskId>,
    pub(super) died: bool,
}

impl Queue {
    pub fn ack(&mut self, proofs: &[Proof], result: Option<&Bytes>) -> Answer {
        self.settle(proofs, |queue, proof, effects| {
            queue.ack_one(proof, result, effects)
        })
    }

    /// `chance` stands for the random part of the backoff, in millionths.
    pub fn nack(&mut self, proofs: &[Proof], fault: Fault, after: After, chance: u32) -> Answer {
        self.settle(proofs, |queue, proof, effects| {
            queue.nack_one(proof, fault, after, chance, effects)
        })
    }

    pub fn extend(&mut self, proofs: &[Proof], lease_ms: Option<u64>, progress: Option<&Bytes>) -> Answer {
        self.settle(proofs, |queue, proof, _| {
            queue.extend_one(proof, lease_ms, progress)
        })
    }

    pub fn release(&mut self, proofs: &[Proof], retry_after: RetryAfter, hold: Hold, chance: u32) -> Answer {
        self.settle(proofs, |queue, proof, effects| {
            if queue.in_time(proof).is_some() {
                queue.hold_siblings(proof.task, retry_after, hold);
            }
            queue.release_one(proof, retry_after, chance, effects)
        })
    }

    /// An upstream said when to try again, not only of this task.
    fn hold_siblings(&mut self, id: TaskId, retry_after: RetryAfter, hold: Hold) {
        let task = &self.tasks[&id];
        let until = match retry_after {
            RetryAfter::None => return,
            RetryAfter::Ms(ms) => self.now.plus(ms),
            RetryAfter::At(at) => at,
        };
        match hold {
            Hold::None => {}
            Hold::Name => self.hold_until(Scope::Name(task.name.to_string()), until),
            Hold::Group => self.hold_until(Scope::Group(task.group.clone()), until),
            Hold::Queue => self.hold_until(Scope::Queue, until),
        }
    }

    /// The service takes grants back whose callers never got them.
    pub fn give_back(&mut self, proofs: &[Proof]) -> Answer {
        self.settle(proofs, |queue, proof, effects| {
            queue.give_back_one(proof, effects)
        })
    }

    fn settle(
        &mut self,
        proofs: &[Proof],
        mut one: impl FnMut(&mut Self, Proof, &mut Effects) -> Told,
    ) -> Answer {
        let mut effects = Effects::default();
        let told = proofs
            .iter()
            .map(|proof| one(self, *proof, &mut effects))
            .collect();
        self.arrive(&effects.arrived);
        if effects.died {
            self.evict_dead_letters();
        }
        self.keep_finished(effects.finished);
        self.marks.write(self.now, effects.marks);
        Answer::Settled(told)
    }

    /// The grant that a task is leased by ends. One that was to be cancelled is not to blame.
    pub(super) fn judge_grant(&mut self, id: TaskId, verdict: Verdict) {
        let task = &self.tasks[&id];
        let Some(granted_at) = task.lease().map(|lease| lease.granted_at) else {
            return;
        };
        let excused = task.cancel_requested && verdict == Verdict::Failure;
        let name = task.name.clone();
        self.judge_breaker(
            name.as_str(),
            granted_at,
            if excused { Verdict::None } else { verdict },
        );
    }

    /// Returns the response for a lease that does not hold its task: repeats get their first response, leases
    /// that were never settled are lost, and all others are unknown: strangers, and what was settled so long
    /// ago that nobody remembers.
    fn judge(&self, op: Op, proof: Proof) -> Told {
        let task = self.tasks.get(&proof.task).filter(|task| !task.is_completed());
        let lost = task.is_some_and(|task| task.was_never_settled_by(proof));
        let unmarked = if lost { Told::Lost } else { Told::Unknown };
        self.marks.judge(op, proof).unwrap_or(unmarked)
    }

    /// The lease that this proof is of, if it has not run out.
    fn in_time(&self, proof: Proof) -> Option<Lease> {
        let lease = self.tasks.get(&proof.task)?.held_by(proof)?;
        (lease.expires_at > self.now).then(|| lease.clone())
    }

    /// For a lease that is not in time: run out is lost, for everything but an ack.
    fn too_late(&self, op: Op, proof: Proof) -> Told {
        let held = self
            .tasks
            .get(&proof.task)
            .is_some_and(|task| task.held_by(proof).is_some());
        if held { Told::Lost } else { self.judge(op, proof) }
    }

    /// A lease that ran out may still be acked while nobody was granted the task since, unless that was its
    /// last attempt or it has expired. Whether a sweep came by in between makes no difference (I8).
    fn may_ack_late(&self, proof: Proof) -> bool {
        let task = self
            .tasks
            .get(&proof.task)
            .filter(|task| !task.has_expired(self.now));
        task.is_some_and(|task| match task.state {
            State::Ready { ran_out, .. } | State::Scheduled { ran_out, .. } => {
                ran_out == Some(proof.nonce) && task.grants == proof.grant
            }
            _ => {
                let last = task.failed + 1 >= task.max_attempts;
                task.held_by(proof).is_some() && !last && !task.cancel_requested
            }
        })
    }

    fn ack_one(&mut self, proof: Proof, result: Option<&Bytes>, effects: &mut Effects) -> Told {
        let late = self.in_time(proof).is_none();
        if late && !self.may_ack_late(proof) {
            return self.too_late(Op::Ack, proof);
        }
        self.judge_grant(proof.task, if late { Verdict::None } else { Verdict::Success });
        let now = self.now;
        let task = self.tasks.get_mut(&proof.task).expect("held or ready");
        task.state = State::Completed {
            at: now,
            result: result.cloned(),
            after_expiry: task.is_waiting(),
        };
        let group = task.group.clone();
        self.depart(&group);
        self.totals.completed += 1;
        self.free(proof.task);
        effects.finished.push(proof.task);
        let told = Told::Acked { late, already: false };
        effects.marks.push((Op::Ack, proof, told.clone()));
        told
    }

    fn nack_one(
        &mut self,
        proof: Proof,
        fault: Fault,
        after: After,
        chance: u32,
        effects: &mut Effects,
    ) -> Told {
        let Some(lease) = self.in_time(proof) else {
            return self.too_late(Op::Nack, proof);
        };
        let task = &self.tasks[&proof.task];
        let attempt = task.failed_attempt(
            &lease,
            AttemptOutcome::Nacked,
            (fault.kind, fault.message),
            self.now,
        );
        let number = attempt.number;
        let again_at = match after {
            After::Reject => None,
            After::Delay(ms) => Some(self.now.plus(ms)),
            After::Backoff => Some(self.now.plus(backoff(task.retry, number, chance))),
        };
        self.judge_grant(proof.task, Verdict::Failure);
        let state = self.fail(proof.task, attempt, again_at, effects);
        let task = &self.tasks[&proof.task];
        let told = Told::Nacked {
            state,
            attempt: number,
            attempts_left: if state == TaskState::Dead {
                0
            } else {
                task.max_attempts - task.failed
            },
            next_at: again_at.filter(|_| !matches!(state, TaskState::Dead | TaskState::Cancelled)),
            already: false,
        };
        effects.marks.push((Op::Nack, proof, told.clone()));
        told
    }

    /// A grant that counted and failed: on to the next attempt at `again_at`, or to the dead letters when
    /// that was the last, there is to be none, or the task has expired.
    pub(super) fn fail(
        &mut self,
        id: TaskId,
        attempt: Attempt,
        again_at: Option<Millis>,
        effects: &mut Effects,
    ) -> TaskState {
        let now = self.now;
        let task = self.tasks.get_mut(&id).expect("it was leased");
        task.failed += 1;
        task.attempts.push(attempt);
        task.worker = None;
        if task.cancel_requested {
            return self.cancel_now(id, effects);
        }
        let reason = match again_at {
            None => DeadReason::Rejected,
            Some(_) if task.failed >= task.max_attempts => DeadReason::AttemptsExhausted,
            Some(_) if task.has_expired(now) => return self.expire(id, effects),
            Some(at) => return self.ready_at(id, at, effects),
        };
        task.state = State::Dead { at: now, reason };
        self.free(id);
        effects.died = true;
        TaskState::Dead
    }

    /// Ready at a time that may have come already.
    pub(super) fn ready_at(&mut self, id: TaskId, at: Millis, effects: &mut Effects) -> TaskState {
        let now = self.now;
        let task = self.tasks.get_mut(&id).expect("it was leased");
        task.place = task.place_at(at);
        if at > now {
            task.state = State::Scheduled {
                due: at,
                ran_out: None,
            };
            return TaskState::Scheduled;
        }
        task.state = State::READY;
        effects.arrived.push(id);
        TaskState::Ready
    }

    fn extend_one(&mut self, proof: Proof, lease_ms: Option<u64>, progress: Option<&Bytes>) -> Told {
        let Some(lease) = self.in_time(proof) else {
            return self.too_late(Op::Extend, proof);
        };
        let bound = lease
            .granted_at
            .plus(self.config.max_lease_ms.unwrap_or(defaults::MAX_LEASE_MS));
        let wanted = self.now.plus(lease_ms.unwrap_or(lease.lease_ms));
        let until = if lease_ms.is_some() && wanted < lease.expires_at {
            wanted // Asked for a shorter one explicitly.
        } else {
            wanted.min(bound).max(lease.expires_at)
        };
        let task = self.tasks.get_mut(&proof.task).expect("it is leased");
        let cancel_requested = task.cancel_requested;
        task.state = State::Leased(Lease {
            expires_at: until,
            ..lease
        });
        if let Some(progress) = progress {
            task.progress = Some(progress.clone());
        }
        Told::Extended {
            until,
            cancel_requested,
        }
    }

    fn release_one(
        &mut self,
        proof: Proof,
        retry_after: RetryAfter,
        chance: u32,
        effects: &mut Effects,
    ) -> Told {
        let Some(lease) = self.in_time(proof) else {
            return self.too_late(Op::Release, proof);
        };
        self.judge_grant(proof.task, Verdict::None);
        let (state, run_at) = match retry_after {
            RetryAfter::None => (self.return_to_old_place(proof.task, effects), None),
            RetryAfter::Ms(ms) => self.defer(proof.task, &lease, self.now.plus(ms), chance, effects),
            RetryAfter::At(at) => self.defer(proof.task, &lease, at, chance, effects),
        };
        let told = Told::Released {
            state,
            run_at,
            already: false,
        };
        effects.marks.push((Op::Release, proof, told.clone()));
        told
    }

    /// Not counted as an attempt, but as a deferral; one too many is a failed attempt after all.
    fn defer(
        &mut self,
        id: TaskId,
        lease: &Lease,
        at: Millis,
        chance: u32,
        effects: &mut Effects,
    ) -> (TaskState, Option<Millis>) {
        let now = self.now;
        let max_deferrals = self.config.max_deferrals.unwrap_or(defaults::MAX_DEFERRALS);
        let task = self.tasks.get_mut(&id).expect("it is leased");
        task.deferrals += 1;
        if task.deferrals > max_deferrals {
            let attempt = task.failed_attempt(
                lease,
                AttemptOutcome::DeferralsExhausted,
                (
                    "deferrals_exhausted",
                    "released more often than max_deferrals allows",
                ),
                now,
            );
            let at = at.max(now.plus(backoff(task.retry, attempt.number, chance)));
            let state = self.fail(id, attempt, Some(at), effects);
            return (
                state,
                Some(at).filter(|_| !matches!(state, TaskState::Dead | TaskState::Cancelled)),
            );
        }
        task.worker = None;
        if task.cancel_requested {
            return (self.cancel_now(id, effects), None);
        }
        if task.has_expired(now) {
            return (self.expire(id, effects), None);
        }
        let state = self.ready_at(id, at.max(now), effects);
        (state, Some(at).filter(|_| state == TaskState::Scheduled))
    }

    /// Even a grant that has run out: its caller never had it, so it cannot count.
    fn give_back_one(&mut self, proof: Proof, effects: &mut Effects) -> Told {
        let held = |task: &Task| task.held_by(proof).is_some();
        if !self.tasks.get(&proof.task).is_some_and(held) {
            return self.judge(Op::Release, proof);
        }
        let task = self.tasks[&proof.task].clone();
        self.refund(&task);
        self.judge_grant(proof.task, Verdict::None);
        let state = self.return_to_old_place(proof.task, effects);
        Told::Released {
            state,
            run_at: None,
            already: false,
        }
    }

    fn return_to_old_place(&mut self, id: TaskId, effects: &mut Effects) -> TaskState {
        let now = self.now;
        let task = self.tasks.get_mut(&id).expect("it is leased");
        task.worker = None;
        if task.cancel_requested {
            return self.cancel_now(id, effects);
        }
        if task.has_expired(now) {
            return self.expire(id, effects);
        }
        task.state = State::READY;
        effects.arrived.push(id);
        TaskState::Ready
    }

    /// It ends with its grant, or while it waits.
    pub(super) fn cancel_now(&mut self, id: TaskId, effects: &mut Effects) -> TaskState {
        let task = self.tasks.get_mut(&id).expect("it is there");
        task.state = State::Cancelled { at: self.now };
        self.totals.cancelled += 1;
        self.free(id);
        effects.finished.push(id);
        TaskState::Cancelled
    }
}

/// The delay after failed attempt `number`, in ms.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)] // Below 2^53.
fn backoff(policy: RetryPolicy, number: u16, chance: u32) -> u64 {
    let (base, number) = (policy.base_ms as f64, f64::from(number));
    let grown = match policy.strategy {
        Strategy::Exponential => base * (f64::from(policy.factor.0) / 1000.0).powf(number - 1.0),
        Strategy::Linear => base * number,
        Strategy::Fixed => base,
        Strategy::Immediate => 0.0,
    };
    let (delay, chance) = (grown.min(policy.max_ms as f64), f64::from(chance) / 1e6);
    let drawn = match policy.jitter {
        Jitter::Full => delay * chance,
        Jitter::Equal => delay / 2.0 + delay / 2.0 * chance,
        Jitter::None => delay,
    };
    drawn.floor() as u64
}

//! Settles and give-backs: calls that end or prolong leases. One call per script, each with settles of many
//! callers.

use std::sync::Arc;

use rand::Rng;
use tokio::time::Instant;

use super::{Call, Next, after, outcome};
use crate::domain::settle::{Ack, Extend, Nack, NotSettled, Settled};
use crate::domain::{Lease, Millis, QueueName, TaskId, TaskState};
use crate::engine::commit::pending::{Origin, PendingOp, PendingSettle};
use crate::engine::commit::shard::Shard;
use crate::store::StoreError;
use crate::store::ops::ack::{AckOp, Acked};
use crate::store::ops::extend::{ExtendOp, Extended};
use crate::store::ops::nack::{NackOp, Nacked};
use crate::store::ops::release::{ReleaseOp, Released, Returned};
use crate::store::ops::{Absent, Answer, Op, Settles};
use crate::store::reply::Reply;

/// One kind of settle: its script, and the meaning of its outcomes.
pub(in crate::engine::commit) trait Kind: Sized {
    type Op: Op<Outcome = Result<Settles<Self::Done>, Absent>>;
    /// The effect of one item, as the script reports it.
    type Done;
    /// Whether watchers of the queue hear of it.
    const MOVES: bool;
    /// Whether it ends attempts, whose length is measured.
    const ENDS: bool;

    fn send(items: Vec<(Lease, Self)>, replica: &Arc<str>) -> Self::Op;
    /// Takes the items back, to read their outcomes or to send them again.
    fn items(op: Self::Op) -> Vec<(Lease, Self)>;
    fn pending(self) -> PendingOp;
    /// The outcome of a completed item, for its caller.
    fn settled(id: TaskId, done: &Self::Done) -> Settled;
    /// The end of an attempt, if the item ended one: whether it completed the task.
    fn ended(done: &Self::Done) -> Option<bool>;
    /// The task that waits again, if the item brought one back.
    fn back(done: &Self::Done) -> Option<Back>;
}

/// A task that waits again after a settle.
pub(in crate::engine::commit) struct Back {
    state: TaskState,
    run_at: Option<Millis>,
    expires_at: Option<Millis>,
}

pub(in crate::engine::commit) struct SettleFlight<K: Kind> {
    pub(super) op: K::Op,
    /// In the order of the items.
    origins: Vec<Origin>,
}

impl<K: Kind> SettleFlight<K> {
    pub(super) fn len(&self) -> usize {
        self.origins.len()
    }
}

/// The settles of one call before it is sent.
struct Items<K>(Vec<Origin>, Vec<(Lease, K)>);

impl<K: Kind> Items<K> {
    fn new() -> Self {
        Self(Vec::new(), Vec::new())
    }

    fn push(&mut self, origin: Origin, lease: Lease, item: K) {
        self.0.push(origin);
        self.1.push((lease, item));
    }

    fn call(self, replica: &Arc<str>, call: impl Fn(SettleFlight<K>) -> Call) -> Option<Call> {
        (!self.0.is_empty()).then(|| {
            call(SettleFlight {
                op: K::send(self.1, replica),
                origins: self.0,
            })
        })
    }
}

impl Shard {
    /// Takes the settles of the next flush; one call per kind.
    pub(in crate::engine::commit) fn settle_calls(&mut self, queue: &QueueName) -> Vec<Call> {
        let (items_max, replica) = (self.items_max(), self.replica());
        let taken = self.pending(queue).take_settles(items_max);
        if taken.is_empty() {
            return Vec::new();
        }
        let (mut acks, mut nacks) = (Items::new(), Items::new());
        let (mut extends, mut returns) = (Items::new(), Items::new());
        for PendingSettle { origin, lease, op } in taken {
            match op {
                PendingOp::Ack(ack) => acks.push(origin, lease, ack),
                PendingOp::Nack(nack) => nacks.push(origin, lease, nack),
                PendingOp::Extend(extend) => extends.push(origin, lease, extend),
                PendingOp::Return(returned) => returns.push(origin, lease, returned),
            }
        }
        [
            acks.call(&replica, Call::Ack),
            nacks.call(&replica, Call::Nack),
            extends.call(&replica, Call::Extend),
            returns.call(&replica, Call::Return),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(in crate::engine::commit) fn settles_landed<K: Kind>(
        &mut self,
        queue: &QueueName,
        flight: SettleFlight<K>,
        reply: Result<Reply, StoreError>,
        at: Instant,
    ) {
        let outcome = outcome(&flight.op, reply);
        let origins = flight.origins;
        let items = K::items(flight.op);
        match outcome {
            Ok(Ok(settles)) => {
                if K::MOVES {
                    self.moved(queue);
                }
                self.observe_settles::<K>(queue, &items, &settles);
                self.tasks_came_back::<K>(queue, &settles, at);
                self.add_ready(queue, settles.freed);
                for ((origin, (lease, _)), answer) in origins.into_iter().zip(items).zip(settles.answers) {
                    let outcome = match answer {
                        Answer::Done(done) => Ok(K::settled(lease.task, &done)),
                        Answer::Lost => Err(NotSettled::Lost),
                        Answer::Unknown => Err(NotSettled::Unknown),
                    };
                    self.settled(origin, Ok(outcome));
                }
            }
            Ok(Err(Absent)) => {
                for origin in origins {
                    self.settled(origin, Ok(Err(NotSettled::Unknown)));
                }
            }
            // A settle is idempotent by its lease, so it can be sent again after an unknown outcome.
            Err(error) => {
                for (mut origin, (lease, item)) in origins.into_iter().zip(items) {
                    match after(&error, origin.again) {
                        Next::Retry => {
                            origin.again = true;
                            let op = item.pending();
                            let settle = PendingSettle { origin, lease, op };
                            self.pending(queue).settles.push_back(settle);
                        }
                        Next::Fail(failure) => self.settled(origin, Err(failure)),
                    }
                }
                self.flush_soon(queue);
            }
        }
    }

    /// Counts the tasks that settles made ready, and plans looks for those that become ready or expire later.
    fn tasks_came_back<K: Kind>(&mut self, queue: &QueueName, settles: &Settles<K::Done>, at: Instant) {
        let back = settles.answers.iter().filter_map(|answer| match answer {
            Answer::Done(done) => K::back(done),
            Answer::Lost | Answer::Unknown => None,
        });
        let (mut ready, mut due) = (0, None);
        for task in back {
            ready += u64::from(task.state == TaskState::Ready);
            let run_at = task.run_at.filter(|_| task.state == TaskState::Scheduled);
            due = due.into_iter().chain(run_at).chain(task.expires_at).min();
        }
        self.add_ready(queue, ready);
        self.due_at(queue, due, settles.now, at);
    }
}

impl Kind for Ack {
    type Op = AckOp;
    type Done = Acked;
    const MOVES: bool = true;
    const ENDS: bool = true;

    fn send(items: Vec<(Lease, Self)>, _: &Arc<str>) -> AckOp {
        AckOp(items)
    }

    fn items(op: AckOp) -> Vec<(Lease, Self)> {
        op.0
    }

    fn pending(self) -> PendingOp {
        PendingOp::Ack(self)
    }

    fn settled(id: TaskId, done: &Acked) -> Settled {
        Settled::Acked {
            id,
            late: *done == Acked::Late,
            already: *done == Acked::Already,
        }
    }

    fn ended(done: &Acked) -> Option<bool> {
        (*done != Acked::Already).then_some(true)
    }

    fn back(_: &Acked) -> Option<Back> {
        None
    }
}

impl Kind for Nack {
    type Op = NackOp;
    type Done = Nacked;
    const MOVES: bool = true;
    const ENDS: bool = true;

    fn send(items: Vec<(Lease, Self)>, replica: &Arc<str>) -> NackOp {
        NackOp {
            replica: replica.clone(),
            chances: chances(items.len()),
            items,
        }
    }

    fn items(op: NackOp) -> Vec<(Lease, Self)> {
        op.items
    }

    fn pending(self) -> PendingOp {
        PendingOp::Nack(self)
    }

    fn settled(id: TaskId, done: &Nacked) -> Settled {
        Settled::Nacked {
            id,
            state: done.state,
            attempt: done.attempt,
            attempts_left: done.attempts_left,
            next_attempt_at: done.next_at,
            already: done.already,
        }
    }

    fn ended(done: &Nacked) -> Option<bool> {
        (!done.already).then_some(false)
    }

    fn back(done: &Nacked) -> Option<Back> {
        Some(Back {
            state: done.state,
            run_at: done.next_at,
            expires_at: done.expires_at,
        })
    }
}

impl Kind for Extend {
    type Op = ExtendOp;
    type Done = Extended;
    const MOVES: bool = false;
    const ENDS: bool = false;

    fn send(items: Vec<(Lease, Self)>, _: &Arc<str>) -> ExtendOp {
        ExtendOp(items)
    }

    fn items(op: ExtendOp) -> Vec<(Lease, Self)> {
        op.0
    }

    fn pending(self) -> PendingOp {
        PendingOp::Extend(self)
    }

    fn settled(id: TaskId, done: &Extended) -> Settled {
        Settled::Extended {
            id,
            lease_expires_at: done.lease_expires_at,
            cancel_requested: done.cancel_requested,
        }
    }

    fn ended(_: &Extended) -> Option<bool> {
        None
    }

    fn back(_: &Extended) -> Option<Back> {
        None
    }
}

impl Kind for Returned {
    type Op = ReleaseOp;
    type Done = Released;
    const MOVES: bool = true;
    const ENDS: bool = false;

    fn send(items: Vec<(Lease, Self)>, replica: &Arc<str>) -> ReleaseOp {
        ReleaseOp {
            replica: replica.clone(),
            chances: chances(items.len()),
            items,
        }
    }

    fn items(op: ReleaseOp) -> Vec<(Lease, Self)> {
        op.items
    }

    fn pending(self) -> PendingOp {
        PendingOp::Return(self)
    }

    fn settled(id: TaskId, done: &Released) -> Settled {
        Settled::Released {
            id,
            state: done.state,
            run_at: done.run_at,
            already: done.already,
        }
    }

    fn ended(_: &Released) -> Option<bool> {
        None
    }

    fn back(done: &Released) -> Option<Back> {
        Some(Back {
            state: done.state,
            run_at: done.run_at,
            expires_at: done.expires_at,
        })
    }
}

/// Draws one random number below a million per item; scripts have no random numbers of their own.
fn chances(count: usize) -> Vec<u32> {
    let mut rng = rand::rng();
    (0..count).map(|_| rng.random_range(0..1_000_000)).collect()
}

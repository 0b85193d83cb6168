//! The pending work of one queue, and how much of it goes into the next flush.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::command::{EnqueueJob, LeaseJob};
use super::names::KnownNames;
use super::shut_gates::ShutGates;
use crate::domain::queue::QueueConfig;
use crate::domain::settle::{Ack, Extend, Nack, Settle, SettleOp};
use crate::domain::{Lease, Millis, QueueName, limits};
use crate::engine::beat::Beat;
use crate::store::QueueKeys;
use crate::store::ops::release::Returned;

/// The place of one settle in the command that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) command: u64,
    pub(super) index: usize,
}

/// One settle that was not sent yet.
#[derive(Debug)]
pub(super) struct PendingSettle {
    pub(super) origin: Origin,
    pub(super) lease: Lease,
    pub(super) op: PendingOp,
}

/// The caller of a settle, and whether it is a second try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// `None` for a give-back, whose outcome nobody waits for.
    pub(super) ticket: Option<Ticket>,
    /// An earlier try had an unknown outcome.
    pub(super) again: bool,
}

/// The operation of a settle, by the script that executes it.
#[derive(Debug)]
pub(super) enum PendingOp {
    Ack(Ack),
    Nack(Nack),
    Extend(Extend),
    Return(Returned),
}

impl PendingSettle {
    pub(super) fn new(settle: Settle, ticket: Ticket) -> Self {
        let op = match settle.op {
            SettleOp::Ack(ack) => PendingOp::Ack(ack),
            SettleOp::Nack(nack) => PendingOp::Nack(nack),
            SettleOp::Extend(extend) => PendingOp::Extend(extend),
            SettleOp::Release(release) => {
                PendingOp::Return(Returned::Release(release.retry_after, release.hold))
            }
        };
        let origin = Origin {
            ticket: Some(ticket),
            again: false,
        };
        Self {
            origin,
            lease: settle.lease,
            op,
        }
    }

    pub(super) fn give_back(lease: Lease, call: Option<String>) -> Self {
        let origin = Origin {
            ticket: None,
            again: false,
        };
        Self {
            origin,
            lease,
            op: PendingOp::Return(Returned::GiveBack(call)),
        }
    }

    /// Returns the bytes that the caller sent along.
    fn bytes(&self) -> usize {
        match &self.op {
            PendingOp::Ack(ack) => ack.result.as_ref().map_or(0, |result| result.bytes().len()),
            PendingOp::Nack(nack) => {
                nack.error.message.len() + nack.error.stack.as_ref().map_or(0, String::len)
            }
            PendingOp::Extend(extend) => extend.progress.as_ref().map_or(0, |json| json.bytes().len()),
            PendingOp::Return(_) => 0,
        }
    }
}

pub(super) struct Pending {
    pub(super) keys: QueueKeys,
    /// Version of `config`; 0: not known yet.
    pub(super) version: u64,
    /// The config as far as this process knows it. The enqueue script refuses an old one.
    pub(super) config: Arc<QueueConfig>,
    /// Names that enqueues need not ask for.
    pub(super) names: KnownNames,
    /// The queue is being created; its enqueues wait for that.
    pub(super) creating: bool,
    pub(super) enqueues: VecDeque<EnqueueJob>,
    pub(super) settles: VecDeque<PendingSettle>,
    pub(super) leases: VecDeque<LeaseJob>,
    /// The next flush sends a sweep.
    pub(super) sweep: bool,
    /// The queue is listed for the next flush.
    pub(super) listed: bool,
    /// When a lease call last asked for the next due time.
    pub(super) asked_for_due: Option<Instant>,
    /// The due time that the registry was told last.
    pub(super) hinted: Option<Millis>,
    /// When the first scheduled task becomes ready, as replied to the last lease call that fell short.
    pub(super) first_due: Option<Instant>,
    /// Why lease calls fell short, by their `names`.
    pub(super) shut: ShutGates,
    /// Tasks that became ready in this flush, less the tasks that were granted in it.
    pub(super) new_ready: usize,
    /// Observations since the last beat.
    pub(super) beat: Option<Box<Beat>>,
}

impl Pending {
    pub(super) fn new(queue: &QueueName) -> Self {
        Self {
            keys: QueueKeys::new(queue),
            version: 0,
            config: Arc::default(),
            names: KnownNames::none(),
            creating: false,
            enqueues: VecDeque::new(),
            settles: VecDeque::new(),
            leases: VecDeque::new(),
            sweep: false,
            listed: false,
            asked_for_due: None,
            hinted: None,
            first_due: None,
            shut: ShutGates::default(),
            new_ready: 0,
            beat: None,
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.sweep
            || !self.settles.is_empty()
            || !self.leases.is_empty()
            || (!self.creating && !self.enqueues.is_empty())
    }

    /// Returns whether dropping this value loses nothing but what a new one would learn again.
    pub(super) fn is_idle(&self) -> bool {
        !self.has_work() && !self.listed && !self.creating && self.enqueues.is_empty() && self.beat.is_none()
    }

    /// Takes enqueues in order of arrival: as many as one script call carries, and at least one.
    pub(super) fn take_enqueues(&mut self, items_max: usize) -> Vec<EnqueueJob> {
        let mut taken = Vec::new();
        if self.creating {
            return taken;
        }
        let (mut tasks, mut bytes) = (0, 0);
        while let Some(job) = self.enqueues.front() {
            tasks += job.tasks.len();
            bytes += job.bytes;
            // The script checks more for a repeat than for a first try, so the two do not mix.
            let other_kind = taken.first().is_some_and(|first: &EnqueueJob| {
                first.again != job.again || first.all_or_none || job.all_or_none
            });
            if !taken.is_empty() && (tasks > items_max || bytes > limits::SCRIPT_BYTES_MAX || other_kind) {
                break;
            }
            taken.extend(self.enqueues.pop_front());
        }
        taken
    }

    /// Takes settles in order of arrival. A second operation on one task waits for the next flush.
    pub(super) fn take_settles(&mut self, items_max: usize) -> Vec<PendingSettle> {
        let mut taken = Vec::new();
        let mut tasks = HashSet::new();
        let mut later = VecDeque::new();
        let mut bytes = 0;
        while let Some(settle) = self.settles.pop_front() {
            if taken.len() == items_max || bytes > limits::SCRIPT_BYTES_MAX {
                later.push_back(settle);
                break;
            }
            if !tasks.insert(settle.lease.task) {
                later.push_back(settle);
                continue;
            }
            bytes += settle.bytes();
            taken.push(settle);
        }
        later.append(&mut self.settles);
        self.settles = later;
        taken
    }

    /// Takes lease jobs with one `names` filter in order of arrival: as many as one script call carries, and
    /// at least one if there is any.
    pub(super) fn take_leases(&mut self, items_max: usize) -> Vec<LeaseJob> {
        let Some(first) = self.leases.pop_front() else {
            return Vec::new();
        };
        let mut tasks = first.wish.tasks;
        let mut taken = vec![first];
        let mut later = VecDeque::new();
        while let Some(job) = self.leases.pop_front() {
            if job.caller.names != taken[0].caller.names {
                later.push_back(job);
                continue;
            }
            tasks += job.wish.tasks;
            if tasks > items_max {
                later.push_back(job);
                break;
            }
            taken.push(job);
        }
        later.append(&mut self.leases);
        self.leases = later;
        taken
    }
}

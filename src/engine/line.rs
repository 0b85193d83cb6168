//! What waits to be sent for one queue, and how much of it goes into the next flush.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::command::{EnqueueJob, LeaseJob};
use super::names::KnownNames;
use super::pulse::Beat;
use super::shut_gates::ShutGates;
use crate::domain::queue::QueueConfig;
use crate::domain::settle::{Ack, Extend, Nack, Settle};
use crate::domain::{Lease, Millis, QueueName, TaskId, TaskName, limits};
use crate::store::QueueKeys;
use crate::store::ops::release::How;

/// One settle operation on its way, and where its answer belongs.
#[derive(Debug)]
pub(super) struct Item<T> {
    /// The job and the index in it; none for a give-back, which nobody awaits.
    pub(super) home: Option<(u64, usize)>,
    /// An earlier try had an unknown outcome.
    pub(super) again: bool,
    pub(super) op: T,
}

impl<T> Item<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Item<U> {
        Item {
            home: self.home,
            again: self.again,
            op: change(self.op),
        }
    }
}

/// What the line holds of settles; a give-back is a release by the service.
#[derive(Debug)]
pub(super) enum Ending {
    Worker(Settle),
    /// With owner and `request_id` of the call that it was granted to, if any.
    GiveBack(Lease, Option<String>),
}

impl Ending {
    fn task(&self) -> TaskId {
        match self {
            Self::Worker(settle) => settle.lease().task,
            Self::GiveBack(lease, _) => lease.task,
        }
    }
}

/// The settles of one flush, one script call per kind.
#[derive(Default)]
pub(super) struct Endings {
    pub(super) acks: Vec<Item<(Lease, Ack)>>,
    pub(super) nacks: Vec<Item<(Lease, Nack)>>,
    pub(super) extends: Vec<Item<(Lease, Extend)>>,
    pub(super) releases: Vec<Item<(Lease, How)>>,
}

pub(super) struct Line {
    pub(super) keys: QueueKeys,
    /// Config and its version, as far as this process knows; the enqueue script refuses an old one.
    pub(super) config: (u64, Arc<QueueConfig>),
    /// Names that need not be asked for.
    pub(super) names: KnownNames,
    /// The queue is being made; enqueues wait for that.
    pub(super) making: bool,
    pub(super) enqueues: VecDeque<EnqueueJob>,
    pub(super) endings: VecDeque<Item<Ending>>,
    pub(super) leases: VecDeque<LeaseJob>,
    pub(super) sweep: bool,
    /// In the list of queues with something to send.
    pub(super) dirty: bool,
    /// When to look again, and whether something is due then.
    pub(super) look: Option<(Instant, bool)>,
    /// When a lease last looked for what is due.
    pub(super) looked: Option<Instant>,
    /// The due time last told to the registry.
    pub(super) hinted: Option<Millis>,
    /// When the first scheduled task becomes ready, as the last lease that fell short saw it.
    pub(super) first_due: Option<Instant>,
    /// Why leases that fell short did, by their `names`.
    pub(super) shut: ShutGates,
    /// Tasks that became ready in this flush, less those that were granted in it.
    pub(super) fresh: usize,
    /// What was seen of the queue since its last beat.
    pub(super) beat: Option<Box<Beat>>,
}

impl Line {
    pub(super) fn new(queue: &QueueName) -> Self {
        Self {
            keys: QueueKeys::new(queue),
            config: (0, Arc::default()),
            names: KnownNames::none(),
            making: false,
            enqueues: VecDeque::new(),
            endings: VecDeque::new(),
            leases: VecDeque::new(),
            sweep: false,
            dirty: false,
            look: None,
            looked: None,
            hinted: None,
            first_due: None,
            shut: ShutGates::default(),
            fresh: 0,
            beat: None,
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.sweep
            || !self.endings.is_empty()
            || !self.leases.is_empty()
            || (!self.making && !self.enqueues.is_empty())
    }

    /// Nothing here that a fresh line would not know.
    pub(super) fn is_idle(&self) -> bool {
        !self.has_work()
            && !self.making
            && self.enqueues.is_empty()
            && self.look.is_none()
            && self.beat.is_none()
    }

    /// Enqueues in order of arrival, as many as one script call carries, and at least one.
    pub(super) fn take_enqueues(&mut self, items_max: usize) -> Vec<EnqueueJob> {
        let mut taken = Vec::new();
        if self.making {
            return taken;
        }
        let (mut tasks, mut bytes) = (0, 0);
        while let Some(job) = self.enqueues.front() {
            tasks += job.tasks.len();
            bytes += job.bytes;
            // A repeat asks more of the script than a first try: they do not mix.
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

    /// Settles in order of arrival. A second operation on one task waits for the next flush.
    pub(super) fn take_endings(&mut self, items_max: usize) -> Endings {
        let mut taken = Endings::default();
        let mut tasks = HashSet::new();
        let mut later = VecDeque::new();
        let mut bytes = 0;
        while let Some(item) = self.endings.pop_front() {
            if tasks.len() == items_max || bytes > limits::SCRIPT_BYTES_MAX {
                later.push_back(item);
                break;
            }
            if !tasks.insert(item.op.task()) {
                later.push_back(item);
                continue;
            }
            bytes += weight(&item.op);
            let Item { home, again, op } = item;
            let item = Item { home, again, op: () };
            match op {
                Ending::Worker(Settle::Ack(lease, ack)) => taken.acks.push(item.map(|()| (lease, ack))),
                Ending::Worker(Settle::Nack(lease, nack)) => taken.nacks.push(item.map(|()| (lease, nack))),
                Ending::Worker(Settle::Extend(lease, extend)) => {
                    taken.extends.push(item.map(|()| (lease, extend)))
                }
                Ending::Worker(Settle::Release(lease, release)) => {
                    taken
                        .releases
                        .push(item.map(|()| (lease, How::Release(release.retry_after, release.hold))));
                }
                Ending::GiveBack(lease, call) => {
                    taken.releases.push(item.map(|()| (lease, How::GiveBack(call))))
                }
            }
        }
        later.append(&mut self.endings);
        self.endings = later;
        taken
    }

    /// Leases of one `names` filter in order of arrival, as many as one script call carries, and at least one.
    pub(super) fn take_leases(&mut self, items_max: usize) -> Option<(Vec<TaskName>, Vec<LeaseJob>)> {
        let first = self.leases.pop_front()?;
        let (names, mut tasks) = (first.names.clone(), first.wish.tasks);
        let mut taken = vec![first];
        let mut later = VecDeque::new();
        while let Some(job) = self.leases.pop_front() {
            if job.names != names {
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
        Some((names, taken))
    }
}

fn weight(ending: &Ending) -> usize {
    match ending {
        Ending::Worker(Settle::Ack(_, ack)) => ack.result.as_ref().map_or(0, |result| result.bytes().len()),
        Ending::Worker(Settle::Nack(_, nack)) => {
            nack.error.message.len() + nack.error.stack.as_ref().map_or(0, String::len)
        }
        Ending::Worker(Settle::Extend(_, extend)) => extend
            .progress
            .as_ref()
            .map_or(0, |progress| progress.bytes().len()),
        _ => 0,
    }
}

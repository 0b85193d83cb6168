//! Script calls on their way.

use super::command::{EnqueueJob, LeaseJob};
use super::line::Item;
use crate::domain::Lease;
use crate::domain::settle::{Ack, Extend, Nack};
use crate::store::ops::Op;
use crate::store::ops::ack::AckOp;
use crate::store::ops::extend::ExtendOp;
use crate::store::ops::lease::LeaseOp;
use crate::store::ops::nack::NackOp;
use crate::store::ops::recall::RecallOp;
use crate::store::ops::release::{How, ReleaseOp};
use crate::store::ops::sweep::SweepOp;

/// A script call that was sent, with all that is needed to answer its callers.
pub(super) enum Sent {
    Enqueue(Vec<EnqueueJob>),
    Ack(Vec<Item<(Lease, Ack)>>),
    Nack(Vec<Item<(Lease, Nack)>>),
    Extend(Vec<Item<(Lease, Extend)>>),
    Release(Vec<Item<(Lease, How)>>),
    Sweep,
    /// With the seed of its nonces.
    Lease(Vec<LeaseJob>, u16),
    Recall(LeaseJob),
}

impl Sent {
    pub(super) fn script(&self) -> &'static str {
        match self {
            Self::Enqueue(_) => "enqueue",
            Self::Ack(_) => AckOp::SCRIPT,
            Self::Nack(_) => NackOp::SCRIPT,
            Self::Extend(_) => ExtendOp::SCRIPT,
            Self::Release(_) => ReleaseOp::SCRIPT,
            Self::Sweep => SweepOp::SCRIPT,
            Self::Lease(..) => LeaseOp::SCRIPT,
            Self::Recall(_) => RecallOp::SCRIPT,
        }
    }

    /// How many callers' items the call carries.
    pub(super) fn items(&self) -> usize {
        match self {
            Self::Enqueue(jobs) => jobs.iter().map(|job| job.tasks.len()).sum(),
            Self::Ack(items) => items.len(),
            Self::Nack(items) => items.len(),
            Self::Extend(items) => items.len(),
            Self::Release(items) => items.len(),
            Self::Lease(jobs, _) => jobs.len(),
            Self::Sweep | Self::Recall(_) => 1,
        }
    }
}

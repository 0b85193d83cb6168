//! Group commit: batches commands into script calls, parks lease calls that find nothing, and wakes them.
//!
//! [`shard`] decides and has no clock, channel or connection of its own; [`committer`] is the async shell
//! around it.

mod command;
mod committer;
mod gather;
mod looks;
mod names;
mod observe;
mod pending;
mod redis_clock;
mod routes;
mod shard;
mod shut_gates;
mod undelivered;
mod waiting;
mod waitlist;

pub use command::{Leased, SettleOutcome};

pub(super) use command::{Command, EnqueueJob, LeaseCaller, LeaseJob, TaskOutcome, Watch};
pub(super) use committer::Committer;
pub(super) use routes::Routes;
pub(super) use undelivered::{RawGrants, Undelivered};
pub(super) use waiting::WaitingCalls;

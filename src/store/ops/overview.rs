//! Reads config and counts of a queue in one snapshot.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::Millis;
use crate::domain::pause::{PauseMode, Paused};
use crate::store::latency::waiting;
use crate::store::reply::{BadReply, Reply};

pub struct OverviewOp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub now: Millis,
    pub version: u64,
    /// The config as JSON.
    pub document: String,
    pub created_at: Millis,
    pub paused: Option<Paused>,
    pub ready: u64,
    /// Ready tasks that gates block: exact up to 128 lanes, a lower bound beyond.
    pub held: u64,
    /// Names whose breaker is open. A lower bound once more than 1,000 breakers have state.
    pub breakers_open: u64,
    pub breakers_half_open: u64,
    pub scheduled: u64,
    pub leased: u64,
    pub dead: u64,
    /// Finished tasks that are still readable.
    pub kept: u64,
    pub oldest_ready_at: Option<Millis>,
    /// Bytes of scheduled, ready and leased tasks: records and payloads.
    pub unfinished_bytes: u64,
    pub accepted_total: u64,
    pub completed_total: u64,
    pub cancelled_total: u64,
    pub purged_total: u64,
    pub dead_evicted_total: u64,
    pub dead_aged_total: u64,
    pub replayed_total: u64,
    pub duplicates_total: u64,
    pub leases_expired_total: u64,
    pub idempotency_dropped_total: u64,
    /// Lease calls that wait at all replicas.
    pub waiting: u64,
}

impl Op for OverviewOp {
    const SCRIPT: &'static str = "overview";
    type Outcome = Result<Overview, Absent>;

    fn args(&self, _: &mut Cmd) {}

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "overview" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("an overview's word")),
        }
        let now = reply.millis()?;
        Ok(Ok(Overview {
            now,
            version: reply.number()?,
            document: reply.text()?,
            created_at: reply.millis()?,
            paused: paused(&mut reply)?,
            ready: reply.number()?,
            held: reply.number()?,
            breakers_open: reply.number()?,
            breakers_half_open: reply.number()?,
            scheduled: reply.number()?,
            leased: reply.number()?,
            dead: reply.number()?,
            kept: reply.number()?,
            oldest_ready_at: reply.some_millis()?,
            unfinished_bytes: reply.number()?,
            accepted_total: reply.number()?,
            completed_total: reply.number()?,
            cancelled_total: reply.number()?,
            purged_total: reply.number()?,
            dead_evicted_total: reply.number()?,
            dead_aged_total: reply.number()?,
            replayed_total: reply.number()?,
            duplicates_total: reply.number()?,
            leases_expired_total: reply.number()?,
            idempotency_dropped_total: reply.number()?,
            waiting: waiting(&reply.bytes()?, now),
        }))
    }
}

fn paused(reply: &mut Reply) -> Result<Option<Paused>, BadReply> {
    let (bits, until, since) = (reply.small()?, reply.some_millis()?, reply.millis()?);
    let reason = Some(reply.text()?).filter(|reason| !reason.is_empty());
    Ok(PauseMode::of_bits(bits).map(|mode| Paused {
        mode,
        since,
        until,
        reason,
    }))
}

//! Reads config and counts of a queue in one snapshot.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::Millis;
use crate::domain::counts::Counts;
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
    pub counts: Counts,
    /// Finished tasks that are still readable.
    pub kept: u64,
    pub oldest_ready_at: Option<Millis>,
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
            counts: Counts::read(|| reply.number())?,
            kept: reply.number()?,
            oldest_ready_at: reply.some_millis()?,
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

//! Adds the observations of one replica to those of the others.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::Millis;
use crate::domain::latency::Latencies;
use crate::store::latency;
use crate::store::reply::{BadReply, Reply};

pub struct BeatOp<'a, W> {
    pub replica: &'a str,
    /// Lease calls that wait for the queue at this replica.
    pub waiting: u32,
    /// Tasks moved by calls of this replica: watchers hear of it.
    pub moved: bool,
    /// Latencies since the last beat.
    pub latencies: &'a Latencies,
    /// Named workers that sent a lease call since the last beat; at most `WORKERS_MAX`.
    pub workers: W,
}

/// The state of the queue at the beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beaten {
    pub now: Millis,
    pub ready: u64,
    pub scheduled: u64,
    pub leased: u64,
    pub dead: u64,
}

impl<'w, W> Op for BeatOp<'_, W>
where
    W: IntoIterator<Item = &'w String> + Clone,
{
    const SCRIPT: &'static str = "beat";
    type Outcome = Result<Beaten, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.replica)
            .arg(self.waiting)
            .arg(u8::from(self.moved))
            .arg(latency::write(self.latencies));
        for worker in self.workers.clone() {
            cmd.arg(worker);
        }
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "beat" => Ok(Ok(Beaten {
                now: reply.millis()?,
                ready: reply.number()?,
                scheduled: reply.number()?,
                leased: reply.number()?,
                dead: reply.number()?,
            })),
            "absent" => Ok(Err(Absent)),
            _ => Err(BadReply("a beat's word")),
        }
    }
}

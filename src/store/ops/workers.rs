//! Workers that name themselves in lease calls.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::Millis;
use crate::store::reply::{BadReply, Reply};

pub struct WorkersOp {
    /// Leases that the call reads at most.
    pub look: usize,
}

/// One worker on one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub worker: String,
    /// The last lease call within `WORKER_MS_MAX`.
    pub called_at: Option<Millis>,
    pub leases: u64,
    /// The time of its oldest lease.
    pub since: Option<Millis>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    pub now: Millis,
    /// There are more leases than were read, and the counts do not include them.
    pub more: bool,
    /// In no order.
    pub seen: Vec<Seen>,
}

impl Op for WorkersOp {
    const SCRIPT: &'static str = "workers";
    type Outcome = Result<Workers, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.look);
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "workers" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("a word of the workers")),
        }
        let (now, more) = (reply.millis()?, reply.flag()?);
        let mut seen = Vec::new();
        while !reply.is_empty() {
            seen.push(Seen {
                worker: reply.text()?,
                called_at: reply.some_millis()?,
                leases: reply.number()?,
                since: reply.some_millis()?,
            });
        }
        Ok(Ok(Workers { now, more, seen }))
    }
}

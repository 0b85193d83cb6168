//! Explains why a waiting task is not running.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::explain::{Ahead, WaitReason};
use crate::domain::gate::Reason;
use crate::domain::limits::AHEAD_MAX;
use crate::domain::{Millis, TaskId};
use crate::store::reply::{BadReply, Reply};

pub struct ExplainOp(pub TaskId);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explained {
    Scheduled {
        reason: WaitReason,
        /// The gates that will block it when it is due.
        shut: Vec<WaitReason>,
    },
    Ready {
        now: Millis,
        ahead: Ahead,
        /// Other lanes of its group whose heads go first.
        lanes: u64,
        /// Groups whose turn comes first.
        groups: u64,
        /// Tasks of the queue that are leased.
        leased: u64,
        /// The time of the last grant.
        leased_at: Option<Millis>,
        /// Replicas with waiters, as of the last look or wake-up.
        hungry: String,
        /// The pause and gates that block it.
        shut: Vec<WaitReason>,
    },
    /// The task does not wait, or does not exist.
    Other,
}

impl Op for ExplainOp {
    const SCRIPT: &'static str = "explain";
    type Outcome = Result<Explained, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.0.as_bytes()).arg(AHEAD_MAX);
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        Ok(match reply.text()?.as_str() {
            "scheduled" => {
                reply.millis()?;
                let (until, failed, deferred) = (reply.millis()?, reply.flag()?, reply.flag()?);
                let reason = match (failed, deferred) {
                    (true, _) => WaitReason::RetryBackoff { until },
                    (false, true) => WaitReason::Deferred { until },
                    (false, false) => WaitReason::Scheduled { until },
                };
                // A gate that opens before the task is due does not block it.
                let mut shut = shut(&mut reply)?;
                shut.retain(|gate| gate.until().is_none_or(|end| end > until));
                Ok(Explained::Scheduled { reason, shut })
            }
            "ready" => Ok(Explained::Ready {
                now: reply.millis()?,
                ahead: Ahead {
                    tasks: reply.number()?,
                    at_least: reply.flag()?,
                },
                lanes: reply.number()?,
                groups: reply.number()?,
                leased: reply.number()?,
                leased_at: reply.some_millis()?,
                hungry: reply.text()?,
                shut: shut(&mut reply)?,
            }),
            "other" => Ok(Explained::Other),
            "absent" => Err(Absent),
            _ => return Err(BadReply("an explain's word")),
        })
    }
}

fn shut(reply: &mut Reply) -> Result<Vec<WaitReason>, BadReply> {
    let mut shut = Vec::new();
    while !reply.is_empty() {
        let mut gate = reply.array()?;
        let of = match gate.text()?.as_str() {
            "q" => "queue",
            "n" => "name",
            "g" => "group",
            _ => return Err(BadReply("what a gate is of")),
        };
        let reason = Reason::parse(&gate.text()?).ok_or(BadReply("why a gate is shut"))?;
        let until = gate.some_millis()?;
        shut.push(WaitReason::Shut { of, reason, until });
    }
    Ok(shut)
}

//! Pauses and resumes leases or enqueues.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::Millis;
use crate::domain::pause::Pause;
use crate::store::reply::{BadReply, Reply};

pub struct PauseOp<'a> {
    pub replica: &'a str,
    /// `None` resumes the queue.
    pub pause: Option<&'a Pause>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PauseChanged {
    Done {
        /// Tasks that can be leased again; 0 unless this call ended a pause of leases.
        ready: u64,
        since: Millis,
    },
    /// The end of the pause is in the past: nothing changed.
    Past,
}

impl Op for PauseOp<'_> {
    const SCRIPT: &'static str = "pause";
    type Outcome = Result<PauseChanged, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        let bits = self.pause.map_or(0, |pause| pause.mode.bits());
        let until = self.pause.and_then(|pause| pause.until);
        let reason = self.pause.and_then(|pause| pause.reason.as_deref());
        cmd.arg(self.replica).arg(bits);
        cmd.arg(until.map_or(0, |until| until.get().max(1)))
            .arg(reason.unwrap_or_default());
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "paused" => {
                reply.millis()?;
                Ok(Ok(PauseChanged::Done {
                    ready: reply.number()?,
                    since: reply.millis()?,
                }))
            }
            "past" => Ok(Ok(PauseChanged::Past)),
            "absent" => Ok(Err(Absent)),
            _ => Err(BadReply("a pause's word")),
        }
    }
}

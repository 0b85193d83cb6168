//! Deletes dead letters.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::TaskId;
use crate::store::reply::{BadReply, Reply};

/// At least one id, at most `SCRIPT_ITEMS_MAX`.
pub struct PurgeDeadOp<'a>(pub &'a [TaskId]);

impl Op for PurgeDeadOp<'_> {
    const SCRIPT: &'static str = "purge_dead";
    /// The number that were dead letters.
    type Outcome = Result<u64, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        for id in self.0 {
            cmd.arg(id.as_bytes());
        }
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "purged" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("a purge's word")),
        }
        reply.millis()?;
        reply.number().map(Ok)
    }
}

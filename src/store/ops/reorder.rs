//! Reorders the lane heads after a change of the order, some groups per call.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::store::reply::{BadReply, Reply};

pub struct ReorderOp<'a> {
    /// `"0"` for the first call. The outcome is the next cursor, `"0"` at the end.
    pub cursor: &'a str,
    pub groups: usize,
}

impl Op for ReorderOp<'_> {
    const SCRIPT: &'static str = "reorder";
    type Outcome = Result<String, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.cursor).arg(self.groups);
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "reordered" => Ok(Ok(reply.text()?)),
            "absent" => Ok(Err(Absent)),
            _ => Err(BadReply("a reorder's word")),
        }
    }
}

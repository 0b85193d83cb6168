//! Holds a queue, a name or a group, for operators.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::Millis;
use crate::domain::gate::Scope;
use crate::store::gates;
use crate::store::reply::{BadReply, Reply};

pub struct HoldOp<'a> {
    pub scope: &'a Scope,
    /// Length of the hold from now; 0 ends it.
    pub ms: u64,
}

impl Op for HoldOp<'_> {
    const SCRIPT: &'static str = "hold";
    /// The end of the hold; `None`: not held any more.
    type Outcome = Result<Option<Millis>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(gates::scope(self.scope)).arg(self.ms);
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "held" => Ok(Ok(reply.some_millis()?)),
            "absent" => Ok(Err(Absent)),
            _ => Err(BadReply("a hold's word")),
        }
    }
}

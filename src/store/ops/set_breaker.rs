//! Opens and closes the breaker of a name, for operators.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::gate::Set;
use crate::domain::{Millis, TaskName};
use crate::store::reply::{BadReply, Reply};

pub struct SetBreakerOp<'a> {
    pub name: &'a TaskName,
    pub set: Set,
}

impl Op for SetBreakerOp<'_> {
    const SCRIPT: &'static str = "set_breaker";
    /// The end of the open state, if it has one.
    type Outcome = Result<Option<Millis>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.name.as_str());
        match self.set {
            Set::Closed => cmd.arg("closed").arg(""),
            Set::Open { ms: None } => cmd.arg("open").arg(""),
            Set::Open { ms: Some(ms) } => cmd.arg("open").arg(ms),
        };
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "set" => Ok(Ok(reply.some_millis()?)),
            "absent" => Ok(Err(Absent)),
            _ => Err(BadReply("a breaker's word")),
        }
    }
}

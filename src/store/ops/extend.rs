//! Prolongs leases for their holders.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op, Settles, lease_args, settled};
use crate::domain::settle::Extend;
use crate::domain::{Lease, Millis};
use crate::store::reply::{BadReply, Reply};

/// Extends of distinct tasks.
pub struct ExtendOp(pub Vec<(Lease, Extend)>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extended {
    pub lease_expires_at: Millis,
    pub cancel_requested: bool,
}

impl Op for ExtendOp {
    const SCRIPT: &'static str = "extend";
    type Outcome = Result<Settles<Extended>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.0.len());
        for (lease, extend) in &self.0 {
            lease_args(cmd, lease);
            match extend.lease_ms {
                Some(ms) => cmd.arg(ms),
                None => cmd.arg(""),
            };
            cmd.arg(
                extend
                    .progress
                    .as_ref()
                    .map_or(&[][..], |progress| progress.bytes()),
            );
        }
    }

    fn outcome(&self, reply: Reply) -> Result<Self::Outcome, BadReply> {
        settled(reply, |word, item| match word {
            "extended" => Ok(Extended {
                lease_expires_at: item.millis()?,
                cancel_requested: item.flag()?,
            }),
            _ => Err(BadReply("an extend's word")),
        })
    }
}

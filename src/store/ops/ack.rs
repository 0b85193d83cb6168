//! Completes tasks for the holders of their leases.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op, Settles, settled};
use crate::domain::Lease;
use crate::domain::settle::Ack;
use crate::store::reply::{BadReply, Reply};

/// Acks of distinct tasks.
pub struct AckOp(pub Vec<(Lease, Ack)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    Done,
    Late,
    Already,
}

impl Op for AckOp {
    const SCRIPT: &'static str = "ack";
    type Outcome = Result<Settles<Acked>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.0.len());
        for (lease, ack) in &self.0 {
            // The script only compares and copies these fields, so they travel as one argument.
            let mut item = [0; 25];
            item[..4].copy_from_slice(&lease.size.to_be_bytes());
            item[4..18].copy_from_slice(lease.task.as_bytes());
            item[18..22].copy_from_slice(&lease.grant.to_be_bytes());
            item[22..24].copy_from_slice(&lease.nonce.to_be_bytes());
            // The last byte is present only if the task holds a unique key: the script then frees it.
            cmd.arg(&item[..24 + usize::from(lease.holds_key)]);
            cmd.arg(ack.result.as_ref().map_or(&[][..], |result| result.bytes()));
        }
    }

    fn outcome(&self, reply: Reply) -> Result<Self::Outcome, BadReply> {
        settled(reply, |word, _| match word {
            "acked" => Ok(Acked::Done),
            "late" => Ok(Acked::Late),
            "already" => Ok(Acked::Already),
            _ => Err(BadReply("an ack's word")),
        })
    }
}

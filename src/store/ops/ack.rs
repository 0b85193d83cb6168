//! Holders of leases finish their tasks.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op, Settles, settled};
use crate::domain::Lease;
use crate::domain::settle::Ack;
use crate::store::reply::{BadReply, Reply};

/// Of distinct tasks.
pub struct AckOp<'a>(pub &'a [(Lease, Ack)]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    Done,
    Late,
    Already,
}

impl Op for AckOp<'_> {
    const SCRIPT: &'static str = "ack";
    type Outcome = Result<Settles<Acked>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.0.len());
        for (lease, ack) in self.0 {
            // One argument for all that the script only compares and copies.
            let mut item = [0; 25];
            item[..4].copy_from_slice(&lease.size.to_be_bytes());
            item[4..18].copy_from_slice(lease.task.as_bytes());
            item[18..22].copy_from_slice(&lease.grant.to_be_bytes());
            item[22..24].copy_from_slice(&lease.nonce.to_be_bytes());
            // Longer by a byte where the ack frees a unique key: only then does the script look for one.
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

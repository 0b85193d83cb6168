//! The finished tasks that are kept, in their order, and what they weigh.

use bytes::Bytes;
use deadpool_redis::redis::Cmd;

use super::verify::{Verified, verified};
use super::{Absent, Op};
use crate::store::reply::{BadReply, Reply};

pub struct VerifyDoneOp<'a> {
    /// Of the next entry, when the page before was read; 0 to begin.
    pub at: u64,
    /// What that page ended with; empty to begin.
    pub last: &'a [u8],
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedDone {
    Page {
        page: Verified,
        last: Bytes,
        /// How many are kept now.
        length: u64,
        /// What the queue counts as their bytes now.
        counted: u64,
        /// Of each entry of the page.
        bytes: Vec<u32>,
    },
    /// The end of the page before has left.
    Lost,
}

impl Op for VerifyDoneOp<'_> {
    const SCRIPT: &'static str = "verify_done";
    type Outcome = Result<VerifiedDone, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.at).arg(self.last).arg(self.limit);
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        if reply.clone().text()? == "lost" {
            return Ok(Ok(VerifiedDone::Lost));
        }
        let page = match verified(&mut reply)? {
            Ok(page) => page,
            Err(absent) => return Ok(Err(absent)),
        };
        let (last, length, counted) = (reply.bytes()?, reply.number()?, reply.number()?);
        let mut bytes = Vec::new();
        while !reply.is_empty() {
            bytes.push(reply.small()?);
        }
        Ok(Ok(VerifiedDone::Page {
            page,
            last,
            length,
            counted,
            bytes,
        }))
    }
}

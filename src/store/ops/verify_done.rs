//! Reads the kept finished tasks in their order, with their bytes.

use bytes::Bytes;
use deadpool_redis::redis::Cmd;

use super::verify::{Verified, verified};
use super::{Absent, Op};
use crate::store::reply::{BadReply, Reply};

pub struct VerifyDoneOp<'a> {
    /// The index of the next entry when the previous page was read; 0 for the first.
    pub at: u64,
    /// The last entry of that page; empty for the first.
    pub last: &'a [u8],
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedDone {
    Page {
        page: Verified,
        last: Bytes,
        /// The number of kept tasks now.
        length: u64,
        /// Their bytes as the queue counts them now.
        counted: u64,
        /// The bytes of each entry of the page.
        bytes: Vec<u32>,
    },
    /// The last entry of the previous page has left.
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

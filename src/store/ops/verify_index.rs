//! Checks that each member of an index has its task, group or lane.

use bytes::Bytes;
use deadpool_redis::redis::Cmd;

use super::verify::{Verified, verified};
use super::{Absent, Op};
use crate::store::reply::{BadReply, Reply};

pub struct VerifyIndexOp<'a> {
    /// A role of a hash or sorted set of tasks, or `turn`, `heads`, `names`.
    pub index: &'a str,
    /// The group of the heads, or the name of the lanes.
    pub of: &'a [u8],
    /// `"0"` for the first page.
    pub cursor: &'a str,
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifiedIndex {
    pub page: Verified,
    /// The members of `turn` and `heads`.
    pub members: Vec<Bytes>,
}

impl Op for VerifyIndexOp<'_> {
    const SCRIPT: &'static str = "verify_index";
    type Outcome = Result<VerifiedIndex, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.index).arg(self.of).arg(self.cursor).arg(self.limit);
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        let page = match verified(&mut reply)? {
            Ok(page) => page,
            Err(absent) => return Ok(Err(absent)),
        };
        let mut members = Vec::new();
        while !reply.is_empty() {
            members.push(reply.bytes()?);
        }
        Ok(Ok(VerifiedIndex { page, members }))
    }
}

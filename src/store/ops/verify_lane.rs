//! Reads the entries of a lane.

use deadpool_redis::redis::Cmd;

use super::verify::{Verified, verified};
use super::{Absent, Op};
use crate::domain::TaskId;
use crate::store::reply::{BadReply, Reply};

pub struct VerifyLaneOp<'a> {
    /// The lane as in key names.
    pub lane: &'a [u8],
    /// Read the returned tasks; otherwise the fresh ones, the youngest first.
    pub back: bool,
    /// `"0"` for the first page.
    pub cursor: &'a str,
    pub limit: usize,
    /// Examine the tasks; otherwise only return the ids.
    pub examine: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifiedLane {
    pub page: Verified,
    pub ids: Vec<TaskId>,
}

impl Op for VerifyLaneOp<'_> {
    const SCRIPT: &'static str = "verify_lane";
    type Outcome = Result<VerifiedLane, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.lane)
            .arg(if self.back { "back" } else { "fresh" })
            .arg(self.cursor)
            .arg(self.limit)
            .arg(u8::from(self.examine));
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        let page = match verified(&mut reply)? {
            Ok(page) => page,
            Err(absent) => return Ok(Err(absent)),
        };
        let mut ids = Vec::new();
        while !reply.is_empty() {
            ids.extend(TaskId::from_slice(&reply.bytes()?));
        }
        Ok(Ok(VerifiedLane { page, ids }))
    }
}

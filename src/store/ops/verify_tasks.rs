//! Examines tasks, each at one moment.

use bytes::Bytes;
use deadpool_redis::redis::Cmd;

use super::verify::{Verified, verified};
use super::{Absent, Op};
use crate::domain::TaskId;
use crate::store::reply::{BadReply, Reply};

pub enum VerifyTasksOp<'a> {
    /// `"0 0"` for the first page.
    Page { cursor: &'a str, limit: usize },
    /// At most 900.
    These(&'a [TaskId]),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifiedTasks {
    pub page: Verified,
    /// The number of records of the queue.
    pub records: u64,
    /// Tasks that can only be in the fresh list of their lane, by lane.
    pub claims: Vec<(Bytes, Vec<TaskId>)>,
}

impl Op for VerifyTasksOp<'_> {
    const SCRIPT: &'static str = "verify_tasks";
    type Outcome = Result<VerifiedTasks, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        match self {
            Self::Page { cursor, limit } => drop(cmd.arg(cursor).arg(limit)),
            Self::These(ids) => {
                cmd.arg("").arg(ids.len());
                for id in *ids {
                    cmd.arg(id.as_bytes());
                }
            }
        }
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        let page = match verified(&mut reply)? {
            Ok(page) => page,
            Err(absent) => return Ok(Err(absent)),
        };
        let records = reply.number()?;
        let mut claims = Vec::new();
        while !reply.is_empty() {
            let (lane, mut list) = (reply.bytes()?, reply.array()?);
            let mut ids = Vec::new();
            while !list.is_empty() {
                // A record whose field is no id was reported as a problem, or is not ours.
                ids.extend(TaskId::from_slice(&list.bytes()?));
            }
            claims.push((lane, ids));
        }
        Ok(Ok(VerifiedTasks {
            page,
            records,
            claims,
        }))
    }
}

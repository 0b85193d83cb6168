//! Lists the ids of one state, page by page.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::{TaskId, TaskState};
use crate::store::reply::{BadReply, Reply};

pub struct ListOp<'a> {
    pub state: TaskState,
    /// 1..=`PAGE_MAX`.
    pub limit: usize,
    /// Empty for the first page.
    pub cursor: &'a [u8],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Empty at the end.
    pub cursor: Vec<u8>,
    pub ids: Vec<TaskId>,
}

impl Op for ListOp<'_> {
    const SCRIPT: &'static str = "list";
    type Outcome = Result<Listed, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.state.word()).arg(self.limit).arg(self.cursor);
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "listed" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("a list's word")),
        }
        let cursor = reply.bytes()?.to_vec();
        let mut ids = Vec::new();
        while !reply.is_empty() {
            ids.push(reply.id()?);
        }
        Ok(Ok(Listed { cursor, ids }))
    }
}

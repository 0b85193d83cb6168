//! Dead letters by error fingerprint, page by page.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::fingerprint::{DeadGroup, GroupError};
use crate::store::reply::{BadReply, Reply};

pub struct DeadGroupsOp<'a> {
    /// The last fingerprint of the previous page; empty for the first.
    pub after: &'a str,
    /// Entries at most.
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadGroups {
    /// The last fingerprint, if there may be more.
    pub next: Option<String>,
    pub groups: Vec<DeadGroup>,
}

impl Op for DeadGroupsOp<'_> {
    const SCRIPT: &'static str = "dead_groups";
    type Outcome = Result<DeadGroups, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.after).arg(self.limit);
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "grouped" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("a dead_groups' word")),
        }
        let next = Some(reply.text()?).filter(|next| !next.is_empty());
        let mut groups = Vec::new();
        while !reply.is_empty() {
            groups.push(group(&mut reply)?);
        }
        Ok(Ok(DeadGroups { next, groups }))
    }
}

fn group(reply: &mut Reply) -> Result<DeadGroup, BadReply> {
    let fingerprint = reply.text()?;
    let (name, kind, message) = (reply.text()?, reply.text()?, reply.text()?);
    Ok(DeadGroup {
        fingerprint,
        // Groups of tasks have a name, `other` has none.
        error: (!name.is_empty()).then_some(GroupError { name, kind, message }),
        count: reply.number()?,
        first_at: reply.millis()?,
        last_at: reply.millis()?,
        sample: reply.id()?,
    })
}

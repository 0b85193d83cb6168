//! Replies of the scripts of an audit: their progress and their findings.

use crate::domain::TaskId;
use crate::domain::audit::{Disagreement, Kind};
use crate::store::reply::{BadReply, Reply};

use super::Absent;

/// One page of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Empty at the end.
    pub cursor: String,
    pub looked: u64,
    pub problems: Vec<Disagreement>,
}

/// Reads `"verified", cursor, looked, problems`. The operation reads the rest.
pub(super) fn verified(reply: &mut Reply) -> Result<Result<Verified, Absent>, BadReply> {
    match reply.text()?.as_str() {
        "verified" => {}
        "absent" => return Ok(Err(Absent)),
        _ => return Err(BadReply("a verify's word")),
    }
    let (cursor, looked) = (reply.text()?, reply.number()?);
    let mut list = reply.array()?;
    let mut problems = Vec::new();
    while !list.is_empty() {
        problems.push(disagreement(list.array()?)?);
    }
    Ok(Ok(Verified {
        cursor,
        looked,
        problems,
    }))
}

fn disagreement(mut reply: Reply) -> Result<Disagreement, BadReply> {
    let kind = Kind::parse(&reply.text()?).ok_or(BadReply("a kind of problem"))?;
    let (id, detail) = (reply.bytes()?, lossy(&reply.bytes()?));
    // A value that is no id is named in the text.
    Ok(match TaskId::from_slice(&id) {
        Ok(id) => Disagreement {
            kind,
            id: Some(id),
            detail,
        },
        Err(_) if id.is_empty() => Disagreement {
            kind,
            id: None,
            detail,
        },
        Err(_) => Disagreement {
            kind,
            id: None,
            detail: format!("{detail} ({:?})", lossy(&id)),
        },
    })
}

/// Damaged names may not be text.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

//! Reads everything that Redis knows about some tasks.

use bytes::{Buf, Bytes};
use deadpool_redis::redis::Cmd;

use super::{Absent, Op, state};
use crate::domain::task::{Json, TaskView};
use crate::domain::{Millis, TaskId, TaskState};
use crate::store::record;
use crate::store::reply::{BadReply, Reply};

pub struct ShowOp<'a>(pub &'a [TaskId]);

impl Op for ShowOp<'_> {
    const SCRIPT: &'static str = "show";
    /// One per id; `None` if there is no such task.
    type Outcome = Result<Vec<Option<TaskView>>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        for id in self.0 {
            cmd.arg(id.as_bytes());
        }
    }

    fn outcome(&self, mut reply: Reply) -> Result<Self::Outcome, BadReply> {
        match reply.text()?.as_str() {
            "shown" => {}
            "absent" => return Ok(Err(Absent)),
            _ => return Err(BadReply("a show's word")),
        }
        reply.millis()?;
        self.0
            .iter()
            .map(|id| view(*id, &mut reply))
            .collect::<Result<_, _>>()
            .map(Ok)
    }
}

fn view(id: TaskId, reply: &mut Reply) -> Result<Option<TaskView>, BadReply> {
    let (rec, payload, mutable) = (reply.bytes()?, reply.bytes()?, reply.bytes()?);
    let (history, result) = (reply.bytes()?, reply.bytes()?);
    let leased = score(&reply.bytes()?)?.map(|score| Millis::new(score.get() / record::PLACES));
    let due = score(&reply.bytes()?)?;
    let died = score(&reply.bytes()?)?;
    if rec.is_empty() {
        return Ok(None);
    }
    let record = record::read(rec, payload)?;
    let ending = ending(result)?;
    let state = match (&ending, leased, due, died) {
        (Some(ending), ..) => ending.state,
        (None, Some(_), ..) => TaskState::Leased,
        (None, None, Some(_), _) => TaskState::Scheduled,
        (None, None, None, Some(_)) => TaskState::Dead,
        _ => TaskState::Ready,
    };
    let untouched = record::Mutable {
        grants: ending
            .as_ref()
            .map_or(u32::from(leased.is_some()), |ending| ending.grant),
        priority: record.priority,
        place: record.run_at.unwrap_or(record.enqueued_at).get() * record::PLACES,
        slot: u32::try_from(record.lease_ms).unwrap_or(u32::MAX),
        ..record::Mutable::default()
    };
    let m = record::read_mutable(mutable)?.unwrap_or(untouched);
    // A late ack completes an attempt that was counted as failed when its lease expired.
    let unfailed = state == TaskState::Leased || (state == TaskState::Completed && !m.ran_out);
    Ok(Some(TaskView {
        id,
        name: record.name,
        group: record.group,
        state,
        payload: record.payload,
        priority: m.priority,
        attempt: m.failed + u16::from(unfailed),
        max_attempts: record.max_attempts,
        deferrals: m.deferrals,
        grant: m.grants,
        lease_ms: record.lease_ms,
        retry: record.retry,
        enqueued_at: record.enqueued_at,
        expires_at: record.expires_at,
        ready_at: match state {
            TaskState::Scheduled => due,
            TaskState::Ready => Some(Millis::new(m.place / record::PLACES)),
            _ => None,
        },
        lease_expires_at: leased,
        cancel_requested: m.cancel_requested,
        worker: m.worker,
        progress: m.progress,
        finished_at: ending.as_ref().map(|ending| ending.at).or(died),
        result: ending.and_then(|ending| ending.result),
        reason: m.reason,
        attempts: record::read_history(history)?,
        unique_key: record.unique_key,
        meta: record.meta,
    }))
}

/// Returns the whole milliseconds of a score.
fn score(text: &[u8]) -> Result<Option<Millis>, BadReply> {
    if text.is_empty() {
        return Ok(None);
    }
    let whole = text.split(|b| *b == b'.').next().unwrap_or_default();
    let ms = std::str::from_utf8(whole).ok().and_then(|text| text.parse().ok());
    ms.map(|ms| Some(Millis::new(ms))).ok_or(BadReply("a score"))
}

struct Ending {
    state: TaskState,
    at: Millis,
    grant: u32,
    result: Option<Json>,
}

fn ending(mut bytes: Bytes) -> Result<Option<Ending>, BadReply> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() < 11 {
        return Err(BadReply("a result"));
    }
    let letter = char::from(bytes.get_u8()).to_string();
    let (at, grant) = (Millis::new(bytes.get_uint(6)), bytes.get_u32());
    let result = (!bytes.is_empty()).then(|| Json::from_checked(bytes));
    Ok(Some(Ending {
        state: state(&letter)?,
        at,
        grant,
        result,
    }))
}

//! Lists the names of a queue with their states, page by page.

use deadpool_redis::redis::Cmd;

use super::{Absent, Op};
use crate::domain::TaskName;
use crate::domain::gate::{Limits, Positive};
use crate::domain::standing::{BreakerStanding, BreakerState, GateStanding, NameStanding, Ready};
use crate::store::reply::{BadReply, Reply};

pub struct NamesOp<'a> {
    /// Entries at most.
    pub limit: usize,
    /// Empty for the first page.
    pub cursor: &'a [u8],
}

/// A page of names or of groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Standings<T> {
    /// The cursor of the next page; empty at the end.
    pub cursor: Vec<u8>,
    pub items: Vec<T>,
}

impl Op for NamesOp<'_> {
    const SCRIPT: &'static str = "names";
    type Outcome = Result<Standings<NameStanding>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.limit).arg(self.cursor);
    }

    fn outcome(&self, reply: Reply) -> Result<Self::Outcome, BadReply> {
        standings(reply, "named", |row| {
            let name = TaskName::parse(&row.text()?).map_err(|_| BadReply("a name"))?;
            Ok(NameStanding {
                name,
                ready: ready(row)?,
                leased: row.number()?,
                gate: gate(row)?,
                breaker: breaker(row)?,
            })
        })
    }
}

/// Reads `word, cursor, rows…`.
pub(super) fn standings<T>(
    mut reply: Reply,
    word: &str,
    read: impl Fn(&mut Reply) -> Result<T, BadReply>,
) -> Result<Result<Standings<T>, Absent>, BadReply> {
    match reply.text()?.as_str() {
        "absent" => return Ok(Err(Absent)),
        told if told == word => {}
        _ => return Err(BadReply("a word of names or groups")),
    }
    let cursor = reply.bytes()?.into();
    let mut items = Vec::new();
    while !reply.is_empty() {
        items.push(read(&mut reply.array()?)?);
    }
    Ok(Ok(Standings { cursor, items }))
}

pub(super) fn ready(row: &mut Reply) -> Result<Ready, BadReply> {
    Ok(Ready {
        tasks: row.number()?,
        at_least: row.flag()?,
    })
}

/// Reads limits and hold, as `lua/standing.lua` writes them.
pub(super) fn gate(row: &mut Reply) -> Result<GateStanding, BadReply> {
    let (rate, burst) = (row.decimal()?, row.decimal()?);
    let limits = Limits {
        rate_per_second: Positive::new(rate),
        burst: Positive::new(burst),
        max_leased: Some(row.number()?).filter(|most| *most > 0),
    };
    Ok(GateStanding {
        limits,
        tokens: row.some_decimal()?,
        held_until: row.some_millis()?,
    })
}

fn breaker(row: &mut Reply) -> Result<Option<BreakerStanding>, BadReply> {
    let letter = row.text()?;
    let (since, count, probes, until) = (
        row.some_millis()?,
        row.number()?,
        row.number()?,
        row.some_millis()?,
    );
    let state = match letter.as_str() {
        "" => return Ok(None),
        "c" => BreakerState::Closed { failures: count },
        "o" => BreakerState::Open { until },
        "h" => BreakerState::HalfOpen {
            probes,
            successes: count,
        },
        _ => return Err(BadReply("the letter of a breaker's state")),
    };
    Ok(Some(BreakerStanding { state, since }))
}

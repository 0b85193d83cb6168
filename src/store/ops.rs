//! Every operation of this product on Redis: one file pair each.

use deadpool_redis::redis::Cmd;

use super::reply::{BadReply, Reply};
use crate::domain::Millis;

pub mod ack;
pub mod beat;
pub mod cancel;
pub mod configure;
pub mod dead;
pub mod dead_groups;
pub mod delete;
pub mod discard;
pub mod enqueue;
pub mod explain;
pub mod extend;
pub mod follow;
pub mod groups;
pub mod hold;
pub mod lease;
pub mod list;
pub mod nack;
pub mod names;
pub mod overview;
pub mod patch;
pub mod pause;
pub mod pulse;
pub mod purge;
pub mod purge_dead;
pub mod recall;
pub mod release;
pub mod reorder;
pub mod replay;
pub mod select;
pub mod set_breaker;
pub mod show;
pub mod sweep;
pub mod verify;
pub mod verify_counts;
pub mod verify_done;
pub mod verify_index;
pub mod verify_lane;
pub mod verify_tasks;
pub mod workers;

/// A typed script call on one queue.
pub trait Op {
    /// Name of the script.
    const SCRIPT: &'static str;
    type Outcome;

    /// Writes ARGV in the order of the script's header.
    fn args(&self, cmd: &mut Cmd);

    /// Reads the reply in the order of the script's header.
    ///
    /// # Errors
    /// If the header does not list the reply.
    fn outcome(&self, reply: Reply) -> Result<Self::Outcome, BadReply>;
}

/// The queue does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent;

/// The outcome of one settled item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    Done(T),
    Lost,
    Unknown,
}

/// The reply of a settling script, with one outcome per item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settles<T> {
    pub now: Millis,
    /// Gates that may have opened by this call: the caller wakes as many waiters.
    pub freed: u64,
    pub answers: Vec<Answer<T>>,
}

/// Reads `word, now, freed, items…` of the settling scripts.
fn settled<T>(
    mut reply: Reply,
    mut read: impl FnMut(&str, &mut Reply) -> Result<T, BadReply>,
) -> Result<Result<Settles<T>, Absent>, BadReply> {
    match reply.text()?.as_str() {
        "settled" => {}
        "absent" => return Ok(Err(Absent)),
        _ => return Err(BadReply("a settle's word")),
    }
    let (now, freed) = (reply.millis()?, reply.number()?);
    let mut answers = Vec::new();
    while !reply.is_empty() {
        let mut item = reply.array()?;
        answers.push(match item.text()?.as_str() {
            "lost" => Answer::Lost,
            "unknown" => Answer::Unknown,
            word => Answer::Done(read(word, &mut item)?),
        });
    }
    Ok(Ok(Settles { now, freed, answers }))
}

/// Reads which bound of a queue is reached, as `lua/intake.lua` writes it.
fn full_of(word: &str) -> Result<crate::domain::full::Full, BadReply> {
    use crate::domain::full::Full;
    match word {
        "tasks" => Ok(Full::Tasks),
        "bytes" => Ok(Full::Bytes),
        "dead" => Ok(Full::DeadLetters),
        "names" => Ok(Full::Names),
        _ => Err(BadReply("what a queue is full of")),
    }
}

/// Reads a state, as scripts write it.
fn state(letter: &str) -> Result<crate::domain::TaskState, BadReply> {
    use crate::domain::TaskState::{Cancelled, Completed, Dead, Leased, Ready, Scheduled};
    Ok(match letter {
        "r" => Ready,
        "s" => Scheduled,
        "l" => Leased,
        "d" => Dead,
        "x" => Cancelled,
        "c" => Completed,
        _ => return Err(BadReply("a state letter")),
    })
}

/// Writes the identity of a lease into ARGV.
fn lease_args(cmd: &mut Cmd, lease: &crate::domain::Lease) {
    cmd.arg(lease.task.as_bytes()).arg(lease.grant).arg(lease.nonce);
}

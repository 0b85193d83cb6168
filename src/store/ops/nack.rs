//! Records failed attempts for the holders of the leases.

use std::sync::Arc;

use deadpool_redis::redis::Cmd;

use super::{Absent, Op, Settles, lease_args, settled, state};
use crate::domain::fingerprint::mask;
use crate::domain::settle::Nack;
use crate::domain::{Lease, Millis, TaskState};
use crate::store::reply::{BadReply, Reply};

/// Nacks of distinct tasks.
pub struct NackOp {
    pub replica: Arc<str>,
    pub items: Vec<(Lease, Nack)>,
    /// One random number below a million per item, for the jitter.
    pub chances: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nacked {
    pub already: bool,
    pub state: TaskState,
    pub attempt: u16,
    pub attempts_left: u16,
    pub next_at: Option<Millis>,
    /// The end of a task that waits again, if it has one.
    pub expires_at: Option<Millis>,
}

impl Op for NackOp {
    const SCRIPT: &'static str = "nack";
    type Outcome = Result<Settles<Nacked>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(&*self.replica).arg(self.items.len());
        for ((lease, nack), chance) in self.items.iter().zip(&self.chances) {
            lease_args(cmd, lease);
            cmd.arg(u8::from(nack.retry));
            match nack.delay_ms {
                Some(ms) => cmd.arg(ms),
                None => cmd.arg(""),
            };
            cmd.arg(*chance).arg(&nack.error.kind).arg(&nack.error.message);
            cmd.arg(nack.error.stack.as_deref().unwrap_or_default());
            cmd.arg(u8::from(nack.error.cut));
            cmd.arg(mask(&nack.error.message));
        }
    }

    fn outcome(&self, reply: Reply) -> Result<Self::Outcome, BadReply> {
        settled(reply, |word, item| {
            Ok(Nacked {
                already: already(word, "nacked")?,
                state: state(&item.text()?)?,
                attempt: item.small()?,
                attempts_left: item.small()?,
                next_at: item.some_millis()?,
                expires_at: (!item.is_empty()).then(|| item.millis()).transpose()?,
            })
        })
    }
}

pub(super) fn already(word: &str, first: &str) -> Result<bool, BadReply> {
    match word {
        "already" => Ok(true),
        word if word == first => Ok(false),
        _ => Err(BadReply("a settle's word")),
    }
}

//! Returns tasks without spending the attempt: for a worker that releases, and for a caller that left.

use std::sync::Arc;

use deadpool_redis::redis::Cmd;

use super::nack::already;
use super::{Absent, Op, Settles, lease_args, settled, state};
use crate::domain::settle::{Hold, RetryAfter};
use crate::domain::{Lease, Millis, TaskState};
use crate::store::reply::{BadReply, Reply};

/// Why a task comes back with its attempt unspent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// The worker released it.
    Release(RetryAfter, Hold),
    /// The service gives it back: the caller never got the grant. Names owner and `request_id` of the lease
    /// call, if it had one: once a repeat of that call got the grants, the script does not take them back.
    GiveBack(Option<String>),
}

/// Returns of distinct tasks.
pub struct ReleaseOp {
    pub replica: Arc<str>,
    pub items: Vec<(Lease, Returned)>,
    /// One random number below a million per item, for the jitter.
    pub chances: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    pub already: bool,
    pub state: TaskState,
    pub run_at: Option<Millis>,
    /// The end of a task that waits again, if it has one.
    pub expires_at: Option<Millis>,
}

impl Op for ReleaseOp {
    const SCRIPT: &'static str = "release";
    type Outcome = Result<Settles<Released>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(&*self.replica).arg(self.items.len());
        for ((lease, returned), chance) in self.items.iter().zip(&self.chances) {
            lease_args(cmd, lease);
            match returned {
                Returned::GiveBack(_) => cmd.arg("g"),
                Returned::Release(RetryAfter::None, _) => cmd.arg(""),
                Returned::Release(RetryAfter::Ms(ms), _) => cmd.arg(format!("+{ms}")),
                Returned::Release(RetryAfter::At(at), _) => cmd.arg(format!("@{}", at.get())),
            };
            cmd.arg(*chance).arg(match returned {
                Returned::GiveBack(call) => call.as_deref().unwrap_or_default(),
                Returned::Release(_, Hold::None) => "",
                Returned::Release(_, Hold::Queue) => "q",
                Returned::Release(_, Hold::Name) => "n",
                Returned::Release(_, Hold::Group) => "g",
            });
        }
    }

    fn outcome(&self, reply: Reply) -> Result<Self::Outcome, BadReply> {
        settled(reply, |word, item| {
            Ok(Released {
                already: already(word, "released")?,
                state: state(&item.text()?)?,
                run_at: item.some_millis()?,
                expires_at: (!item.is_empty()).then(|| item.millis()).transpose()?,
            })
        })
    }
}

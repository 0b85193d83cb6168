//! Holders of leases give tasks back unspent; the service does so for callers that left.

use deadpool_redis::redis::Cmd;

use super::nack::already;
use super::{Absent, Op, Settles, lease_args, settled, state};
use crate::domain::settle::{Hold, RetryAfter};
use crate::domain::{Lease, Millis, TaskState};
use crate::store::reply::{BadReply, Reply};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// By the worker.
    Release(RetryAfter, Hold),
    /// By the service: the caller never got the grant. With owner and `request_id` of the call, if it had one: once that was repeated and
    /// answered, its grants are not taken back.
    GiveBack(Option<String>),
}

/// Of distinct tasks. `chances` has one number below a million per item, for the jitter.
pub struct ReleaseOp<'a> {
    pub replica: &'a str,
    pub items: &'a [(Lease, How)],
    pub chances: &'a [u32],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    pub already: bool,
    pub state: TaskState,
    pub run_at: Option<Millis>,
    /// Of a task that waits again.
    pub expires_at: Option<Millis>,
}

impl Op for ReleaseOp<'_> {
    const SCRIPT: &'static str = "release";
    type Outcome = Result<Settles<Released>, Absent>;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.replica).arg(self.items.len());
        for ((lease, how), chance) in self.items.iter().zip(self.chances) {
            lease_args(cmd, lease);
            match how {
                How::GiveBack(_) => cmd.arg("g"),
                How::Release(RetryAfter::None, _) => cmd.arg(""),
                How::Release(RetryAfter::Ms(ms), _) => cmd.arg(format!("+{ms}")),
                How::Release(RetryAfter::At(at), _) => cmd.arg(format!("@{}", at.get())),
            };
            cmd.arg(*chance).arg(match how {
                How::GiveBack(call) => call.as_deref().unwrap_or_default(),
                How::Release(_, Hold::None) => "",
                How::Release(_, Hold::Queue) => "q",
                How::Release(_, Hold::Name) => "n",
                How::Release(_, Hold::Group) => "g",
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

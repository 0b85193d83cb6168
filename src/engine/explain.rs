//! Explains why a waiting task is not running.

use super::{Engine, Failure};
use crate::domain::explain::{WaitReason, Waiting};
use crate::domain::gate::Reason;
use crate::domain::limits::WAIT_SECONDS_MAX;
use crate::domain::{Millis, QueueName, TaskId, TaskName};
use crate::store::QueueKeys;
use crate::store::ops::explain::{ExplainOp, Explained};

impl Engine {
    /// Explains a task; `None` if it does not wait or does not exist.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn explain(
        &self,
        queue: &QueueName,
        id: TaskId,
        name: &TaskName,
    ) -> Result<Option<Waiting>, Failure> {
        let Ok(explained) = self.store().call(&QueueKeys::new(queue), &ExplainOp(id)).await? else {
            return Ok(None);
        };
        Ok(match explained {
            Explained::Other => None,
            Explained::Scheduled { reason, shut } => Some(Waiting {
                reasons: [reason].into_iter().chain(shut).collect(),
                ahead: None,
            }),
            Explained::Ready {
                now,
                ahead,
                lanes,
                groups,
                leased,
                leased_at,
                hungry,
                shut,
            } => {
                let waiting = self.workers_waiting(queue, Some(name)).await?;
                let elsewhere = is_hungry_elsewhere(&hungry, &self.settings().replica);
                let is_shut = !shut.is_empty();
                let is_paused = shut.iter().any(|gate| gate.word() == Reason::Paused.word());
                let mut reasons = shut;
                // While leases are paused, "no recent grant" does not mean "no worker".
                if !is_paused && waiting == 0 && !elsewhere && leased == 0 && !is_recent(leased_at, now) {
                    reasons.push(WaitReason::NoWorker);
                }
                // No group has a turn behind a shut gate.
                if groups > 0 && !is_shut {
                    reasons.push(WaitReason::Turn { groups });
                }
                if lanes > 0 || ahead.tasks > 0 {
                    reasons.push(WaitReason::Order { lanes });
                }
                if reasons.is_empty() {
                    reasons.push(WaitReason::Next);
                }
                Some(Waiting {
                    reasons,
                    ahead: Some(ahead),
                })
            }
        })
    }
}

/// Returns whether no worker serves the queue. A waiting worker would get the task at once, and a busy one
/// comes back. So there is none if nothing was granted for as long as a lease call may wait, nothing is
/// leased, and no replica has a waiter.
fn is_recent(leased_at: Option<Millis>, now: Millis) -> bool {
    leased_at.is_some_and(|at| now.since(at) <= WAIT_SECONDS_MAX * 1000)
}

/// Replica names have one length and end with a comma. This replica knows its own waiters, so its name is
/// removed.
fn is_hungry_elsewhere(hungry: &str, me: &str) -> bool {
    hungry.split_inclusive(',').any(|replica| replica != me)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_replicas_are_elsewhere() {
        for (hungry, elsewhere) in [
            ("", false),
            ("aaaaaaaa,", false),
            ("aaaaaaaa,bbbbbbbb,", true),
            ("bbbbbbbb,", true),
        ] {
            assert_eq!(is_hungry_elsewhere(hungry, "aaaaaaaa,"), elsewhere, "{hungry}");
        }
    }

    #[test]
    fn who_was_served_within_the_longest_wait_may_come_back() {
        let now = Millis::new(1_000_000);
        assert!(is_recent(Some(Millis::new(940_000)), now));
        assert!(!is_recent(Some(Millis::new(939_999)), now));
        assert!(!is_recent(None, now));
    }
}

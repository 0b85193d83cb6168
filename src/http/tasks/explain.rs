//! The explanation of a waiting task in responses.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Millis;
use crate::domain::explain::{WaitReason, Waiting};
use crate::http::wire;

/// The reasons why a task is not running.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Waiting)]
pub(in crate::http) struct WaitingAnswer {
    /// At least one reason, the most important first.
    reasons: Vec<ReasonAnswer>,
    /// Tasks ahead of it in its lane (its name, group and priority). Present for ready tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ahead: Option<AheadAnswer>,
}

/// Number of tasks, exact up to 1,000.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ahead)]
struct AheadAnswer {
    tasks: u64,
    /// Whether there are more than `tasks`.
    at_least: bool,
}

/// One reason why a task waits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitReason)]
struct ReasonAnswer {
    /// `scheduled` (it has a due time), `retry_backoff` (its last attempt failed), `deferred` (a worker
    /// released it with a time), `paused` (leases of the queue are paused), `held`, `rate_limited`,
    /// `concurrency_limited` or `breaker_open` (a gate of `of` blocks it), `no_worker` (no lease call asks
    /// for it), `turn` (other groups have their turns first), `order` (tasks of its group go first) or `next`
    /// (the next lease call that accepts it gets it). Later versions may add reasons: read an unknown one as
    /// "not now".
    reason: &'static str,
    /// For `scheduled`, `retry_backoff`, `deferred`: when it becomes ready. For a pause or a gate: when it
    /// may reopen; absent if that depends on an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    until: Option<Millis>,
    /// For gates: the scope of the limit, hold or breaker: `queue`, `name` or `group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    of: Option<&'static str>,
    /// For `turn`: the number of groups whose turn comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Count>, nullable = false)]
    groups: Option<u64>,
    /// For `order`: the number of other lanes of its group whose first task goes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Count>, nullable = false)]
    lanes: Option<u64>,
}

impl From<WaitReason> for ReasonAnswer {
    fn from(reason: WaitReason) -> Self {
        let (mut of, mut groups, mut lanes) = (None, None, None);
        match reason {
            WaitReason::Shut { of: whose, .. } => of = Some(whose),
            WaitReason::Turn { groups: first } => groups = Some(first),
            WaitReason::Order { lanes: first } => lanes = Some(first),
            _ => {}
        }
        Self {
            reason: reason.word(),
            until: reason.until(),
            of,
            groups,
            lanes,
        }
    }
}

impl From<Waiting> for WaitingAnswer {
    fn from(waiting: Waiting) -> Self {
        Self {
            reasons: waiting.reasons.into_iter().map(ReasonAnswer::from).collect(),
            ahead: waiting.ahead.map(|ahead| AheadAnswer {
                tasks: ahead.tasks,
                at_least: ahead.at_least,
            }),
        }
    }
}

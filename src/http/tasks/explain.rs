//! Why a waiting task is not running, as it is shown.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Millis;
use crate::domain::explain::{WaitReason, Waiting};
use crate::http::wire;

/// Why a task is not running.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Waiting)]
pub(in crate::http) struct WaitingAnswer {
    /// At least one; the one that matters most first.
    reasons: Vec<ReasonAnswer>,
    /// Tasks of its lane (its name, group and priority) that come first: ready tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ahead: Option<AheadAnswer>,
}

/// How many there are, counted exactly up to 1,000.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ahead)]
struct AheadAnswer {
    tasks: u64,
    /// There are more than `tasks`.
    at_least: bool,
}

/// One of the things that a task waits for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitReason)]
struct ReasonAnswer {
    /// `scheduled` (somebody said when), `retry_backoff` (its last attempt failed), `deferred` (a worker gave it back and said
    /// when), `paused` (leases of the queue are stopped), `held`, `rate_limited`, `concurrency_limited`, `breaker_open` (by a gate of `of`), `no_worker` (nobody asks for it), `turn` (other groups have their turn first), `order` (others of its group come
    /// first) or `next` (the next lease call that may have it gets it). More may come: read an unknown one as "not now".
    reason: &'static str,
    /// Of the first three: not before. Of a pause and of gates: when they may let it through, unless they wait for something to happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    until: Option<Millis>,
    /// Of gates: `queue`, `name` or `group`, whose limit, hold or breaker it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    of: Option<&'static str>,
    /// Of `turn`: groups whose turn comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Count>, nullable = false)]
    groups: Option<u64>,
    /// Of `order`: other lanes of its group whose first task comes before it.
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

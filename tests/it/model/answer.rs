//! Responses for callers and views for readers: model and scripts must agree on both.

use bytes::Bytes;
use leaseq::domain::change::{Cancelled, Changed, NotChanged};
use leaseq::domain::full::Full;
use leaseq::domain::task::{DeadReason, Enqueued, Made, NotEnqueued};
use leaseq::domain::{Millis, RetryPolicy, TaskId, TaskState};
use leaseq::store::ops::follow::Followed;

use leaseq::store::ops::pause::PauseChanged;
use leaseq::store::ops::replay::Moved;

use super::pause::Paused;
use super::task::{Attempt, Nonce};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer {
    #[default]
    Nothing,
    Configured {
        version: u64,
    },
    Accepted(Vec<Accepted>),
    /// Until when.
    Held(Option<Millis>),
    Leased {
        /// When something is due or a lease runs out, so that the caller knows when to look again.
        next_at: Option<Millis>,
        grants: Vec<Grant>,
        /// Wishes that were granted before, and what of that is still leased.
        recalled: Vec<(usize, Vec<Grant>)>,
    },
    Settled(Vec<Told>),
    Followed(Vec<Followed>),
    Replayed {
        ready: u64,
        /// Each dead letter, and when its new task is due or why it stays.
        moved: Vec<(TaskId, Moved)>,
    },
    DeadPurged(Vec<TaskId>),
    Swept {
        next_at: Option<Millis>,
        expired: u64,
        came_due: u64,
    },
    Cancelled(Vec<Result<Cancelled, NotChanged>>),
    Paused(PauseChanged),
    Changed(Result<Changed, NotChanged>),
    Purged {
        purged: u64,
        cancel_requested: u64,
    },
    /// And made anew, with this version.
    Deleted {
        tasks: u64,
        version: u64,
    },
}

/// One enqueue of a batch: how many were ready at once, what each was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub ready: u64,
    pub outcomes: Vec<Result<Enqueued, NotEnqueued>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub wish: usize,
    pub id: TaskId,
    pub grant: u32,
    pub nonce: Nonce,
    pub attempt: u16,
    pub deferrals: u16,
    pub granted_at: Millis,
    pub expires_at: Millis,
    pub lease_ms: u64,
    pub ready_at: Millis,
    pub task_expires_at: Option<Millis>,
    pub payload: Bytes,
    /// Type of the error that the attempt before ended with.
    pub last_error: Option<String>,
}

/// The response for the holder of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Acked {
        late: bool,
        already: bool,
    },
    Nacked {
        state: TaskState,
        attempt: u16,
        attempts_left: u16,
        next_at: Option<Millis>,
        already: bool,
    },
    Extended {
        until: Millis,
        cancel_requested: bool,
    },
    Released {
        state: TaskState,
        run_at: Option<Millis>,
        already: bool,
    },
    Lost,
    Unknown,
}

impl Told {
    fn word(&self) -> &'static str {
        match self {
            Self::Acked { already: true, .. } => "acked already",
            Self::Acked { late: true, .. } => "acked late",
            Self::Acked { .. } => "acked",
            Self::Nacked { already: true, .. } => "nacked already",
            Self::Nacked {
                state: TaskState::Dead,
                ..
            } => "nacked dead",
            Self::Nacked {
                state: TaskState::Ready,
                ..
            } => "nacked ready",
            Self::Nacked {
                state: TaskState::Cancelled,
                ..
            } => "nacked cancelled",
            Self::Nacked { .. } => "nacked scheduled",
            Self::Extended {
                cancel_requested: true,
                ..
            } => "extended and told to end",
            Self::Extended { .. } => "extended",
            Self::Released { already: true, .. } => "released already",
            Self::Released {
                state: TaskState::Dead,
                ..
            } => "released dead",
            Self::Released {
                state: TaskState::Ready,
                ..
            } => "released ready",
            Self::Released {
                state: TaskState::Cancelled,
                ..
            } => "released cancelled",
            Self::Released { .. } => "released scheduled",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }

    /// The same to a caller who repeats.
    pub fn again(self) -> Self {
        match self {
            Self::Acked { .. } => Self::Acked {
                late: false,
                already: true,
            },
            Self::Nacked {
                state,
                attempt,
                attempts_left,
                next_at,
                ..
            } => Self::Nacked {
                state,
                attempt,
                attempts_left,
                next_at,
                already: true,
            },
            Self::Released { state, run_at, .. } => Self::Released {
                state,
                run_at,
                already: true,
            },
            other => other,
        }
    }
}

impl Answer {
    /// Words for what happened, so that a test can tell whether anything did.
    pub fn words(&self) -> Vec<&'static str> {
        let mut words = Vec::new();
        match self {
            Self::Leased { grants, recalled, .. } => {
                words.extend(grants.iter().map(|grant| match grant.attempt {
                    _ if grant.attempt < grant.grant as u16 => "granted after an uncounted grant",
                    1 => "granted",
                    _ => "granted again",
                }));
                words.extend(recalled.iter().map(|(_, grants)| match grants.is_empty() {
                    true => "recalled nothing",
                    false => "recalled",
                }));
            }
            Self::Held(until) => words.push(until.map_or("hold ended", |_| "hold")),
            Self::Settled(told) => words.extend(told.iter().map(Told::word)),
            Self::Replayed { moved, .. } => words.extend(moved.iter().map(|(_, moved)| match moved {
                Moved::Moved(Some(_)) => "replayed scheduled",
                Moved::Moved(None) => "replayed ready",
                Moved::Full(_) => "not replayed into a full queue",
                Moved::Taken(_) | Moved::Gone => "not replayed",
            })),
            Self::DeadPurged(ids) => words.extend(ids.iter().map(|_| "purged dead")),
            Self::Swept {
                expired, came_due, ..
            } => {
                words.extend((*expired > 0).then_some("took back"));
                words.extend((*came_due > 0).then_some("came due"));
            }
            Self::Accepted(accepted) => {
                let outcomes = accepted.iter().flat_map(|accepted| &accepted.outcomes);
                words.extend(outcomes.map(|outcome| match outcome {
                    Err(NotEnqueued::Duplicate { .. }) => "rejected",
                    Err(NotEnqueued::Mismatch) => "mismatched",
                    Err(NotEnqueued::Full(Full::DeadLetters)) => "refused for its dead letters",
                    Err(NotEnqueued::Full(_)) => "refused by a full queue",
                    Err(NotEnqueued::Paused { .. }) => "refused while paused",
                    Ok(task) if task.replayed => "replayed",
                    Ok(task) => match task.made {
                        Made::Task => "made",
                        Made::Duplicate => "duplicate",
                        Made::Replacement => "replaced",
                    },
                }));
            }
            Self::Followed(told) => words.extend(told.iter().map(|told| match told {
                Followed::Waiting => "followed",
                Followed::Ended => "ended before",
                Followed::Gone => "gone before",
            })),
            Self::Cancelled(told) => words.extend(told.iter().map(|told| match told {
                Ok(Cancelled::Done) => "cancelled",
                Ok(Cancelled::Requested) => "cancel requested",
                Err(NotChanged::State(_)) => "cancel refused",
                Err(NotChanged::Unknown) => "cancel of nothing",
            })),
            Self::Changed(told) => words.push(match told {
                Ok(changed) if changed.state == TaskState::Scheduled => "changed, scheduled",
                Ok(_) => "changed, ready",
                Err(_) => "change refused",
            }),
            Self::Paused(PauseChanged::Past) => words.push("not paused"),
            Self::Paused(PauseChanged::Done { ready: 1.., .. }) => words.push("resumed with tasks"),
            Self::Purged { purged, .. } => words.extend((*purged > 0).then_some("purged")),
            Self::Deleted { tasks, .. } => words.extend((*tasks > 0).then_some("deleted")),
            Self::Nothing | Self::Configured { .. } | Self::Paused(PauseChanged::Done { .. }) => {}
        }
        words
    }
}

/// Everything a reader can see of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub counts: Counts,
    /// Every task ever enqueued; `None` for those that are gone.
    pub tasks: Vec<Option<SeenTask>>,
    /// Ids by state, in the order of the lists; ready ones sorted by id.
    pub lists: Vec<(TaskState, Vec<TaskId>)>,
    /// Dead letters by what killed them.
    pub groups: Vec<SeenGroup>,
}

/// Ordered by what is in it, for fingerprints are known to the scripts alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenGroup {
    pub name: String,
    pub error_type: String,
    /// Masked.
    pub message: String,
    pub count: u64,
    pub first_at: Millis,
    pub last_at: Millis,
    pub sample: TaskId,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    pub scheduled: u64,
    pub ready: u64,
    pub leased: u64,
    pub dead: u64,
    pub kept: u64,
    pub oldest_ready_at: Option<Millis>,
    pub accepted_total: u64,
    pub completed_total: u64,
    pub cancelled_total: u64,
    pub purged_total: u64,
    pub dead_evicted_total: u64,
    pub dead_aged_total: u64,
    pub replayed_total: u64,
    pub leases_expired_total: u64,
    pub duplicates_total: u64,
    pub paused: Option<Paused>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTask {
    pub id: TaskId,
    pub name: String,
    pub group: String,
    pub state: TaskState,
    pub payload: Bytes,
    pub priority: u16,
    pub attempt: u16,
    pub max_attempts: u16,
    pub deferrals: u16,
    pub grant: u32,
    pub lease_ms: u64,
    pub retry: RetryPolicy,
    pub enqueued_at: Millis,
    pub expires_at: Option<Millis>,
    pub ready_at: Option<Millis>,
    pub lease_expires_at: Option<Millis>,
    pub cancel_requested: bool,
    pub worker: Option<String>,
    pub progress: Option<Bytes>,
    pub finished_at: Option<Millis>,
    pub result: Option<Bytes>,
    pub reason: Option<DeadReason>,
    pub attempts: Vec<Attempt>,
    pub unique_key: Option<String>,
}

impl Seen {
    /// The differences from the expectation, one line each.
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |seen: String, expected: String| {
            if seen != expected {
                differences.push(format!("{seen} for {expected}"));
            }
        };
        compare(format!("{:?}", self.counts), format!("{:?}", expected.counts));
        for (seen, expected) in self.tasks.iter().zip(&expected.tasks) {
            compare(format!("{seen:?}"), format!("{expected:?}"));
        }
        for (seen, expected) in self.lists.iter().zip(&expected.lists) {
            compare(format!("{seen:?}"), format!("{expected:?}"));
        }
        compare(format!("{:?}", self.groups), format!("{:?}", expected.groups));
        differences
    }
}

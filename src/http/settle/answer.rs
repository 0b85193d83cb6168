//! What workers are told of their operations.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};

use crate::domain::settle::Settled;
use crate::domain::{Millis, TaskId, TaskState};
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::wire;

/// The task is completed.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct AckAnswer {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    #[schema(value_type = wire::State)]
    state: TaskState,
    /// There, and true, when the lease had run out but nobody had been granted the task since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    late: bool,
    /// There, and true, when this lease had acked the task before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    already: bool,
}

/// The attempt is counted as failed.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct NackAnswer {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    #[schema(value_type = wire::State)]
    state: TaskState,
    attempt: u16,
    attempts_left: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    next_attempt_at: Option<Millis>,
    /// There, and true, when this lease had nacked the task before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    already: bool,
}

/// The lease is prolonged.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ExtendAnswer {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    #[schema(value_type = wire::Instant)]
    lease_expires_at: Millis,
    /// Whether the worker should stop: an ack still completes the task, nack and release cancel it.
    cancel_requested: bool,
}

/// The task is given back.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ReleaseAnswer {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    #[schema(value_type = wire::State)]
    state: TaskState,
    /// When it becomes ready: scheduled tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    run_at: Option<Millis>,
    /// There, and true, when this lease had released the task before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    already: bool,
}

/// The answer to an operation, in the form of its verb.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::http) enum SettleAnswer {
    Ack(AckAnswer),
    Nack(NackAnswer),
    Extend(ExtendAnswer),
    Release(ReleaseAnswer),
}

/// Any of them and not one: what an ack answers could also be a release's.
impl utoipa::PartialSchema for SettleAnswer {
    fn schema() -> RefOr<Schema> {
        let forms = ["AckAnswer", "NackAnswer", "ExtendAnswer", "ReleaseAnswer"];
        let any_of = forms.iter().fold(AnyOfBuilder::new(), |any, form| {
            any.item(Ref::from_schema_name(*form))
        });
        Schema::from(any_of.description(Some("The answer to an operation, in the form of its verb."))).into()
    }
}

impl ToSchema for SettleAnswer {}

impl From<Settled> for SettleAnswer {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Acked { id, late, already } => Self::Ack(AckAnswer {
                id,
                state: TaskState::Completed,
                late,
                already,
            }),
            Settled::Nacked {
                id,
                state,
                attempt,
                attempts_left,
                next_attempt_at,
                already,
            } => Self::Nack(NackAnswer {
                id,
                state,
                attempt,
                attempts_left,
                next_attempt_at,
                already,
            }),
            Settled::Extended {
                id,
                lease_expires_at,
                cancel_requested,
            } => Self::Extend(ExtendAnswer {
                id,
                lease_expires_at,
                cancel_requested,
            }),
            Settled::Released {
                id,
                state,
                run_at,
                already,
            } => Self::Release(ReleaseAnswer {
                id,
                state,
                run_at,
                already,
            }),
        }
    }
}

/// One operation's outcome among others: the answer of its verb, or `error`.
#[derive(Serialize, ToSchema)]
#[schema(as = SettleItem)]
pub(in crate::http) struct ItemAnswer<'a> {
    /// From 0, in the order of the request.
    index: usize,
    #[serde(flatten)]
    outcome: Outcome<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SettleOutcome)]
#[serde(untagged)]
enum Outcome<'a> {
    Done(SettleAnswer),
    Failed { error: ProblemDocument<'a> },
}

/// The results of many operations, in order.
pub(in crate::http) fn items(results: &[Result<Settled, Problem>]) -> Vec<ItemAnswer<'_>> {
    results
        .iter()
        .enumerate()
        .map(|(index, result)| ItemAnswer {
            index,
            outcome: match result {
                Ok(settled) => Outcome::Done(settled.clone().into()),
                Err(problem) => Outcome::Failed {
                    error: problem.document(None),
                },
            },
        })
        .collect()
}

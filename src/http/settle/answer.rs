//! Responses to settles.

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
    /// Present and true if the lease had expired but nobody had been granted the task since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    late: bool,
    /// Present and true if this lease had acked the task before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    already: bool,
}

/// The attempt counts as failed.
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
    /// Present and true if this lease had nacked the task before.
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
    /// Whether the worker should stop. An ack still completes the task; nack and release cancel it.
    cancel_requested: bool,
}

/// The task was returned.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct ReleaseAnswer {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    #[schema(value_type = wire::State)]
    state: TaskState,
    /// Time at which the task becomes ready. Present for scheduled tasks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    run_at: Option<Millis>,
    /// Present and true if this lease had released the task before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    already: bool,
}

/// The response to an operation, in the form of its verb.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::http) enum SettleAnswer {
    Ack(AckAnswer),
    Nack(NackAnswer),
    Extend(ExtendAnswer),
    Release(ReleaseAnswer),
}

/// `anyOf`, not `oneOf`: the response to an ack also matches the schema of a release.
impl utoipa::PartialSchema for SettleAnswer {
    fn schema() -> RefOr<Schema> {
        let forms = ["AckAnswer", "NackAnswer", "ExtendAnswer", "ReleaseAnswer"];
        let any_of = forms.iter().fold(AnyOfBuilder::new(), |any, form| {
            any.item(Ref::from_schema_name(*form))
        });
        Schema::from(any_of.description(Some("The response to an operation, in the form of its verb.")))
            .into()
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

/// The outcome of one operation in a batch: the response of its verb, or `error`.
#[derive(Serialize, ToSchema)]
#[schema(as = SettleItem)]
pub(in crate::http) struct ItemAnswer<'a> {
    /// Index of the operation in the request, from 0.
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

/// Builds the results of many operations, in order.
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

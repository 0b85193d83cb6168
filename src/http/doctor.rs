//! What is wrong with the service and its Redis, for operators.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::problem::Problem;
use super::problem::sets::{ALWAYS, QUERY, problem_set};
use super::query::NoQuery;
use crate::domain::checkup::{self, Check};

/// Everything that was looked at.
#[derive(Serialize, ToSchema)]
#[schema(as = Checkup)]
pub(super) struct CheckupAnswer<'a> {
    /// The worst of them: `ok`, `warn` or `fail`.
    status: &'static str,
    checks: Vec<CheckAnswer<'a>>,
}

/// One thing that was looked at.
#[derive(Serialize, ToSchema)]
#[schema(as = Check)]
struct CheckAnswer<'a> {
    /// What was looked at.
    name: &'static str,
    /// `ok`, `warn` (it works, and will bite somebody) or `fail` (it does not work, or loses tasks).
    status: &'static str,
    /// What was seen.
    detail: &'a str,
    /// What to do about it; not there when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    advice: Option<&'a str>,
}

impl<'a> CheckupAnswer<'a> {
    pub(super) fn of(checks: &'a [Check]) -> Self {
        let line = |check: &'a Check| CheckAnswer {
            name: check.name,
            status: check.verdict.word(),
            detail: &check.detail,
            advice: check.advice.as_deref(),
        };
        Self {
            status: checkup::worst(checks).word(),
            checks: checks.iter().map(line).collect(),
        }
    }
}

problem_set! { DoctorProblems: ALWAYS, QUERY }

/// Look at the service and its Redis: version, eviction, persistence, permissions, clocks, files.
///
/// Answers 200 whatever it finds, also when Redis is not there: `status` says how it is.
#[utoipa::path(
    get, path = "/v1/doctor", operation_id = "doctor", tag = "service",
    responses((status = 200, description = "What was seen", body = CheckupAnswer), DoctorProblems),
)]
pub(super) async fn doctor(State(api): State<Api>, _: NoQuery) -> Result<Response, Problem> {
    let mut checks = match api.engine() {
        Ok(engine) => engine.checkup().await,
        Err(_) => vec![Check::fail(
            "redis",
            "it has not answered since the service started",
            "Look at the log of the service, and at Redis: it may still be loading its data.",
        )],
    };
    checks.extend(api.process_checks());
    Ok(Json(CheckupAnswer::of(&checks)).into_response())
}

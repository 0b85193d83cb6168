//! The doctor: checks of the service and its Redis, for operators.

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

/// The result of all checks.
#[derive(Serialize, ToSchema)]
#[schema(as = Checkup)]
pub(super) struct CheckupAnswer<'a> {
    /// The worst status of all checks: `ok`, `warn` or `fail`.
    status: &'static str,
    checks: Vec<CheckAnswer<'a>>,
}

/// One check.
#[derive(Serialize, ToSchema)]
#[schema(as = Check)]
struct CheckAnswer<'a> {
    /// Name of the check.
    name: &'static str,
    /// `ok`, `warn` (works now, but will cause trouble) or `fail` (does not work, or loses tasks).
    status: &'static str,
    /// The observed state.
    detail: &'a str,
    /// The advice; absent if the status is `ok`.
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

/// Check the service and its Redis: version, eviction, persistence, permissions, clocks, files.
///
/// The response is 200 whatever the checks find, even without Redis: read `status`.
#[utoipa::path(
    get, path = "/v1/doctor", operation_id = "doctor", tag = "service",
    responses((status = 200, description = "The checks and their results", body = CheckupAnswer), DoctorProblems),
)]
pub(super) async fn doctor(State(api): State<Api>, _: NoQuery) -> Result<Response, Problem> {
    let mut checks = match api.engine() {
        Ok(engine) => engine.checkup().await,
        Err(_) => vec![Check::fail(
            "redis",
            "Redis has not replied since the service started",
            "Read the log of the service and check Redis: it may still be loading its data.",
        )],
    };
    checks.extend(api.process_checks());
    Ok(Json(CheckupAnswer::of(&checks)).into_response())
}

//! Failed requests: their texts, exit codes and next steps.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::cli::exit::{Exit, Failure};

/// A problem document (RFC 9457). Fields are empty if the response was something else.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct Problem {
    pub(in crate::cli) status: u16,
    pub(in crate::cli) code: String,
    pub(in crate::cli) title: String,
    pub(in crate::cli) detail: String,
    pub(in crate::cli) errors: Vec<FieldError>,
    pub(in crate::cli) retry_after_seconds: Option<f64>,
    pub(in crate::cli) outcome: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct FieldError {
    pub(in crate::cli) pointer: String,
    pub(in crate::cli) detail: String,
}

/// The reason why a request brought no usable response.
#[derive(Debug)]
pub(in crate::cli) enum CallError {
    /// There was no connection, so nothing was sent.
    Unreachable(String),
    /// The request was sent but got no response, so it may have taken effect.
    NoResponse(String),
    /// The service refused the request.
    Problem(Box<Problem>),
}

impl CallError {
    /// Returns the pause that the service asked for.
    pub(in crate::cli) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem
                .retry_after_seconds
                .filter(|seconds| (0.0..=86_400.0).contains(seconds))
                .map(Duration::from_secs_f64),
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.title)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        for error in &self.errors {
            write!(f, "\n  {}: {}", error.pointer, error.detail)?;
        }
        if self.code.is_empty() {
            write!(f, " (status {})", self.status)
        } else {
            write!(f, " ({}, status {})", self.code, self.status)
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text) => write!(f, "the service cannot be reached: {text}"),
            Self::NoResponse(text) => write!(
                f,
                "the service did not respond, and the request may have taken effect: {text}"
            ),
            Self::Problem(problem) => problem.fmt(f),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        match &error {
            CallError::Unreachable(_) => Self::new(Exit::Unreachable, message)
                .hint("leaseq serve, or --url or LEASEQ_URL with the address of a running service"),
            CallError::NoResponse(_) => Self::new(Exit::Unreachable, message)
                .hint("again: ack, nack, extend and release are safe to repeat, but an enqueue may create its task twice"),
            CallError::Problem(problem) => {
                let failure = Self::new(Exit::of_status(problem.status), message);
                match next_step(problem) {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
        }
    }
}

fn next_step(problem: &Problem) -> Option<String> {
    let wait = problem
        .retry_after_seconds
        .map_or_else(String::new, |seconds| format!(" in {seconds} s"));
    Some(match (problem.status, problem.code.as_str()) {
        (401, _) => "--api-key-file FILE or LEASEQ_API_KEY".into(),
        (403, "origin_refused") => "--url with a loopback address, such as http://127.0.0.1:8080".into(),
        (403, _) => "a key with this permission; GET /v1/whoami lists the permissions of yours".into(),
        (404, "lease_unknown") => "no repeat: the task is finished, or the lease_id is from another service".into(),
        (404, _) => "leaseq stats, which lists all queues".into(),
        (409, "lease_lost") => {
            "leaseq lease: this lease has expired, or another worker has the task".into()
        }
        (413, _) => "a smaller request; GET /v1/limits lists the limits".into(),
        (429 | 503, _) => format!("again{wait}"),
        (504, _) => "again: ack, nack, extend and release are safe to repeat, but an enqueue may create its task twice".into(),
        (507, _) => "leaseq work or a purge, to free space".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_printed_with_its_fields_and_the_next_step() {
        let problem: Problem = serde_json::from_str(
            r#"{"type":"/docs/errors/invalid","title":"Invalid","status":422,"detail":"2 fields","code":"invalid",
                "errors":[{"pointer":"/priority","detail":"must be 0..1000"}],"later":true}"#,
        )
        .unwrap();
        let failure = Failure::from(CallError::Problem(Box::new(problem)));
        assert_eq!(
            failure.to_string(),
            "leaseq: Invalid: 2 fields\n  /priority: must be 0..1000 (invalid, status 422)\n"
        );
        let busy = Problem {
            status: 503,
            retry_after_seconds: Some(2.0),
            ..Problem::default()
        };
        let failure = Failure::from(CallError::Problem(Box::new(busy)));
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.to_string().contains("again in 2 s"));
    }
}

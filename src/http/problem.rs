//! Problems: every error answer of the API (RFC 9457), from one [`table`].
//!
//! A problem has two texts: `detail` is for the caller, `cause` is for the log. They never mix.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::value::RawValue;

pub(super) mod page;
pub(super) mod sets;
mod table;

pub use table::{Code, Outcome, Retry, Row};

impl Code {
    /// A problem that says no more than the table.
    pub(super) fn problem(self) -> Problem {
        self.because(self.row().means)
    }

    /// A problem with a text of its own for the caller.
    pub(super) fn because(self, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem(Box::new(Told {
            code: self,
            detail: detail.into(),
            errors: Vec::new(),
            cause: None,
            retry_in_seconds: None,
            settled: None,
        }))
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(super) struct FieldError {
    /// A JSON pointer into the body (`/tasks/3/priority`), or `query:`, `path:`, `header:` and a name.
    #[schema(example = "/priority")]
    pub(super) pointer: String,
    /// What is allowed.
    #[schema(example = "must be an integer from 0 to 1000")]
    pub(super) detail: Cow<'static, str>,
}

/// An error answer. Boxed, because it is rare and results that carry it are not.
#[derive(Debug, Clone)]
pub(super) struct Problem(Box<Told>);

#[derive(Debug, Clone)]
struct Told {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    cause: Option<Cow<'static, str>>,
    /// Where more is known than the table says.
    retry_in_seconds: Option<u32>,
    settled: Option<Box<RawValue>>,
}

impl Problem {
    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    #[cfg(test)]
    pub(super) fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// Where something is wrong, in the order of `errors`.
    #[cfg(test)]
    pub(super) fn pointers(&self) -> Vec<String> {
        self.0.errors.iter().map(|error| error.pointer.clone()).collect()
    }

    /// Names what is wrong in the request. `detail` alone is enough for a person where it is one thing.
    pub(super) fn of_fields(code: Code, errors: Vec<FieldError>) -> Self {
        let mut problem = match &errors[..] {
            [] => code.problem(),
            [FieldError { pointer, detail }] if pointer.is_empty() => {
                code.because(format!("the body {detail}"))
            }
            [FieldError { pointer, detail }] => code.because(format!("{pointer} {detail}")),
            [FieldError { pointer, detail }, others @ ..] => code.because(format!(
                "{pointer} {detail}; and {} more in `errors`",
                others.len()
            )),
        };
        problem.0.errors = errors;
        problem
    }

    /// One wrong thing.
    pub(super) fn at(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        let error = FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        };
        Self::of_fields(Code::ValidationFailed, vec![error])
    }

    /// The problem of a batch of which nothing was done, for one reason that is no item's own.
    pub(super) fn of_all<T>(results: &[Result<T, Self>]) -> Option<&Self> {
        let first = results.first()?.as_ref().err()?;
        let code = first.code();
        let of_the_service = code.status().is_server_error()
            || matches!(
                code,
                Code::QueueUnknown | Code::QueuePaused | Code::QueueFull | Code::QueuesFull
            );
        let same = |result: &Result<T, Self>| result.as_ref().is_err_and(|problem| problem.code() == code);
        (of_the_service && results.iter().all(same)).then_some(first)
    }

    /// What the log says and the caller does not see.
    pub(super) fn caused_by(mut self, cause: impl Into<Cow<'static, str>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// When repeating the request can help, if that is known better than the table does; never too early.
    pub(super) fn retry_in(mut self, ms: Option<u64>) -> Self {
        self.0.retry_in_seconds = ms.map(|ms| u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX));
        self
    }

    pub(super) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// A lease call that failed after its `settle` operations were done still says what became of them.
    pub(super) fn with_settled(mut self, settled: Option<Box<RawValue>>) -> Self {
        self.0.settled = settled;
        self
    }

    /// The document as the caller reads it; `instance` is the request id.
    pub(super) fn document<'a>(&'a self, instance: Option<&'a str>) -> ProblemDocument<'a> {
        let row = self.0.code.row();
        ProblemDocument {
            kind: format!("/docs/errors/{}", row.code),
            title: row.title,
            status: row.status,
            detail: &self.0.detail,
            instance,
            code: row.code,
            errors: &self.0.errors,
            retry_after_seconds: self.0.retry_in_seconds.or(match row.retry {
                Retry::No | Retry::Told => None,
                Retry::AfterSeconds(seconds) => Some(seconds),
            }),
            outcome: row.outcome.map(Outcome::word),
            settled: self.0.settled.as_deref(),
        }
    }

    /// The answer: status, `Retry-After` and the document. Headers that say more are the caller's to add.
    pub(super) fn render(&self, instance: &str) -> Response {
        let document = self.document(Some(instance));
        let body = serde_json::to_vec(&document).expect("a problem has only text and numbers");
        let mut response = Response::new(body.into());
        *response.status_mut() = self.code().status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if let Some(seconds) = document.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code() == Code::UnsupportedEncoding {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
        }
        response
    }
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const ACCEPT_ENCODING: HeaderName = header::ACCEPT_ENCODING;

/// The problem travels to the edge as an extension: only there is the request id known.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code().status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What is wrong, in the form of RFC 9457.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemDocument<'a> {
    /// A page that explains the code, relative to the service.
    #[serde(rename = "type")]
    #[schema(example = "/docs/errors/validation_failed")]
    kind: String,
    title: &'a str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time.
    detail: &'a str,
    /// The request id, as in `X-Request-Id` and the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    instance: Option<&'a str>,
    /// The stable name of the problem: what programs compare.
    #[schema(example = "validation_failed")]
    code: &'a str,
    /// Each thing that is wrong with the request.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
    /// As in the `Retry-After` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_seconds: Option<u32>,
    /// `not_applied`: nothing was written. `unknown`: it may or may not have happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outcome: Option<&'a str>,
    /// Of a lease call that failed after its `settle` operations: their results.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>, nullable = false)]
    settled: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttled_caller_is_told_when_to_come_back() {
        for code in Code::ALL
            .iter()
            .filter(|code| matches!(code.row().status, 429 | 503))
        {
            let response = code.problem().render("r");
            assert!(response.headers().contains_key(header::RETRY_AFTER), "{code:?}");
        }
    }

    #[test]
    fn what_is_known_better_than_the_table_says_is_told() {
        for (ms, seconds) in [
            (None, None),
            (Some(0), Some("0")),
            (Some(1), Some("1")),
            (Some(2_001), Some("3")),
        ] {
            let response = Code::QueuePaused.problem().retry_in(ms).render("r");
            let told = response.headers().get(header::RETRY_AFTER);
            assert_eq!(told.map(|value| value.to_str().unwrap()), seconds, "{ms:?}");
        }
    }

    #[test]
    fn the_cause_is_for_the_log_only() {
        let problem = Code::Internal.problem().caused_by("redis://10.0.0.7 said no");
        let text = serde_json::to_string(&problem.document(Some("r-1"))).unwrap();
        assert!(!text.contains("10.0.0.7") && text.contains("\"instance\":\"r-1\""));
    }

    #[test]
    fn a_failed_lease_call_still_tells_what_was_settled() {
        let settled = RawValue::from_string("[{\"index\":0}]".to_owned()).unwrap();
        let problem = Code::StoreUnavailable.problem().with_settled(Some(settled));
        let shown = serde_json::to_value(problem.document(None)).unwrap();
        assert_eq!(
            (&shown["outcome"], &shown["settled"][0]["index"]),
            (&"not_applied".into(), &0.into())
        );
    }
}

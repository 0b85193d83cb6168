//! The edge: everything that every request needs, in one function instead of many layers.
//!
//! Each layer would cost boxes and clones per request, and one function makes the order readable. Compression
//! of responses and CORS are deliberately absent.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{ALLOW, AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tracing::Instrument;

use super::api::Api;
use super::problem::{Code, Problem};
use super::request_id::{self, X_REQUEST_ID};
use crate::domain::limits::WAIT_SECONDS_MAX;
use crate::metrics::Metrics;

/// The last deadline of a request. It is longer than the longest wait of a lease call, the deadline of its
/// body and a store call together, so that only stuck requests reach it.
const ANSWER_DEADLINE: Duration = Duration::from_secs(WAIT_SECONDS_MAX + 60);

const DURABILITY: HeaderName = HeaderName::from_static("leaseq-durability");
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

pub(super) async fn edge(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    // First, so that logs and responses of all later steps carry the id.
    let id = request_id::of(request.headers());
    // Before anything can fail or be dropped, so that a caller who leaves is counted, too.
    let mut seen = Seen::begin(&api, &request);
    // Before anything can log a request.
    hide_secrets(request.headers_mut());

    let is_write = !matches!(*request.method(), Method::GET | Method::HEAD);
    let level = api.durability();
    let mut response = match api.origin().check(request.uri(), request.headers()) {
        // Before routing, so that a refused page learns nothing about routes.
        Err(refused) => refused.into_response(),
        Ok(()) => {
            // At debug level, so that a request usually costs no span. Contains no query, no body, no
            // lease_id.
            let span = tracing::debug_span!(
                "request",
                id = id.to_str().unwrap_or_default(),
                method = seen.method,
                route = seen.route()
            );
            // A panic ends one request, not the service. A stuck request ends with a response.
            let answer = AssertUnwindSafe(next.run(request))
                .catch_unwind()
                .instrument(span);
            match tokio::time::timeout(ANSWER_DEADLINE, answer).await {
                Ok(Ok(response)) => response,
                Ok(Err(panic)) => panicked(&*panic),
                Err(_) => stuck(is_write),
            }
        }
    };
    // After everything that can respond, so that every error response is a problem.
    if response.status().as_u16() >= 400 {
        response = told(response, &id, &seen, &api);
    } else if is_write && let (Some(before), Some(after)) = (level, api.durability()) {
        // The clock may have advanced in between.
        let level = HeaderValue::from_static(before.or_else(after).word());
        response.headers_mut().insert(DURABILITY, level);
    }
    seen.answered(response.status());
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

fn hide_secrets(headers: &mut HeaderMap) {
    for name in [&AUTHORIZATION, &COOKIE, &X_API_KEY] {
        if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(true);
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or(panic.downcast_ref::<String>().map(String::as_str));
    let cause = format!("a handler panicked: {}", text.unwrap_or("no text"));
    Code::Internal.problem().caused_by(cause).into_response()
}

fn stuck(is_write: bool) -> Response {
    let code = if is_write {
        Code::OutcomeUnknown
    } else {
        Code::Timeout
    };
    code.problem()
        .caused_by("no response within the deadline")
        .into_response()
}

/// Writes the problem document of an error response, and a log line if the service is at fault.
fn told(mut response: Response, id: &HeaderValue, seen: &Seen, api: &Api) -> Response {
    let problem = response.extensions_mut().remove::<Problem>();
    let problem = problem.unwrap_or_else(|| by_status(response.status()));
    let instance = id.to_str().unwrap_or_default();
    let code = problem.code().word();
    if problem.code().status().is_server_error()
        && let Some(swallowed) = api.failure_log().line(problem.code())
    {
        tracing::warn!(
            request_id = instance,
            method = seen.method,
            route = seen.route(),
            code,
            cause = problem.cause().unwrap_or_default(),
            swallowed,
            "a request failed"
        );
    }
    seen.metrics.http.problem(code);
    let mut told = problem.render(instance);
    if let Some(allow) = response.headers_mut().remove(ALLOW) {
        told.headers_mut().insert(ALLOW, allow);
    }
    told
}

/// Turns a response that axum made itself into a problem.
fn by_status(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Code::NotFound.problem(),
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed.problem(),
        StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge.problem(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType.problem(),
        StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout.problem(),
        StatusCode::BAD_REQUEST => Code::MalformedBody.problem(),
        status if status.is_client_error() => Code::ValidationFailed.problem(),
        status => Code::Internal
            .problem()
            .caused_by(format!("a response {status} without a problem")),
    }
}

/// Counts one request in the metrics, even if its future is dropped.
struct Seen {
    metrics: Arc<Metrics>,
    method: &'static str,
    route: Option<MatchedPath>,
    started: Instant,
    status: Option<u16>,
}

impl Seen {
    fn begin(api: &Api, request: &Request) -> Self {
        let metrics = Arc::clone(api.metrics());
        metrics.http.in_flight.inc();
        Self {
            metrics,
            method: method_label(request.method()),
            route: request.extensions().get().cloned(),
            started: Instant::now(),
            status: None,
        }
    }

    fn answered(&mut self, status: StatusCode) {
        self.status = Some(status.as_u16());
    }

    /// Returns the template of a route, never the path: labels and logs stay bounded and free of lease ids.
    fn route(&self) -> &str {
        self.route.as_ref().map_or("unmatched", MatchedPath::as_str)
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.metrics.http.in_flight.dec();
        self.metrics
            .http
            .observe(self.method, self.route(), self.status, self.started.elapsed());
    }
}

/// Returns a bounded label: clients can invent methods.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

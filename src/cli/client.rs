//! A client of the public API. It uses nothing that other programs cannot use.

mod failure;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;

use super::exit::{Exit, Failure};
pub(super) use failure::{CallError, Problem};

/// How much longer than its own wait a request may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// The longest response is a lease: 8 MiB of payloads in up to a thousand tasks.
const RESPONSE_BYTES_MAX: usize = 32 << 20;

/// A client for one service. Cheap to clone; Debug hides the key.
#[derive(Clone)]
pub(super) struct Api {
    base: String,
    key: Option<HeaderValue>,
    idempotency_key: Option<HeaderValue>,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// # Errors
    /// A URL that is not plain `http://host[:port][/prefix]`.
    pub(super) fn new(url: &str, key: Option<&str>) -> Result<Self, Failure> {
        let bad = |problem: &str| {
            // The message does not repeat the URL, because it may contain a password.
            Failure::usage(format!("the URL of the service {problem}")).hint("--url http://127.0.0.1:8080")
        };
        let uri: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(bad(
                    "is https, which this command does not support yet: use the plain HTTP address of the service",
                ));
            }
            _ => return Err(bad("must begin with http://")),
        }
        if uri
            .authority()
            .is_none_or(|authority| authority.as_str().contains('@'))
        {
            return Err(bad(
                "must be http://host:port: pass a key with --api-key-file or LEASEQ_API_KEY",
            ));
        }
        let key = key
            .map(|key| {
                let mut value = HeaderValue::try_from(format!("Bearer {key}"))
                    .map_err(|_| Failure::usage("the API key contains invalid characters"))?;
                value.set_sensitive(true);
                Ok::<_, Failure>(value)
            })
            .transpose()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_PATIENCE));
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            key,
            idempotency_key: None,
            http: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                // The service closes idle connections after 30 s. A shorter timeout here avoids sending a
                // request on a connection that is being closed.
                .pool_idle_timeout(Duration::from_secs(20))
                .build(connector),
        })
    }

    /// Returns a client for one request that may be sent again. The service performs it once.
    ///
    /// # Errors
    /// A key that is not valid in a header.
    pub(super) fn repeatable(&self, idempotency_key: &str) -> Result<Self, Failure> {
        let value = HeaderValue::try_from(idempotency_key)
            .map_err(|_| Failure::usage("the idempotency key must be one line of printable ASCII"))?;
        Ok(Self {
            idempotency_key: Some(value),
            ..self.clone()
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Bytes, CallError> {
        self.call(Method::GET, path, None, Duration::ZERO).await
    }

    /// Sends a POST. `wait` is how long the service itself may wait before it responds.
    pub(super) async fn post(&self, path: &str, json: Vec<u8>, wait: Duration) -> Result<Bytes, CallError> {
        self.call(Method::POST, path, Some(("application/json", json.into())), wait)
            .await
    }

    pub(super) async fn patch(&self, path: &str, json: Vec<u8>) -> Result<Bytes, CallError> {
        let body = Some(("application/json", json.into()));
        self.call(Method::PATCH, path, body, Duration::ZERO).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Bytes, CallError> {
        self.call(Method::DELETE, path, None, Duration::ZERO).await
    }

    pub(super) async fn post_ndjson(&self, path: &str, lines: Bytes) -> Result<Bytes, CallError> {
        self.call(
            Method::POST,
            path,
            Some(("application/x-ndjson", lines)),
            Duration::ZERO,
        )
        .await
    }

    /// Returns a response of any length as a stream. The caller sets its own timeout for each read.
    pub(super) async fn stream(&self, path: &str) -> Result<Incoming, CallError> {
        let request = self.request(Method::GET, path, None)?;
        let response = tokio::time::timeout(PATIENCE, self.http.request(request)).await;
        let response = response
            .map_err(|_| self.no_response(PATIENCE))?
            .map_err(|error| self.failed(&error))?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(self
            .read(response)
            .await
            .err()
            .unwrap_or_else(|| self.no_response(PATIENCE)))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
        wait: Duration,
    ) -> Result<Bytes, CallError> {
        let request = self.request(method, path, body)?;
        match tokio::time::timeout(wait + PATIENCE, self.exchange(request)).await {
            Ok(response) => response,
            Err(_) => Err(self.no_response(wait + PATIENCE)),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Request<Full<Bytes>>, CallError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(USER_AGENT, concat!("leaseq/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key);
        }
        if let Some(key) = &self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let body = match body {
            Some((content_type, bytes)) => {
                request = request.header(CONTENT_TYPE, content_type);
                bytes
            }
            None => Bytes::new(),
        };
        request
            .body(Full::new(body))
            .map_err(|error| CallError::Unreachable(error.to_string()))
    }

    fn no_response(&self, within: Duration) -> CallError {
        CallError::NoResponse(format!(
            "no response from {} within {} s",
            self.base,
            within.as_secs()
        ))
    }

    fn failed(&self, error: &hyper_util::client::legacy::Error) -> CallError {
        let text = format!("{}: {}", self.base, root_cause(error));
        if error.is_connect() {
            CallError::Unreachable(text)
        } else {
            CallError::NoResponse(text)
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Bytes, CallError> {
        let response = self.http.request(request).await;
        self.read(response.map_err(|error| self.failed(&error))?).await
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, CallError> {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| CallError::NoResponse(format!("{}: {error}", self.base)))?
            .to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let mut problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        problem.status = status.as_u16();
        problem.retry_after_seconds = problem.retry_after_seconds.or(retry_after);
        if problem.title.is_empty() {
            status
                .canonical_reason()
                .unwrap_or("unknown status")
                .clone_into(&mut problem.title);
        }
        Err(CallError::Problem(Box::new(problem)))
    }
}

/// Returns the text of the innermost error. hyper's own text, "client error (Connect)", tells a user nothing.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Parses a response of the service.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::new(Exit::Error, format!("the response is not one of LeaseQ: {error}"))
            .hint("is --url the address of a LeaseQ service?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_work_is_refused_without_repeating_it() {
        for bad in [
            "localhost:8080",
            "https://h",
            "ftp://h",
            "http://user:hunter2@h",
            "",
        ] {
            let failure = Api::new(bad, None).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{bad}");
            assert!(!failure.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let api = Api::new("http://localhost:8080/", Some("hunter2")).unwrap();
        assert!(!format!("{api:?} {:?}", api.key).contains("hunter2"));
    }
}

//! What the headers of an enqueue say.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use super::field::{Later, Wrong};
use super::problem::Problem;
use crate::domain::task::Meta;

/// The trace context of an enqueue, stored and returned with the lease.
pub(super) struct Producer {
    pub(super) traceparent: Option<String>,
    pub(super) tracestate: Option<String>,
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// W3C Trace Context asks to carry at least this many bytes of `tracestate`; more is dropped.
const TRACESTATE_BYTES_MAX: usize = 512;

impl Producer {
    pub(super) fn meta(&self) -> Meta {
        Meta {
            headers: Default::default(),
            traceparent: self.traceparent.clone(),
            tracestate: self.tracestate.clone(),
            replayed_from: None,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Producer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if parts.headers.contains_key(&IDEMPOTENCY_KEY) {
            let mut wrong = Wrong::default();
            wrong.add_named("header", "Idempotency-Key", Later::refusal());
            return Err(wrong.into_problem());
        }
        let traceparent = text(&parts.headers, &TRACEPARENT).filter(|value| is_traceparent(value));
        // By the standard, a tracestate without a valid traceparent means nothing.
        let tracestate = traceparent
            .and(text(&parts.headers, &TRACESTATE))
            .filter(|value| value.len() <= TRACESTATE_BYTES_MAX);
        Ok(Self {
            traceparent: traceparent.map(str::to_owned),
            tracestate: tracestate.map(str::to_owned),
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, and what later versions may append.
fn is_traceparent(value: &str) -> bool {
    let hex = |part: Option<&str>, digits: usize| {
        part.is_some_and(|part| {
            part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let mut parts = value.split('-');
    value.len() <= 128
        && hex(parts.next(), 2)
        && hex(parts.next(), 32)
        && hex(parts.next(), 16)
        && hex(parts.next(), 2)
        && (parts.next().is_none() || !value.starts_with("00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_travels() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        assert!(is_traceparent(
            &good.replacen("00", "01", 1).replace("-01", "-01-x")
        ));
        for bad in ["", "x", &good[1..], &good.to_uppercase(), &format!("{good}-x")] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}

//! The headers of an enqueue.

use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, Required};

use super::problem::Problem;
use crate::domain::idempotency::Repeatable;
use crate::domain::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::domain::task::Meta;

/// The trace context of an enqueue, which leases return, and its `Idempotency-Key`.
#[derive(Default)]
pub(super) struct Producer {
    pub(super) traceparent: Option<String>,
    pub(super) tracestate: Option<String>,
    pub(super) idempotency_key: Option<String>,
}

/// The form of a body: the same bytes can mean different tasks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Task,
    Batch,
    Lines,
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The owner of the marks: without API keys, all callers are one.
const NOBODY: &str = "";
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// W3C Trace Context requires at least this many bytes of `tracestate`. Longer values are dropped.
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

    /// Reads the headers of a request and leaves the rest of it.
    pub(super) async fn split<S: Send + Sync>(
        request: Request,
        state: &S,
    ) -> Result<(Self, Request), Problem> {
        let (mut parts, body) = request.into_parts();
        let producer = Self::from_request_parts(&mut parts, state).await?;
        Ok((producer, Request::from_parts(parts, body)))
    }

    /// Returns the mark by which a repeat is recognised, if the request has a key.
    pub(super) fn repeatable(&self, form: Form, body: &[u8]) -> Option<Repeatable> {
        let form = match form {
            Form::Task => "task",
            Form::Batch => "batch",
            Form::Lines => "lines",
        };
        let key = self.idempotency_key.as_deref()?;
        Some(Repeatable::new(NOBODY, key, form, body))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Producer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let idempotency_key = idempotency_key(&parts.headers)?;
        let traceparent = text(&parts.headers, &TRACEPARENT).filter(|value| is_traceparent(value));
        // By the standard, a tracestate without a valid traceparent has no meaning.
        let tracestate = traceparent
            .and(text(&parts.headers, &TRACESTATE))
            .filter(|value| value.len() <= TRACESTATE_BYTES_MAX);
        Ok(Self {
            traceparent: traceparent.map(str::to_owned),
            tracestate: tracestate.map(str::to_owned),
            idempotency_key: idempotency_key.map(str::to_owned),
        })
    }
}

/// Reads a header that may appear once: two values would be two names for one request.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|key| {
        let printable = key.bytes().all(|b| (b' '..=b'~').contains(&b));
        printable && (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
    });
    match key {
        Some(key) if values.next().is_none() => Ok(Some(key)),
        _ => {
            let allowed =
                format!("must be sent once, as 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters");
            Err(Problem::at("header:Idempotency-Key", allowed))
        }
    }
}

/// The header, for the OpenAPI document.
pub(super) struct IdempotencyKey;

impl utoipa::IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(IDEMPOTENCY_KEY_BYTES_MAX))
            .pattern(Some("^[ -~]*$"));
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "A name that you give to the request. A repeat with the same body within the queue's `idempotency_seconds` \
                 returns the same ids and creates nothing twice; a repeat with another body is refused. A repeat of a \
                 batch that was accepted in part completes it.",
            ))
            .schema(Some(schema));
        vec![parameter.build()]
    }
}

/// Marks the response as the outcome of an earlier request.
pub(super) fn mark_replayed(response: &mut Response) {
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, yes);
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns whether a traceparent has the form `00-<32 hex>-<16 hex>-<2 hex>`, with anything appended by later
/// versions.
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
    fn a_key_is_one_short_line_of_ascii() {
        let of = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap());
            }
            idempotency_key(&headers).map(|key| key.map(str::to_owned))
        };
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&[b"\"9b1 deb\""]).unwrap().as_deref(), Some("\"9b1 deb\""));
        for bad in [
            &[&b""[..]][..],
            &[b"a\tb"],
            &[b"caf\xe9"],
            &[&[b'k'; 256]],
            &[b"k", b"k"],
        ] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }

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

//! Reads request bodies: content type, decompression, size and time.

use std::time::Duration;

use axum::extract::{FromRequest, Request as HttpRequest};
use bytes::{Buf, Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT};
use http::{HeaderMap, Response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;
use tower_http::decompression::RequestDecompression;

use super::edge::X_API_KEY;
use super::field::{Object, Request, Wrong, read_request, shape};
use super::problem::{Code, Problem};
use super::query::QueryFields;
use crate::domain::limits::BODY_BYTES_MAX;

/// The whole body must arrive within this time: 10 MiB at 3 Mbit/s.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// A whole JSON body, decompressed.
pub(super) struct JsonBody(pub(super) Bytes);

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, _: &S) -> Result<Self, Problem> {
        match media_type(request.headers()) {
            Media::Json => read(request).await.map(Self),
            Media::Ndjson | Media::Other => Err(unsupported("`application/json`")),
        }
    }
}

/// A body that is one JSON object, read by its shape.
pub(super) struct Body<R: Request>(pub(super) R::Value);

impl<S: Send + Sync, R: Request> FromRequest<S> for Body<R> {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, state: &S) -> Result<Self, Problem> {
        let JsonBody(body) = JsonBody::from_request(request, state).await?;
        read_request::<R>(&body).map(Self)
    }
}

/// The body of a batch: one JSON object, or one line of JSON per task.
pub(super) enum BatchBytes {
    Json(Bytes),
    Ndjson(Bytes),
}

impl<S: Sync> FromRequest<S> for BatchBytes {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, _: &S) -> Result<Self, Problem> {
        match media_type(request.headers()) {
            Media::Json => read(request).await.map(Self::Json),
            Media::Ndjson => read(request).await.map(Self::Ndjson),
            Media::Other => Err(unsupported("`application/json` or `application/x-ndjson`")),
        }
    }
}

shape! {
    /// A request without fields.
    EmptyRequest:
}

impl Request for EmptyRequest {
    type Value = ();

    fn read(_: &mut Object<'_, '_>, _: &Bytes, _: &mut Wrong) -> Option<()> {
        Some(())
    }
}

fn unsupported(allowed: &str) -> Problem {
    Code::UnsupportedMediaType.because(format!("the path takes {allowed}"))
}

#[derive(Debug, PartialEq, Eq)]
enum Media {
    Json,
    Ndjson,
    Other,
}

/// Accepts the form type that `curl -d` sends by default as JSON, unless a forged form of a foreign page may
/// have sent it: with a Bearer key, which such a page does not know, or without cookies.
fn media_type(headers: &HeaderMap) -> Media {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return if no_forged_form(headers) {
            Media::Json
        } else {
            Media::Other
        };
    };
    let value = value.to_str().unwrap_or_default();
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    if !speaks_utf8(parameters) {
        return Media::Other;
    }
    let is = |name: &str| essence.trim().eq_ignore_ascii_case(name);
    if is("application/json") || is("application/merge-patch+json") {
        Media::Json
    } else if is("application/x-ndjson") {
        Media::Ndjson
    } else if is("application/x-www-form-urlencoded") && no_forged_form(headers) {
        Media::Json
    } else {
        Media::Other
    }
}

fn no_forged_form(headers: &HeaderMap) -> bool {
    let bearer = |value: &http::HeaderValue| {
        value
            .as_bytes()
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
    };
    !headers.contains_key(COOKIE)
        || headers.get(AUTHORIZATION).is_some_and(bearer)
        || headers.contains_key(&X_API_KEY)
}

fn speaks_utf8(parameters: &str) -> bool {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"))
}

async fn read(request: HttpRequest) -> Result<Bytes, Problem> {
    // No path takes both a body and a query. A silently ignored `?atomic=true` would be a batch that is not
    // atomic.
    QueryFields::open(request.uri(), &[])?.finish()?;
    let reading = async {
        match request
            .headers()
            .get(CONTENT_ENCODING)
            .map(http::HeaderValue::as_bytes)
        {
            None | Some(b"identity") => {
                let announced = announced_bytes(request.headers());
                let drainable = !request.headers().contains_key(EXPECT);
                collect(request.into_body(), announced, drainable).await
            }
            Some(b"gzip" | b"zstd") => decompress(request).await,
            Some(_) => Err(Code::UnsupportedEncoding.problem()),
        }
    };
    tokio::time::timeout(BODY_DEADLINE, reading)
        .await
        .unwrap_or_else(|_| Err(Code::RequestTimeout.problem()))
}

fn announced_bytes(headers: &HeaderMap) -> usize {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    length.unwrap_or_default()
}

/// Collects a body of at most [`BODY_BYTES_MAX`]. A body that arrives in one piece is not copied.
///
/// If `drainable`, a body that is moderately too large is read to its end and dropped. A server that closes
/// while the client still sends resets the connection, and the client never sees the response.
async fn collect<B>(mut body: B, announced: usize, drainable: bool) -> Result<Bytes, Problem>
where
    B: HttpBody + Unpin,
    B::Data: Buf,
    B::Error: std::fmt::Display,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut seen = 0usize;
    let too_large = announced > BODY_BYTES_MAX;
    if too_large && (!drainable || announced > 2 * BODY_BYTES_MAX) {
        return Err(over_the_limit());
    }
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(cut_short)?.into_data() else {
            continue; // Trailers.
        };
        seen += data.remaining();
        if seen > BODY_BYTES_MAX || too_large {
            (first, rest) = (Bytes::new(), BytesMut::new());
            if !drainable || seen > 2 * BODY_BYTES_MAX {
                break;
            }
        } else if first.is_empty() {
            first = data.copy_to_bytes(data.remaining());
        } else {
            if rest.is_empty() {
                rest.reserve(announced.max(first.len() + data.remaining()));
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
    }
    if seen > BODY_BYTES_MAX {
        return Err(over_the_limit());
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn over_the_limit() -> Problem {
    Code::BodyTooLarge.because(format!("the body has more than {BODY_BYTES_MAX} bytes"))
}

fn cut_short(error: impl std::fmt::Display) -> Problem {
    Code::MalformedBody
        .problem()
        .caused_by(format!("reading a body: {error}"))
}

/// Decompresses while collecting, so that a small body that would become gigabytes stops at the limit.
async fn decompress(request: HttpRequest) -> Result<Bytes, Problem> {
    let collecting = tower::service_fn(|request: http::Request<_>| async move {
        let unpacked = collect(Box::pin(request.into_body()), 0, false).await?;
        Ok::<_, Problem>(Response::new(Full::new(unpacked)))
    });
    let request: HttpRequest = request;
    let response = RequestDecompression::new(collecting).oneshot(request).await?;
    let unpacked = response.into_body().collect().await.map_err(cut_short)?;
    Ok(unpacked.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_form_is_json_only_where_no_browser_can_have_forged_it() {
        let form = (CONTENT_TYPE, "application/x-www-form-urlencoded");
        let cookie = (COOKIE, "a=b");
        let bearer = (AUTHORIZATION, "Bearer k");
        for (given, expected) in [
            (vec![], Media::Json),
            (vec![form.clone()], Media::Json),
            (vec![cookie.clone()], Media::Other),
            (vec![form.clone(), cookie.clone()], Media::Other),
            (vec![form, cookie.clone(), bearer], Media::Json),
            (vec![(CONTENT_TYPE, "application/json"), cookie], Media::Json),
            (
                vec![(CONTENT_TYPE, "Application/JSON; charset=UTF-8")],
                Media::Json,
            ),
            (
                vec![(CONTENT_TYPE, "application/json; charset=latin1")],
                Media::Other,
            ),
            (vec![(CONTENT_TYPE, "application/x-ndjson")], Media::Ndjson),
            (vec![(CONTENT_TYPE, "text/plain")], Media::Other),
        ] {
            assert_eq!(media_type(&headers(&given)), expected, "{given:?}");
        }
    }
}

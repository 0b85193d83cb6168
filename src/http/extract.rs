//! What a request says outside its body, parsed or refused.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, Query, RawPathParams};
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Uri};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required};

use super::field::{Field, Later, Parsed, Shape, Wrong};
use super::json::FIELDS_MAX;
use super::problem::{Code, Problem};
use crate::domain::names::NAME_PATTERN;
use crate::domain::task::Meta;
use crate::domain::{QueueName, TaskId};

/// `{queue}`.
pub(super) struct InQueue(pub(super) QueueName);

/// `{queue}` and `{id}`.
pub(super) struct InTask {
    pub(super) queue: QueueName,
    pub(super) id: TaskId,
}

/// `{lease_id}`, not yet known to be genuine.
pub(super) struct InLease(pub(super) String);

async fn path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, Problem> {
    // Fails only for escapes that are not UTF-8: no name has those.
    RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Code::NotFound.problem())
}

fn segment<'a>(path: &'a RawPathParams, name: &str) -> &'a str {
    path.iter()
        .find_map(|(key, value)| (key == name).then_some(value))
        .expect("the route has a segment of this name")
}

fn queue(path: &RawPathParams) -> Result<QueueName, Problem> {
    QueueName::parse(segment(path, "queue")).map_err(|error| Problem::at("path:queue", error.to_string()))
}

impl<S: Send + Sync> FromRequestParts<S> for InQueue {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        queue(&path(parts, state).await?).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InTask {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await?;
        // What is no id names no task.
        let id = TaskId::parse(segment(&path, "id")).map_err(|_| Code::TaskUnknown.problem())?;
        Ok(Self {
            queue: queue(&path)?,
            id,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InLease {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await?;
        Ok(Self(segment(&path, "lease_id").to_owned()))
    }
}

/// The query string, read by field. What nobody knows is refused, as in bodies: a typo must not be silent.
pub(super) struct QueryFields {
    pairs: Vec<(String, String)>,
    wrong: Wrong,
}

impl QueryFields {
    pub(super) fn open(uri: &Uri, shape: &'static Shape) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::at("query:", "must be name=value pairs joined by &"))?
            .0;
        if pairs.len() > FIELDS_MAX {
            return Err(Problem::at(
                "query:",
                format!("has more than {FIELDS_MAX} parameters"),
            ));
        }
        let mut wrong = Wrong::default();
        for (index, (name, _)) in pairs.iter().enumerate() {
            match shape.iter().find(|field| field.name() == name) {
                None => wrong.add_named("query", name, unknown(shape)),
                Some(field) if field.is_later() => wrong.add_named("query", name, Later::refusal()),
                Some(_) if pairs[..index].iter().any(|(earlier, _)| earlier == name) => {
                    wrong.add_named("query", name, "is given twice");
                }
                Some(_) => {}
            }
        }
        Ok(Self { pairs, wrong })
    }

    pub(super) fn take<T>(&mut self, field: &Field<Parsed<T>>) -> Option<T> {
        let Some((_, value)) = self.pairs.iter().find(|(name, _)| name == field.name) else {
            if field.required {
                self.wrong.add_named("query", field.name, "is required");
            }
            return None;
        };
        match (field.kind.parse)(value) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.wrong.add_named("query", field.name, detail);
                None
            }
        }
    }

    pub(super) fn finish(self) -> Result<(), Problem> {
        self.wrong.into_result()
    }
}

fn unknown(shape: &Shape) -> String {
    let known = shape
        .iter()
        .filter(|field| !field.is_later())
        .map(|field| field.name());
    match &known.collect::<Vec<_>>()[..] {
        [] => "is not a parameter of this path, which has none".to_owned(),
        known => format!("is not a parameter of this path; it has {}", known.join(", ")),
    }
}

/// The parameters of a query, for the OpenAPI document.
pub(super) fn query_parameters(shape: &Shape) -> Vec<Parameter> {
    let described = shape.iter().filter_map(|field| {
        let required = if field.is_required() {
            Required::True
        } else {
            Required::False
        };
        let parameter = ParameterBuilder::new()
            .name(field.name())
            .parameter_in(ParameterIn::Query)
            .required(required)
            .description(Some(field.about()))
            .schema(Some(field.schema()?));
        Some(parameter.build())
    });
    described.collect()
}

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

/// On which present version a config write depends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    None,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match: *`.
    Present,
    /// `If-Match: "7", "8"`. Entity tags that this service never made match nothing.
    OneOf(Vec<u64>),
}

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let tags = |name| {
            let mut values = parts.headers.get_all(name).iter().peekable();
            values.peek()?;
            let tags = values
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','));
            Some(tags.map(str::trim).collect::<Vec<_>>())
        };
        match (tags(IF_MATCH), tags(IF_NONE_MATCH)) {
            (None, None) => Ok(Self::None),
            (Some(matching), None) if matching == ["*"] => Ok(Self::Present),
            (Some(matching), None) => Ok(Self::OneOf(matching.into_iter().filter_map(version).collect())),
            (None, Some(absent)) if absent == ["*"] => Ok(Self::Absent),
            _ => Err(Problem::at(
                "header:If-None-Match",
                "must be * and stand without If-Match",
            )),
        }
    }
}

/// The version in a strong entity tag of this service. Versions begin at 1.
fn version(tag: &str) -> Option<u64> {
    let version = tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?;
    (version > 0).then_some(version)
}

/// `{queue}` in the OpenAPI document.
pub(super) struct QueuePath;

impl utoipa::IntoParams for QueuePath {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![path_parameter(
            "queue",
            "A queue's name.",
            ObjectBuilder::new().pattern(Some(NAME_PATTERN)),
        )]
    }
}

/// `{queue}` and `{id}` in the OpenAPI document.
pub(super) struct TaskPath;

impl utoipa::IntoParams for TaskPath {
    fn into_params(source: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = QueuePath::into_params(source);
        parameters.push(path_parameter("id", "A task's id.", ObjectBuilder::new()));
        parameters
    }
}

/// `{lease_id}` in the OpenAPI document.
pub(super) struct LeasePath;

impl utoipa::IntoParams for LeasePath {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![path_parameter(
            "lease_id",
            "The `lease_id` of a leased task.",
            ObjectBuilder::new(),
        )]
    }
}

pub(super) fn path_parameter(name: &str, about: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(about))
        .schema(Some(schema.schema_type(utoipa::openapi::Type::String).build()))
        .build()
}

/// A sentence for [`Parsed`] fields of queries that hold a whole number.
pub(super) fn whole_number(text: &str, min: usize, max: usize) -> Result<usize, Cow<'static, str>> {
    text.parse()
        .ok()
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| format!("must be an integer from {min} to {max}").into())
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

    #[test]
    fn entity_tags_are_versions() {
        assert_eq!(version("\"12\""), Some(12));
        for bad in ["12", "W/\"12\"", "\"\"", "\"0\"", "\"-1\"", "\"x\""] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }
}

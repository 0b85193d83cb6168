//! The variable parts of paths, parsed or refused.

use axum::extract::{FromRequestParts, RawPathParams};
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required};

use super::problem::{Code, Problem};
use super::wire;
use crate::domain::{Group, QueueName, TaskId, TaskName};

/// `{queue}`.
pub(super) struct InQueue(pub(super) QueueName);

/// `{queue}` and `{id}`.
pub(super) struct InTask {
    pub(super) queue: QueueName,
    pub(super) id: TaskId,
}

/// `{queue}` and `{name}`.
pub(super) struct InName {
    pub(super) queue: QueueName,
    pub(super) name: TaskName,
}

/// `{queue}` and `{group}`.
pub(super) struct InGroup {
    pub(super) queue: QueueName,
    pub(super) group: Group,
}

/// `{lease_id}`, not yet known to be genuine.
pub(super) struct InLease(pub(super) String);

/// Returns the path of a new task.
pub(super) fn location(queue: &QueueName, id: TaskId) -> [(HeaderName, HeaderValue); 1] {
    let path = HeaderValue::try_from(format!("/v1/queues/{queue}/tasks/{id}"));
    [(LOCATION, path.expect("names and ids are visible ASCII"))]
}

/// Decodes a part of a path; `None` if an escape is not UTF-8, which no name or id contains.
async fn path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Option<RawPathParams> {
    RawPathParams::from_request_parts(parts, state).await.ok()
}

fn segment<'a>(path: &'a RawPathParams, name: &str) -> &'a str {
    path.iter()
        .find_map(|(key, value)| (key == name).then_some(value))
        .expect("the route has a segment of this name")
}

fn queue(path: Option<&RawPathParams>) -> Result<QueueName, Problem> {
    let name = path.map_or(NOT_UTF8, |path| segment(path, "queue"));
    QueueName::parse(name).map_err(|error| Problem::at("path:queue", error.to_string()))
}

/// Shows bytes that are not text.
const NOT_UTF8: &str = "\u{fffd}";

impl<S: Send + Sync> FromRequestParts<S> for InQueue {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        queue(path(parts, state).await.as_ref()).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InTask {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await;
        // A text that is no id names no task.
        let id = path
            .as_ref()
            .and_then(|path| TaskId::parse(segment(path, "id")).ok());
        let id = id.ok_or_else(|| Code::TaskUnknown.problem())?;
        Ok(Self {
            queue: queue(path.as_ref())?,
            id,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await;
        let name = path.as_ref().map_or(NOT_UTF8, |path| segment(path, "name"));
        Ok(Self {
            queue: queue(path.as_ref())?,
            name: TaskName::parse(name).map_err(|error| Problem::at("path:name", error.to_string()))?,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InGroup {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await;
        let queue = queue(path.as_ref())?;
        let group = path.as_ref().map_or("", |path| segment(path, "group"));
        Ok(Self {
            queue,
            group: Group::parse(group).map_err(|error| Problem::at("path:group", error.to_string()))?,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InLease {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = path(parts, state).await;
        let path = path.ok_or_else(|| Code::LeaseUnknown.problem())?;
        Ok(Self(segment(&path, "lease_id").to_owned()))
    }
}

/// `{queue}` in the OpenAPI document.
pub(super) struct QueuePath;

impl utoipa::IntoParams for QueuePath {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![path_parameter("queue", "A queue's name.", wire::name_schema())]
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

/// `{queue}` and `{name}` in the OpenAPI document.
pub(super) struct NamePath;

impl utoipa::IntoParams for NamePath {
    fn into_params(source: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = QueuePath::into_params(source);
        parameters.push(path_parameter("name", "A task name.", wire::name_schema()));
        parameters
    }
}

/// `{queue}` and `{group}` in the OpenAPI document.
pub(super) struct GroupPath;

impl utoipa::IntoParams for GroupPath {
    fn into_params(source: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = QueuePath::into_params(source);
        let group = ObjectBuilder::new().min_length(Some(1));
        parameters.push(path_parameter("group", "A group, percent-encoded.", group));
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

fn path_parameter(name: &str, about: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(about))
        .schema(Some(schema.schema_type(utoipa::openapi::Type::String).build()))
        .build()
}

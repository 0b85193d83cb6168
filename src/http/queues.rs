//! Queues: the list, their configs, their counts.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::body::Body;
use super::page::{Page, PageQuery, bad_cursor};
use super::path::{InQueue, QueuePath};
use super::problem::sets::{ALWAYS, BODY, QUERY, READ, WRITE, problem_set};
use super::problem::{Code, Problem};
use super::query::{NoQuery, Query};
use super::wire;
use crate::domain::queue::QueueConfig;
use crate::domain::{Millis, QueueName};
use crate::engine::{ConfigWrite, QueueInfo};

pub(super) mod breaker;
pub(super) mod config;
pub(super) mod delete;
pub(super) mod gates;
pub(super) mod groups;
pub(super) mod history;
pub(super) mod hold;
mod merge;
pub(super) mod names;
pub(super) mod pause;
mod precondition;
pub(super) mod purge;
mod shown;
pub(super) mod stats;
pub(super) mod verify;

use config::{ConfigPatch, QueueConfigRequest};
use pause::PausedAnswer;
use precondition::{Precondition, PreconditionHeaders};
use shown::ConfigDocument;
use stats::CountsAnswer;

/// A queue and its config.
#[derive(Serialize, ToSchema)]
#[schema(as = Queue)]
pub(super) struct QueueAnswer {
    #[schema(value_type = wire::Name)]
    queue: QueueName,
    #[schema(value_type = wire::Instant)]
    created_at: Millis,
    /// Version of the config, as in the `ETag`. Every change raises it.
    version: u64,
    /// The pause of the queue; null if it is not paused.
    #[schema(required = true)]
    paused: Option<PausedAnswer>,
    /// The settings in force: the config with the defaults of the server.
    config: ConfigDocument,
    /// The config as it was set: PUT replaces it, PATCH changes it.
    set: ConfigDocument,
}

impl QueueAnswer {
    pub(super) fn of(info: QueueInfo) -> Self {
        Self {
            queue: info.queue,
            created_at: info.created_at,
            version: info.version,
            paused: info.stats.paused.map(PausedAnswer::from),
            config: ConfigDocument::effective(&info.config),
            set: ConfigDocument::set(&info.config),
        }
    }

    fn respond(status: StatusCode, info: QueueInfo) -> Response {
        let tag = HeaderValue::try_from(format!("\"{}\"", info.version)).expect("digits are visible ASCII");
        (status, [(ETAG, tag)], Json(Self::of(info))).into_response()
    }
}

/// A queue with its live counts.
#[derive(Serialize, ToSchema)]
#[schema(as = QueueItem)]
pub(super) struct ItemAnswer {
    #[schema(value_type = wire::Name)]
    queue: QueueName,
    #[schema(value_type = wire::Instant)]
    created_at: Millis,
    #[serde(flatten)]
    stats: CountsAnswer,
}

problem_set! { QueuesProblems: ALWAYS, READ, QUERY }

/// List queues with their counts.
#[utoipa::path(
    get, path = "/v1/queues", operation_id = "queues", tag = "queues", params(PageQuery),
    responses((status = 200, description = "A page of queues", body = Page<ItemAnswer>), QueuesProblems),
)]
pub(super) async fn list(
    State(api): State<Api>,
    Query(wanted): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = api
        .engine()?
        .queues(wanted.limit, wanted.cursor())
        .await?
        .map_err(bad_cursor)?;
    let item = |info: QueueInfo| ItemAnswer {
        queue: info.queue,
        created_at: info.created_at,
        stats: info.stats.into(),
    };
    Ok(Page::of(page, item).into_response())
}

problem_set! { QueueProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown] }

/// Read a queue's config.
#[utoipa::path(
    get, path = "/v1/queues/{queue}", operation_id = "queue", tag = "queues", params(QueuePath),
    responses(
        (status = 200, description = "The queue and its config", body = QueueAnswer, headers(("ETag", description = "The version of the config"))),
        QueueProblems
    ),
)]
pub(super) async fn get(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    _: NoQuery,
) -> Result<Response, Problem> {
    let info = api
        .engine()?
        .queue(&queue)
        .await?
        .ok_or_else(|| Code::QueueUnknown.problem())?;
    Ok(QueueAnswer::respond(StatusCode::OK, info))
}

problem_set! {
    ConfigProblems: ALWAYS, WRITE, BODY,
        &[Code::QueueUnknown, Code::QueuesFull, Code::VersionMismatch, Code::StoreFull]
}

/// Replace a queue's config, or create the queue.
#[utoipa::path(
    put, path = "/v1/queues/{queue}", operation_id = "put_queue", tag = "queues",
    params(QueuePath, PreconditionHeaders),
    request_body(content = QueueConfigRequest, example = json!({"max_attempts": 3, "names": {"welcome": {"lease_seconds": 60}}})),
    responses(
        (status = 200, description = "The config was replaced", body = QueueAnswer, headers(("ETag", description = "The version of the config"))),
        (status = 201, description = "The queue was created", body = QueueAnswer, headers(("ETag", description = "The version of the config"),
            ("Location", description = "The path of the queue"))),
        ConfigProblems
    ),
)]
pub(super) async fn put(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    precondition: Precondition,
    Body(config): Body<QueueConfigRequest>,
) -> Result<Response, Problem> {
    let engine = api.engine()?;
    let if_match = match precondition {
        Precondition::None => None,
        Precondition::Absent => Some(0),
        Precondition::OneOf(versions) if versions.len() == 1 => Some(versions[0]),
        precondition => {
            let present = engine.queue(&queue).await?.map_or(0, |info| info.version);
            Some(check(&precondition, present)?)
        }
    };
    written(engine.put_config(&queue, config, if_match).await?).map_err(mismatch)
}

/// Tries of a PATCH, which reads and then writes, when other writers come in between.
const PATCH_TRIES: usize = 5;

/// Change a queue's config by a JSON merge patch (RFC 7396). Null removes a setting.
#[utoipa::path(
    patch, path = "/v1/queues/{queue}", operation_id = "patch_queue", tag = "queues",
    params(QueuePath, PreconditionHeaders),
    request_body(content((QueueConfigRequest = "application/json", example = json!({"max_attempts": null, "retention": {"keep": "results"}})),
        (QueueConfigRequest = "application/merge-patch+json"))),
    responses(
        (status = 200, description = "The config was changed", body = QueueAnswer, headers(("ETag", description = "The version of the config"))),
        (status = 201, description = "The queue was created", body = QueueAnswer, headers(("ETag", description = "The version of the config"),
            ("Location", description = "The path of the queue"))),
        ConfigProblems
    ),
)]
pub(super) async fn patch(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    precondition: Precondition,
    Body(config_patch): Body<ConfigPatch>,
) -> Result<Response, Problem> {
    let engine = api.engine()?;
    for _ in 0..PATCH_TRIES {
        let present = engine.queue(&queue).await?;
        let version = check(&precondition, present.as_ref().map_or(0, |info| info.version))?;
        let config = merged(present.map(|info| info.config).unwrap_or_default(), &config_patch)?;
        match written(engine.put_config(&queue, config, Some(version)).await?) {
            Ok(response) => return Ok(response),
            Err(version) if precondition != Precondition::None => return Err(mismatch(version)),
            Err(_) => {}
        }
    }
    Err(Code::VersionMismatch.because("other callers keep changing the config. Try again."))
}

fn merged(config: QueueConfig, patch: &str) -> Result<QueueConfig, Problem> {
    let unreadable = |error: serde_json::Error| Code::MalformedJson.because(error.to_string());
    let mut document = serde_json::to_value(ConfigDocument::set(&config)).map_err(unreadable)?;
    merge::merge(&mut document, serde_json::from_str(patch).map_err(unreadable)?);
    config::read(&document.to_string())
}

/// Returns the version to replace if the precondition holds; 0 means "no queue".
fn check(precondition: &Precondition, present: u64) -> Result<u64, Problem> {
    let holds = match precondition {
        Precondition::None => true,
        Precondition::Absent => present == 0,
        Precondition::Present => present != 0,
        Precondition::OneOf(versions) => present != 0 && versions.contains(&present),
    };
    if holds {
        Ok(present)
    } else {
        Err(mismatch(present))
    }
}

fn mismatch(present: u64) -> Problem {
    Code::VersionMismatch.because(match present {
        0 => "the queue does not exist".to_owned(),
        version => format!("the config has version \"{version}\""),
    })
}

/// Builds the response to a write; `Err` with the version that did not match.
fn written(write: ConfigWrite) -> Result<Response, u64> {
    match write {
        ConfigWrite::Created(info) => {
            let location = HeaderValue::try_from(format!("/v1/queues/{}", info.queue));
            let mut response = QueueAnswer::respond(StatusCode::CREATED, info);
            response
                .headers_mut()
                .insert(LOCATION, location.expect("names are visible ASCII"));
            Ok(response)
        }
        ConfigWrite::Updated(info) => Ok(QueueAnswer::respond(StatusCode::OK, info)),
        ConfigWrite::Mismatch { version } => Err(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_goes_over_the_version_that_was_meant_or_not_at_all() {
        let one_of = |versions: &[u64]| Precondition::OneOf(versions.to_vec());
        for (precondition, present, expected) in [
            (Precondition::None, 7, Some(7)),
            (Precondition::None, 0, Some(0)),
            (Precondition::Absent, 0, Some(0)),
            (Precondition::Absent, 7, None),
            (Precondition::Present, 7, Some(7)),
            (Precondition::Present, 0, None),
            (one_of(&[6, 7]), 7, Some(7)),
            (one_of(&[6]), 7, None),
            (one_of(&[]), 7, None),
            (one_of(&[0]), 0, None),
        ] {
            assert_eq!(
                check(&precondition, present).ok(),
                expected,
                "{precondition:?} of {present}"
            );
        }
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_removes() {
        let before =
            config::read(r#"{"max_attempts":3,"names":{"a":{"max_attempts":1},"b":{"lease_seconds":9}}}"#);
        let patch = r#"{"max_attempts":null,"aging_seconds":1,"names":{"a":null,"b":{"max_attempts":2}}}"#;
        let after = merged(before.unwrap(), patch).unwrap();
        let expected = r#"{"aging_seconds":1,"names":{"b":{"lease_seconds":9,"max_attempts":2}}}"#;
        assert_eq!(after, config::read(expected).unwrap());
        let meets = merged(
            config::read(r#"{"lease_seconds":60}"#).unwrap(),
            r#"{"max_lease_seconds":30}"#,
        );
        assert_eq!(meets.unwrap_err().pointers(), ["/lease_seconds"]);
    }
}

//! Pages of whole tasks.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::view::TaskAnswer;
use crate::domain::QueueName;
use crate::domain::task::TaskView;
use crate::engine;
use crate::http::page::Page;
use crate::http::problem::{Code, Problem};

/// A page of whole tasks may have 8 MiB, so it is written on a thread that serves no other call.
pub(in crate::http) async fn of_tasks(
    queue: QueueName,
    page: engine::Page<TaskView>,
) -> Result<Response, Problem> {
    let write = move || {
        let items = page
            .items
            .iter()
            .map(|task| TaskAnswer::of(&queue, task))
            .collect();
        let next_cursor = page.next_cursor;
        serde_json::to_vec(&Page { items, next_cursor })
    };
    let written = tokio::task::spawn_blocking(write).await;
    let body = written
        .map_err(|error| Code::Internal.problem().caused_by(error.to_string()))?
        .map_err(|error| Code::Internal.problem().caused_by(error.to_string()))?;
    let kind = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, kind)], body).into_response())
}

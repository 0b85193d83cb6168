//! Pages of lists.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Code, Problem};
use super::tasks::view::TaskAnswer;
use crate::domain::QueueName;
use crate::domain::task::TaskView;
use crate::engine::{self, BadCursor};

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last page.
    #[schema(required = true)]
    pub(super) next_cursor: Option<String>,
}

impl<T> Page<T> {
    pub(super) fn of<U>(page: engine::Page<U>, show: impl FnMut(U) -> T) -> Self {
        Self {
            items: page.items.into_iter().map(show).collect(),
            next_cursor: page.next_cursor,
        }
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// A page of whole tasks may have 8 MiB, so it is written on a thread that serves no other call.
pub(super) async fn of_tasks(queue: QueueName, page: engine::Page<TaskView>) -> Result<Response, Problem> {
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

pub(super) fn bad_cursor(_: BadCursor) -> Problem {
    Problem::at(
        "query:cursor",
        "must be the `next_cursor` of an earlier page of the same list",
    )
}

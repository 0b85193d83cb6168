//! Exports dead letters as lines that a batch enqueue accepts.

use std::collections::BTreeMap;
use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::value::RawValue;

use super::filter::{self, DIED_AFTER, DIED_BEFORE, ERROR, ERROR_TYPE, GROUP, NAME, REASON};
use crate::domain::dead::DeadFilter;
use crate::domain::limits::PAGE_MAX;
use crate::domain::task::TaskView;
use crate::domain::{Group, QueueName, TaskName};
use crate::engine::{DeadOrder, Engine, Failure, Page};
use crate::http::api::Api;
use crate::http::field::query_shape;
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, QUERY, READ, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::query::{Query, QueryFields, QueryRequest};
use crate::http::retry::RetryDocument;
use crate::http::wire::Seconds;

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// The end of an export that failed midway. It is not valid JSON, so a client that misses the broken
/// connection gets a task that is refused.
const BROKEN_OFF: &[u8] = b"{\"export_broken_off\":";

query_shape! {
    /// A filter of dead letters to export.
    ExportQuery: NAME, GROUP, REASON, ERROR_TYPE, ERROR, DIED_AFTER, DIED_BEFORE
}

impl QueryRequest for ExportQuery {
    type Value = DeadFilter;

    fn read(query: &mut QueryFields) -> Option<DeadFilter> {
        Some(filter::of_query(query))
    }
}

problem_set! { ExportProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown] }

/// Export dead letters as NDJSON, oldest first.
///
/// Each line is a task that a batch enqueue accepts: name, payload, priority, group, `max_attempts`,
/// `lease_seconds`, `retry` and headers. Attempts, errors, times, trace context and ids are not exported. The
/// dead letters stay in the queue. If the export fails midway, the connection closes inside a line.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/dlq/export", operation_id = "export_dead_letters", tag = "dead_letters",
    params(QueuePath, ExportQuery),
    responses((status = 200, description = "One line per dead letter", body = String, content_type = "application/x-ndjson"),
        ExportProblems),
)]
pub(in crate::http) async fn export(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Query(filter): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let mut export = Export {
        engine: api.engine()?.clone(),
        queue,
        filter,
        next: Next::Page(None),
    };
    // The first page is read before the response begins, so that a failure by then is an ordinary problem.
    let first = export.page(None).await?;
    export.next = Next::Lines(first);
    let body = Body::from_stream(stream::unfold(export, Export::step));
    Ok(([(CONTENT_TYPE, NDJSON)], body).into_response())
}

/// An export under way. It holds one page at a time.
struct Export {
    engine: Engine,
    queue: QueueName,
    filter: DeadFilter,
    next: Next,
}

enum Next {
    /// Write these tasks.
    Lines(Page<TaskView>),
    /// Read the page behind the cursor.
    Page(Option<String>),
    /// Stop, and break the connection.
    Broken,
    End,
}

impl Export {
    async fn page(&self, cursor: Option<&str>) -> Result<Page<TaskView>, Failure> {
        let page = self.engine.dead_letters(
            &self.queue,
            &self.filter,
            DeadOrder::OldestFirst,
            PAGE_MAX,
            cursor,
        );
        page.await?.map_err(|_| Failure::Broken)
    }

    async fn step(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            match std::mem::replace(&mut self.next, Next::End) {
                Next::Lines(page) => {
                    self.next = page
                        .next_cursor
                        .map_or(Next::End, |cursor| Next::Page(Some(cursor)));
                    if !page.items.is_empty() {
                        return Some((Ok(lines(&page.items)), self));
                    }
                }
                Next::Page(cursor) => match self.page(cursor.as_deref()).await {
                    Ok(page) => self.next = Next::Lines(page),
                    Err(failure) => {
                        tracing::warn!(queue = %self.queue, %failure, "an export of dead letters failed midway");
                        self.next = Next::Broken;
                        return Some((Ok(Bytes::from_static(BROKEN_OFF)), self));
                    }
                },
                Next::Broken => return Some((Err(io::Error::other("the store failed")), self)),
                Next::End => return None,
            }
        }
    }
}

/// A task in the form of an enqueue.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a TaskName,
    payload: Box<RawValue>,
    priority: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a Group>,
    max_attempts: u16,
    lease_seconds: Seconds,
    retry: RetryDocument,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: &'a BTreeMap<String, String>,
}

fn lines(tasks: &[TaskView]) -> Bytes {
    let mut lines = Vec::new();
    for task in tasks {
        let line = Line {
            name: &task.name,
            payload: on_one_line(task.payload.as_str()),
            priority: task.priority.get(),
            group: task.group.as_ref(),
            max_attempts: task.max_attempts,
            lease_seconds: Seconds(task.lease_ms),
            retry: RetryDocument::of(&task.retry.into()),
            headers: &task.meta.headers,
        };
        serde_json::to_writer(&mut lines, &line).expect("checked JSON, strings and numbers always serialize");
        lines.push(b'\n');
    }
    lines.into()
}

/// Returns the text of a payload on one line. Line breaks can only be between its parts, where a space means
/// the same.
fn on_one_line(payload: &str) -> Box<RawValue> {
    let text = payload.replace(['\n', '\r'], " ");
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_its_bytes_but_for_the_line_breaks_between_them() {
        for (payload, line) in [
            (r#"{"b": 1.10,"a":[],"b":9007199254740993}"#, None),
            ("{\n \"a\":\r\n \"x\\ny\"}", Some("{  \"a\":   \"x\\ny\"}")),
        ] {
            assert_eq!(on_one_line(payload).get(), line.unwrap_or(payload));
        }
    }
}

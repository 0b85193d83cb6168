//! The stream of events (SSE).

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Uri};
use tokio::time::timeout;

use super::Api;
use super::field::{Field, Parsed, query_shape};
use super::kinds::QUEUE_KIND;
use super::problem::sets::{ALWAYS, QUERY, problem_set};
use super::problem::{Code, Problem};
use super::query::QueryFields;
use crate::domain::QueueName;
use crate::engine::{Heard, Watcher};

/// Proxies close silent streams, and only a write notices a watcher that left.
const HEARTBEAT: Duration = Duration::from_secs(15);

const QUEUE: Field<Parsed<QueueName>> = Field::new("queue", QUEUE_KIND, "Only events of this queue.");

query_shape! {
    /// A filter of events.
    EventsQuery: QUEUE
}

problem_set! { EventsProblems: ALWAYS, QUERY, &[Code::NotReady, Code::Overloaded, Code::ShuttingDown] }

/// Watch events, as a stream of server-sent events.
///
/// Each event has a kind (`event:`) and an object with the queue and details (`data:`). Kinds are `queue`,
/// `dead_letters`, `alarm`, `breaker`, `hold`, `paused`, `resumed`, `queue_created`, `queue_configured` and
/// `queue_deleted`. Later versions may add kinds: ignore those that you do not know. Events are hints, and
/// none is stored. The stream starts with `reset`, and sends `reset` again when events may have been missed:
/// read the state that you show again. A comment is sent every 15 seconds. `Last-Event-ID` has no effect.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "events", tag = "service", params(EventsQuery),
    responses((status = 200, description = "Events, until either side closes the stream", body = String, content_type = "text/event-stream"), EventsProblems),
)]
pub(super) async fn events(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let mut query = QueryFields::open(&uri, EventsQuery::SHAPE)?;
    let queue = query.take(&QUEUE);
    query.finish()?;
    let watcher = api.engine()?.watch(queue)?;
    let frames = stream::unfold(watcher, async |mut watcher| {
        let frame = next(&mut watcher).await?;
        Some((Ok::<_, Infallible>(frame), watcher))
    });
    // Tells proxies not to buffer, which would delay events.
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            http::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}

async fn next(watcher: &mut Watcher) -> Option<Bytes> {
    match timeout(HEARTBEAT, watcher.next()).await {
        Ok(heard) => heard.map(|heard| frame(&heard)),
        Err(_) => Some(Bytes::from_static(b":\n\n")),
    }
}

fn frame(heard: &Heard) -> Bytes {
    match heard {
        Heard::Reset => Bytes::from_static(b"event: reset\ndata: {}\n\n"),
        Heard::Event(event) => {
            let (kind, queue) = (event.kind.word(), &event.queue);
            // The queue comes first, then the details in the same object.
            let rest = event.said.strip_prefix('{').unwrap_or("}");
            let comma = if rest.starts_with('}') { "" } else { "," };
            format!("event: {kind}\ndata: {{\"queue\":\"{queue}\"{comma}{rest}\n\n").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::event::{Event, EventKind};

    #[test]
    fn an_event_is_a_kind_and_one_line_of_json() {
        let shown = |said: &str| {
            let event = Event {
                kind: EventKind::DeadLetters,
                queue: QueueName::parse("emails").unwrap(),
                said: said.into(),
            };
            String::from_utf8(frame(&Heard::Event(Arc::new(event))).to_vec()).unwrap()
        };
        assert_eq!(
            shown(r#"{"died":3}"#),
            "event: dead_letters\ndata: {\"queue\":\"emails\",\"died\":3}\n\n"
        );
        assert_eq!(
            shown("{}"),
            "event: dead_letters\ndata: {\"queue\":\"emails\"}\n\n"
        );
    }

    #[test]
    fn the_description_names_every_kind() {
        let document = serde_json::to_value(crate::http::openapi()).unwrap();
        let said = document["paths"]["/v1/events"]["get"]["description"]
            .as_str()
            .unwrap()
            .to_owned();
        for kind in EventKind::ALL {
            assert!(said.contains(&format!("`{}`", kind.word())), "{}", kind.word());
        }
    }
}

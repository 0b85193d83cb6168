//! The stream of events (SSE).

use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::CACHE_CONTROL;
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value};

use super::api::Api;
use super::field::{Field, Parsed, query_shape};
use super::kinds::QUEUE_KIND;
use super::problem::sets::{ALWAYS, QUERY, problem_set};
use super::problem::{Code, Problem};
use super::query::{Query, QueryFields, QueryRequest};
use crate::domain::QueueName;
use crate::engine::Heard;

/// Proxies close silent streams, and only a write notices a watcher that left.
const HEARTBEAT: Duration = Duration::from_secs(15);

const QUEUE: Field<Parsed<QueueName>> = Field::new("queue", QUEUE_KIND, "Only events of this queue.");

query_shape! {
    /// A filter of events.
    EventsQuery: QUEUE
}

impl QueryRequest for EventsQuery {
    type Value = Option<QueueName>;

    fn read(query: &mut QueryFields) -> Option<Self::Value> {
        Some(query.take(&QUEUE))
    }
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
    responses((status = 200, description = "A stream of events, until either side closes it", body = String, content_type = "text/event-stream"), EventsProblems),
)]
pub(super) async fn events(
    State(api): State<Api>,
    Query(queue): Query<EventsQuery>,
) -> Result<Response, Problem> {
    let watcher = api.engine()?.watch(queue)?;
    let events = stream::unfold(watcher, async |mut watcher| {
        let heard = watcher.next().await?;
        Some((shown(&heard), watcher))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // A proxy that buffers would delay events.
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, events).into_response())
}

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The data of an event: the queue first, then what the event adds.
#[derive(Serialize)]
struct EventData<'a> {
    queue: &'a QueueName,
    #[serde(flatten)]
    said: Map<String, Value>,
}

fn shown(heard: &Heard) -> Result<sse::Event, axum::Error> {
    match heard {
        Heard::Reset => Ok(sse::Event::default().event("reset").data("{}")),
        Heard::Event(event) => sse::Event::default()
            .event(event.kind.word())
            .json_data(EventData {
                queue: &event.queue,
                // A replica wrote it, so it is an object. One that is not says nothing.
                said: serde_json::from_str(&event.said).unwrap_or_default(),
            }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;
    use crate::domain::event::{Event, EventKind};

    /// The message of a stream for one event.
    async fn sent(heard: Heard) -> String {
        let events = stream::iter([shown(&heard)]);
        let body = Sse::new(events).into_response().into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_event_is_a_kind_and_one_line_of_json() {
        let event = |said: &str| {
            Heard::Event(Arc::new(Event {
                kind: EventKind::DeadLetters,
                queue: QueueName::parse("emails").unwrap(),
                said: said.into(),
            }))
        };
        assert_eq!(
            sent(event(r#"{"dead":9007199254740993,"died":3}"#)).await,
            "event: dead_letters\ndata: {\"queue\":\"emails\",\"dead\":9007199254740993,\"died\":3}\n\n"
        );
        assert_eq!(
            sent(event("{}")).await,
            "event: dead_letters\ndata: {\"queue\":\"emails\"}\n\n"
        );
        assert_eq!(sent(Heard::Reset).await, "event: reset\ndata: {}\n\n");
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

//! Events as they happen, as a stream (SSE).

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::time::timeout;

use super::api::Api;
use super::field::query_shape;
use super::kinds::QUEUE;
use super::problem::sets::{ALWAYS, QUERY, problem_set};
use super::problem::{Code, Problem};
use super::query::{Query, QueryFields, QueryRequest};
use crate::domain::QueueName;
use crate::engine::{Heard, Watcher};

/// Proxies close what is silent, and a watcher that left is only noticed by writing to it.
const HEARTBEAT: Duration = Duration::from_secs(15);

query_shape! {
    /// Which events.
    EventsQuery: QUEUE
}

impl QueryRequest for EventsQuery {
    type Value = Option<QueueName>;

    fn read(query: &mut QueryFields) -> Option<Self::Value> {
        Some(query.take(&QUEUE))
    }
}

problem_set! { EventsProblems: ALWAYS, QUERY, &[Code::NotReady, Code::Overloaded, Code::ShuttingDown] }

/// Watch what happens, as a stream of server-sent events.
///
/// Each event has a kind (`event:`) and an object with the queue and what there is to say (`data:`). Kinds are `queue`, `dead_letters`,
/// `alarm`, `breaker`, `hold`, `paused`, `resumed`, `queue_created`, `queue_configured`, `queue_deleted`, and more to come: pass over what you do not know.
/// Events are hints, and none is kept. The stream begins with `reset` as soon as events are heard, and says `reset` again when some
/// may have been missed: read then what you show. A comment comes every 15 seconds. `Last-Event-ID` means nothing.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "events", tag = "service", params(EventsQuery),
    responses((status = 200, description = "Events, until either side ends it", body = String, content_type = "text/event-stream"), EventsProblems),
)]
pub(super) async fn events(
    State(api): State<Api>,
    Query(queue): Query<EventsQuery>,
) -> Result<Response, Problem> {
    let watcher = api.engine()?.watch(queue)?;
    let frames = stream::unfold(watcher, async |mut watcher| {
        let frame = next(&mut watcher).await?;
        Some((Ok::<_, Infallible>(frame), watcher))
    });
    // A proxy that buffers would hold events back.
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
            // The queue comes first, and what was said behind it in the same object.
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

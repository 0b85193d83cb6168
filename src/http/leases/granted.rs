//! Responses with grants. The grants belong to the caller once the response is written; otherwise they are
//! given back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body::{Frame, SizeHint};

use crate::engine::Granted;
use crate::http::api::Api;
use crate::metrics::Metrics;

/// Bytes of a frame. The connection takes no more frames while it is full, so with small frames it takes the
/// last one only when almost everything before has left the process.
const FRAME_BYTES: usize = 64 << 10;

const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Builds the response that hands out `granted`, which `body` contains.
pub(super) fn respond(api: &Api, mut granted: Granted, body: Vec<u8>) -> Response {
    granted.forget_payloads();
    json(Body::new(GrantedBody {
        rest: body.into(),
        granted: Some(granted),
        metrics: Arc::clone(api.metrics()),
    }))
}

pub(super) fn json(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, APPLICATION_JSON);
    response
}

/// The bytes of a response and its grants. If it is dropped before the last frame was taken, because the
/// caller left, [`Granted`] gives the grants back. If a lease ends while the response is being written, the
/// connection is aborted: sent bytes cannot be recalled.
struct GrantedBody {
    rest: Bytes,
    granted: Option<Granted>,
    metrics: Arc<Metrics>,
}

/// The caller read the response so slowly that a lease in it expired.
#[derive(Debug, thiserror::Error)]
#[error("a lease was over before its answer was written")]
struct LeaseOver;

impl GrantedBody {
    fn deliver(&mut self) {
        let Some(granted) = self.granted.take() else {
            return;
        };
        // Tasks of one queue are adjacent, so one look-up counts them all.
        for of_one_queue in granted.tasks().chunk_by(|a, b| a.queue == b.queue) {
            self.metrics
                .queue(&of_one_queue[0].queue)
                .leased
                .inc_by(of_one_queue.len() as u64);
            for task in of_one_queue {
                if let Some(counters) = self.metrics.name(&task.queue, &task.name) {
                    counters.leased.inc();
                }
            }
        }
        granted.delivered();
    }
}

impl http_body::Body for GrantedBody {
    type Data = Bytes;
    type Error = LeaseOver;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, LeaseOver>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if self.rest.len() <= FRAME_BYTES && self.granted.as_ref().is_some_and(Granted::is_over) {
            self.granted = None;
            return Poll::Ready(Some(Err(LeaseOver)));
        }
        let bytes = self.rest.len().min(FRAME_BYTES);
        let frame = self.rest.split_to(bytes);
        if self.rest.is_empty() {
            self.deliver();
        }
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn body(bytes: usize) -> GrantedBody {
        GrantedBody {
            rest: vec![b'x'; bytes].into(),
            granted: Some(Granted::of_nothing()),
            metrics: Arc::default(),
        }
    }

    fn next(body: &mut GrantedBody) -> Option<usize> {
        let frame = http_body::Body::poll_frame(Pin::new(body), &mut Context::from_waker(Waker::noop()));
        match frame {
            Poll::Ready(frame) => frame.map(|frame| frame.unwrap().into_data().unwrap().len()),
            Poll::Pending => panic!("the body is there"),
        }
    }

    #[test]
    fn grants_are_the_callers_only_with_the_last_frame() {
        let mut body = body(FRAME_BYTES + 1);
        assert_eq!(
            http_body::Body::size_hint(&body).exact(),
            Some(FRAME_BYTES as u64 + 1)
        );
        assert_eq!(next(&mut body), Some(FRAME_BYTES));
        assert!(body.granted.is_some() && !http_body::Body::is_end_stream(&body));
        assert_eq!(next(&mut body), Some(1));
        assert!(body.granted.is_none() && http_body::Body::is_end_stream(&body));
        assert_eq!(next(&mut body), None);
    }
}

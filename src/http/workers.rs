//! Workers that name themselves in lease calls.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::field::{Field, Parsed, query_shape};
use super::kinds::QUEUE_KIND;
use super::page::{CURSOR, LIMIT, Page, Wanted};
use super::problem::sets::{ALWAYS, QUERY, READ, problem_set};
use super::problem::{Code, Problem};
use super::query::{Query, QueryFields, QueryRequest};
use super::wire;
use crate::domain::{Millis, QueueName};
use crate::engine::Worker;

const QUEUE: Field<Parsed<QueueName>> = Field::new("queue", QUEUE_KIND, "Only workers of this queue.");

query_shape! {
    /// A page of workers.
    WorkersQuery: QUEUE, LIMIT, CURSOR
}

impl QueryRequest for WorkersQuery {
    type Value = (Option<QueueName>, Wanted);

    fn read(query: &mut QueryFields) -> Option<Self::Value> {
        Some((query.take(&QUEUE), Wanted::take(query)))
    }
}

/// A worker on one queue. It names itself with `worker` in its lease calls.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
pub(super) struct WorkerAnswer {
    worker: String,
    #[schema(value_type = wire::Name)]
    queue: QueueName,
    /// Tasks of the queue that it has leased now.
    leases: u64,
    /// The queue has more than 1,000 leases and not all were read, so the worker may have more.
    at_least: bool,
    /// Time of its oldest lease; null without one.
    #[schema(value_type = Option<wire::Instant>, required = true)]
    oldest_lease_at: Option<Millis>,
    /// Time of its last lease call for the queue, reported within a second; null after five minutes without
    /// one.
    #[schema(value_type = Option<wire::Instant>, required = true)]
    last_call_at: Option<Millis>,
}

impl From<Worker> for WorkerAnswer {
    fn from(worker: Worker) -> Self {
        Self {
            worker: worker.name,
            queue: worker.queue,
            leases: worker.leases,
            at_least: worker.at_least,
            oldest_lease_at: worker.since,
            last_call_at: worker.last_call_at,
        }
    }
}

problem_set! { WorkersProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown] }

/// List workers that name themselves in lease calls, with their leases and last call.
///
/// Lists one item per worker and queue: per queue, the up to 1,000 workers that called last. A page reads up
/// to 512 queues, so it may be short or empty although `next_cursor` is present.
#[utoipa::path(
    get, path = "/v1/workers", operation_id = "workers", tag = "service", params(WorkersQuery),
    responses((status = 200, description = "A page of workers", body = Page<WorkerAnswer>), WorkersProblems),
)]
pub(super) async fn list(
    State(api): State<Api>,
    Query((queue, wanted)): Query<WorkersQuery>,
) -> Result<Response, Problem> {
    let page = api
        .engine()?
        .workers(queue.as_ref(), wanted.limit, wanted.cursor())
        .await?;
    Page::respond(page, WorkerAnswer::from)
}

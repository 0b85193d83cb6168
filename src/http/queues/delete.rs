//! Deletes queues with all their tasks.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::QueueName;
use crate::engine::Deleted;
use crate::http::api::Api;
use crate::http::field::{Field, Parsed, query_shape};
use crate::http::kinds::QUEUE_KIND;
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, QUERY, WRITE, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::query::{Query, QueryFields, QueryRequest};
use crate::http::wire;

const CONFIRM: Field<Parsed<QueueName>> = Field::new(
    "confirm",
    QUEUE_KIND,
    "The queue's name. With it, a queue that has tasks is deleted, too.",
);

query_shape! {
    /// Whether a queue with tasks may be deleted.
    DeleteQuery: CONFIRM
}

impl QueryRequest for DeleteQuery {
    type Value = Option<QueueName>;

    fn read(query: &mut QueryFields) -> Option<Self::Value> {
        Some(query.take(&CONFIRM))
    }
}

/// The deleted queue.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletedQueue)]
pub(in crate::http) struct DeleteAnswer {
    #[schema(value_type = wire::Name)]
    queue: QueueName,
    /// Tasks that were deleted with it, including dead letters; finished tasks are not counted.
    tasks: u64,
}

problem_set! {
    DeleteProblems: ALWAYS, WRITE, QUERY,
        &[Code::QueueUnknown, Code::QueueNotEmpty, Code::ConfirmationRequired]
}

/// Delete a queue.
///
/// Its config, tasks and leases are gone at once: a settle of such a lease returns `lease_unknown`. Waiting
/// lease calls continue to wait. The next enqueue creates the queue again if the service creates queues
/// automatically.
#[utoipa::path(
    delete, path = "/v1/queues/{queue}", operation_id = "delete_queue", tag = "queues",
    params(QueuePath, DeleteQuery),
    responses((status = 200, description = "The queue was deleted", body = DeleteAnswer), DeleteProblems),
)]
pub(in crate::http) async fn delete(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Query(confirm): Query<DeleteQuery>,
) -> Result<Response, Problem> {
    if confirm.as_ref().is_some_and(|confirm| *confirm != queue) {
        return Err(Code::ConfirmationRequired.because(format!("query:confirm must be {queue}, or absent")));
    }

    match api.engine()?.delete_queue(&queue, confirm.is_some()).await? {
        Deleted::Done { tasks } => Ok(Json(DeleteAnswer { queue, tasks }).into_response()),
        Deleted::Filled { tasks } => Err(Code::QueueNotEmpty.because(format!(
            "the queue has {tasks} tasks. Add ?confirm={queue} to delete it with them."
        ))),
        Deleted::Absent => Err(Code::QueueUnknown.problem()),
    }
}

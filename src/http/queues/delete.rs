//! Delete: a queue goes, with all that it holds.

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
    "The queue's name, to delete it though it has tasks.",
);

query_shape! {
    /// Whether its tasks may go, too.
    DeleteQuery: CONFIRM
}

impl QueryRequest for DeleteQuery {
    type Value = Option<QueueName>;

    fn read(query: &mut QueryFields) -> Option<Self::Value> {
        Some(query.take(&CONFIRM))
    }
}

/// The queue is gone.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletedQueue)]
pub(in crate::http) struct DeleteAnswer {
    #[schema(value_type = wire::Name)]
    queue: QueueName,
    /// Tasks that went with it, dead letters among them; finished ones are not counted.
    tasks: u64,
}

problem_set! {
    DeleteProblems: ALWAYS, WRITE, QUERY,
        &[Code::QueueUnknown, Code::QueueNotEmpty, Code::ConfirmationRequired]
}

/// Delete a queue.
///
/// Its config, its tasks and its leases are gone at once: settling one of these is `lease_unknown`. Who waits for tasks of it goes on
/// waiting. With its next task the queue comes into being again, where the service creates queues by itself.
#[utoipa::path(
    delete, path = "/v1/queues/{queue}", operation_id = "delete_queue", tag = "queues",
    params(QueuePath, DeleteQuery),
    responses((status = 200, description = "Deleted", body = DeleteAnswer), DeleteProblems),
)]
pub(in crate::http) async fn delete(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Query(confirm): Query<DeleteQuery>,
) -> Result<Response, Problem> {
    if confirm.as_ref().is_some_and(|confirm| *confirm != queue) {
        return Err(
            Code::ConfirmationRequired.because(format!("query:confirm must be {queue}, or be left out"))
        );
    }

    match api.engine()?.delete_queue(&queue, confirm.is_some()).await? {
        Deleted::Done { tasks } => Ok(Json(DeleteAnswer { queue, tasks }).into_response()),
        Deleted::Filled { tasks } => Err(Code::QueueNotEmpty.because(format!(
            "the queue has {tasks} tasks; ?confirm={queue} deletes them too"
        ))),
        Deleted::Absent => Err(Code::QueueUnknown.problem()),
    }
}

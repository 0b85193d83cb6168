//! Dead letters: listing, replaying and purging them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::body::Body;
use super::field::{Object, Request, Wrong, query_shape, shape};
use super::page::{CURSOR, LIMIT, Page, Wanted, bad_cursor};
use super::path::{InQueue, InTask, QueuePath, TaskPath, location};
use super::problem::sets::{ALWAYS, BODY, QUERY, READ, WRITE, problem_set};
use super::problem::{Code, Problem};
use super::query::{NoQuery, Query, QueryFields, QueryRequest};
use super::tasks::pages;
use super::tasks::view::TaskAnswer;
use super::wire;
use crate::domain::TaskId;
use crate::domain::dead::{DeadFilter, Replay};
use crate::engine::{DeadOrder, NotReplayed};

pub(super) mod bulk;
pub(super) mod export;
pub(super) mod filter;
pub(super) mod groups;
mod options;

use filter::{DIED_AFTER, DIED_BEFORE, ERROR, ERROR_TYPE, GROUP, NAME, REASON};
use options::{DELAY, MAX_ATTEMPTS, PAYLOAD, PRIORITY};

fn no_dead_letter() -> Problem {
    Code::TaskUnknown.because(
        "the queue has no dead letter with this id: it never had one, or the dead letter was replayed, purged or evicted",
    )
}

query_shape! {
    /// A page of dead letters.
    DeadLettersQuery: NAME, GROUP, REASON, ERROR_TYPE, ERROR, DIED_AFTER, DIED_BEFORE, LIMIT, CURSOR
}

impl QueryRequest for DeadLettersQuery {
    type Value = (DeadFilter, Wanted);

    fn read(query: &mut QueryFields) -> Option<Self::Value> {
        Some((filter::of_query(query), Wanted::take(query)))
    }
}

problem_set! { DeadLettersProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown] }

/// List dead letters, newest first.
///
/// A page looks at up to 1,000 entries, so a filtered page may be short or empty although `next_cursor` is
/// present.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/dlq", operation_id = "dead_letters", tag = "dead_letters",
    params(QueuePath, DeadLettersQuery),
    responses((status = 200, description = "A page of dead letters", body = Page<TaskAnswer>), DeadLettersProblems),
)]
pub(super) async fn list(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Query((filter, wanted)): Query<DeadLettersQuery>,
) -> Result<Response, Problem> {
    let page = api
        .engine()?
        .dead_letters(
            &queue,
            &filter,
            DeadOrder::NewestFirst,
            wanted.limit,
            wanted.cursor(),
        )
        .await?
        .map_err(bad_cursor)?;
    pages::of_tasks(queue, page).await
}

problem_set! { DeadLetterProblems: ALWAYS, READ, QUERY, &[Code::QueueUnknown, Code::TaskUnknown] }

/// Read one dead letter.
#[utoipa::path(
    get, path = "/v1/queues/{queue}/dlq/{id}", operation_id = "dead_letter", tag = "dead_letters", params(TaskPath),
    responses((status = 200, description = "The whole task", body = TaskAnswer), DeadLetterProblems),
)]
pub(super) async fn dead_letter(
    State(api): State<Api>,
    InTask { queue, id }: InTask,
    _: NoQuery,
) -> Result<Response, Problem> {
    let task = api.engine()?.dead_letter(&queue, id).await?;
    let task = task.ok_or_else(no_dead_letter)?;
    Ok(Json(TaskAnswer::of(&queue, &task)).into_response())
}

problem_set! { PurgeOneProblems: ALWAYS, WRITE, QUERY, &[Code::QueueUnknown, Code::TaskUnknown] }

/// Delete one dead letter.
#[utoipa::path(
    delete, path = "/v1/queues/{queue}/dlq/{id}", operation_id = "purge_dead_letter", tag = "dead_letters", params(TaskPath),
    responses((status = 200, description = "The dead letter was deleted", body = PurgedAnswer), PurgeOneProblems),
)]
pub(super) async fn purge_one(
    State(api): State<Api>,
    InTask { queue, id }: InTask,
    _: NoQuery,
) -> Result<Json<PurgedAnswer>, Problem> {
    let purged = api.engine()?.purge_dead_letter(&queue, id).await?;
    let answer = purged.then_some(Json(PurgedAnswer { id, purged }));
    answer.ok_or_else(no_dead_letter)
}

/// The id of a deleted dead letter.
#[derive(Serialize, ToSchema)]
pub(super) struct PurgedAnswer {
    #[schema(value_type = wire::Id)]
    id: TaskId,
    purged: bool,
}

shape! {
    /// The options of the new task. Absent fields are taken from the dead letter.
    ReplayRequest: MAX_ATTEMPTS, DELAY, PRIORITY, PAYLOAD
}

impl Request for ReplayRequest {
    type Value = Replay;

    fn read(object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> Option<Replay> {
        Some(options::read(object, body, wrong))
    }
}

/// The task that was created from a dead letter.
#[derive(Serialize, ToSchema)]
pub(super) struct ReplayedAnswer {
    #[schema(value_type = wire::Id)]
    pub(super) id: TaskId,
    #[schema(value_type = wire::Id)]
    pub(super) replayed_from: TaskId,
}

problem_set! {
    ReplayOneProblems: ALWAYS, WRITE, BODY,
        &[Code::QueueUnknown, Code::TaskUnknown, Code::DuplicateTask, Code::PayloadTooLarge, Code::StoreFull, Code::QueueFull, Code::NamesFull]
}

/// Replay one dead letter.
///
/// Creates a new task with a new id and all attempts, and removes the dead letter in the same step. After an
/// unknown outcome a repeat is safe: it returns `task_unknown` if the first request succeeded. The dead
/// letter stays if another task holds its unique key (`duplicate_task`) or the queue has no room
/// (`queue_full`).
#[utoipa::path(
    post, path = "/v1/queues/{queue}/dlq/{id}/replay", operation_id = "replay_dead_letter", tag = "dead_letters",
    params(TaskPath),
    request_body(content = ReplayRequest, example = json!({"max_attempts": 3, "delay_seconds": 60})),
    responses(
        (status = 201, description = "The new task", body = ReplayedAnswer, headers(("Location", description = "The path of the new task"))),
        ReplayOneProblems
    ),
)]
pub(super) async fn replay_one(
    State(api): State<Api>,
    InTask { queue, id }: InTask,
    Body(replay): Body<ReplayRequest>,
) -> Result<Response, Problem> {
    let made = api.engine()?.replay_dead_letter(&queue, id, &replay).await?;
    let made = made.map_err(|not| match not {
        NotReplayed::Unknown => no_dead_letter(),
        NotReplayed::Full(full) => full.into(),
        NotReplayed::Duplicate { holder } => Code::DuplicateTask.because(format!(
            "the task {holder} holds the unique key of the dead letter. The dead letter stays."
        )),
    })?;
    let answer = Json(ReplayedAnswer {
        id: made,
        replayed_from: id,
    });
    Ok((StatusCode::CREATED, location(&queue, made), answer).into_response())
}

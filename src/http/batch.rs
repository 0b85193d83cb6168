//! Many tasks in one request: as a JSON list or as lines of JSON; each alone, or all or none.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::body::BatchBody;
use super::field::{At, Field, Flag, ListOf, Object, Wrong, shape};
use super::json::{self, List};
use super::openapi::{ALWAYS, BODY, WRITE, problem_set};
use super::path::{InQueue, QueuePath};
use super::problem::{Code, Problem, ProblemDocument};
use super::producer::Producer;
use super::tasks::new_task;
use super::wire;
use crate::domain::limits::{ATOMIC_BYTES_MAX, ATOMIC_ITEMS_MAX, BATCH_ITEMS_MAX};
use crate::domain::task::Enqueued;
use crate::domain::{Millis, NewTask, TaskId, TaskState};

const TASKS: Field<ListOf> = Field::required(
    "tasks",
    ListOf {
        of: &["NewTaskRequest"],
        items_max: BATCH_ITEMS_MAX,
        too_many: Code::BatchTooLarge,
    },
    "Accepted in this order.",
);
const ATOMIC: Field<Flag> = Field::new(
    "atomic",
    Flag,
    "All or none; at most 256 tasks and 1 MiB. Otherwise a bad task fails alone.",
)
.or("false");

shape! {
    /// Tasks to enqueue.
    BatchRequest: TASKS, ATOMIC
}

/// What became of each task of a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchAnswer<'a> {
    accepted: usize,
    duplicates: usize,
    rejected: usize,
    /// In the order of the request.
    results: Vec<ItemAnswer<'a>>,
}

/// What became of one task of a batch: either `id`, `state` and `duplicate`, or `error`.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchItem)]
struct ItemAnswer<'a> {
    /// From 0; of lines, blank ones are not counted.
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Id>, nullable = false)]
    id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::State>, nullable = false)]
    state: Option<TaskState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    run_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<ProblemDocument<'a>>,
}

/// A batch as it was read: what can be accepted, and what cannot and why.
struct Batch {
    items: Vec<Result<NewTask, Problem>>,
    atomic: bool,
}

problem_set! {
    BatchProblems: ALWAYS, WRITE, BODY,
        &[Code::QueueUnknown, Code::QueuesFull, Code::QueueFull, Code::PayloadTooLarge, Code::BatchTooLarge, Code::StoreFull]
}

/// Enqueue many tasks.
///
/// A bad task fails alone and says why in its result, unless the batch is `atomic`. NDJSON has one task on each line.
/// When every task fails for one and the same reason of the service's, that reason is the answer.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/tasks/batch", operation_id = "enqueue_batch", tag = "tasks",
    params(QueuePath),
    request_body(content(
        (BatchRequest = "application/json", example = json!({"tasks": [{"payload": 1}, {"payload": 2}]})),
        (String = "application/x-ndjson", example = json!("{\"payload\":1}\n{\"payload\":2}\n")),
    )),
    responses((status = 200, description = "Each task's own outcome", body = BatchAnswer), BatchProblems),
)]
pub(super) async fn enqueue_batch(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    producer: Producer,
    body: BatchBody,
) -> Result<Response, Problem> {
    let batch = match body {
        BatchBody::Json(body) => read_json(&body, &producer)?,
        BatchBody::Ndjson(body) => read_lines(&body, &producer)?,
    };
    let engine = api.engine()?;

    // What was refused keeps its place; what was not is taken out, in order, and its outcome put back.
    let mut tasks = Vec::with_capacity(batch.items.len());
    let results = batch
        .items
        .into_iter()
        .map(|item| item.map(|task| tasks.push(task)).err());
    let refused: Vec<Option<Problem>> = results.collect();
    let outcomes = if tasks.is_empty() {
        Vec::new()
    } else if batch.atomic {
        engine
            .enqueue_all(&queue, tasks)
            .await?
            .into_iter()
            .map(Ok)
            .collect()
    } else {
        engine.enqueue_many(&queue, tasks).await
    };
    let mut outcomes = outcomes.into_iter().map(|outcome| outcome.map_err(Problem::from));
    let results: Vec<Result<Enqueued, Problem>> = refused
        .into_iter()
        .map(|refused| match refused {
            Some(problem) => Err(problem),
            None => outcomes.next().unwrap_or_else(|| Err(Code::Internal.problem())),
        })
        .collect();

    if let Some(reason) = Problem::of_all(&results) {
        return Err(reason.clone());
    }
    let answer = answer(&results);
    api.metrics()
        .queue(&queue)
        .enqueued
        .inc_by(answer.accepted as u64);
    Ok(Json(answer).into_response())
}

fn read_json(body: &Bytes, producer: &Producer) -> Result<Batch, Problem> {
    let list = List {
        key: TASKS.name,
        keep: BATCH_ITEMS_MAX,
    };
    let fields = json::open(json::text(body)?, Some(list))?;
    let mut wrong = Wrong::default();
    let mut object = Object::new(fields, BatchRequest::SHAPE, At::Root, &mut wrong);
    let atomic = object.take(&ATOMIC, &mut wrong).unwrap_or(false);
    let items = object.items(&TASKS, &mut wrong);
    wrong.into_result()?;
    let items = items.expect("it is required").kept;

    if atomic && (items.len() > ATOMIC_ITEMS_MAX || body.len() > ATOMIC_BYTES_MAX) {
        let detail =
            format!("an atomic batch has at most {ATOMIC_ITEMS_MAX} tasks and {ATOMIC_BYTES_MAX} bytes");
        return Err(Code::BatchTooLarge.because(detail));
    }
    let list = At::Field(&At::Root, TASKS.name);
    let mut all_wrong = Wrong::default();
    let items = items.into_iter().enumerate().map(|(index, fields)| {
        let mut alone = Wrong::default();
        let wrong = if atomic { &mut all_wrong } else { &mut alone };
        let at = At::Item(&list, index);
        let Some(fields) = fields else {
            wrong.add(at, "must be an object");
            return Err(alone.into_problem());
        };
        let task = new_task::read(fields, body, producer, at, wrong);
        alone.into_result().map(|()| task)
    });
    let items = items.collect();
    all_wrong.into_result()?;
    Ok(Batch { items, atomic })
}

fn read_lines(body: &Bytes, producer: &Producer) -> Result<Batch, Problem> {
    let lines = body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    let mut items = Vec::new();
    for line in lines {
        if items.len() == BATCH_ITEMS_MAX {
            return Err(Code::BatchTooLarge.because(format!("a batch has at most {BATCH_ITEMS_MAX} tasks")));
        }
        items.push(read_line(line, body, producer));
    }
    Ok(Batch { items, atomic: false })
}

fn read_line(line: &[u8], body: &Bytes, producer: &Producer) -> Result<NewTask, Problem> {
    let fields = json::open(json::text(line)?, None)?;
    let mut wrong = Wrong::default();
    let task = new_task::read(fields, body, producer, At::Root, &mut wrong);
    wrong.into_result().map(|()| task)
}

/// What a batch is answered.
pub(super) fn answer(results: &[Result<Enqueued, Problem>]) -> BatchAnswer<'_> {
    let accepted = results.iter().filter(|result| result.is_ok()).count();
    let items = results.iter().enumerate().map(|(index, result)| match result {
        Ok(Enqueued { id, state, run_at }) => ItemAnswer {
            index,
            id: Some(*id),
            state: Some(*state),
            run_at: *run_at,
            duplicate: Some(false),
            error: None,
        },
        Err(problem) => ItemAnswer {
            index,
            id: None,
            state: None,
            run_at: None,
            duplicate: None,
            error: Some(problem.document(None)),
        },
    });
    BatchAnswer {
        accepted,
        duplicates: 0,
        rejected: results.len() - accepted,
        results: items.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCER: Producer = Producer {
        traceparent: None,
        tracestate: None,
    };

    fn json_batch(body: &str) -> Result<Batch, Problem> {
        read_json(&Bytes::copy_from_slice(body.as_bytes()), &PRODUCER)
    }

    fn lines(body: &[u8]) -> Result<Batch, Problem> {
        read_lines(&Bytes::copy_from_slice(body), &PRODUCER)
    }

    #[test]
    fn a_bad_task_fails_alone_and_names_its_place() {
        let batch = json_batch(r#"{"tasks":[{"payload":[]},{"priority":-1},7,{"nmae":1},null]}"#).unwrap();
        assert_eq!(batch.items[0].as_ref().unwrap().payload.as_str(), "[]");
        for (index, pointer) in [
            (1, "/tasks/1/priority"),
            (2, "/tasks/2"),
            (3, "/tasks/3/nmae"),
            (4, "/tasks/4"),
        ] {
            assert_eq!(batch.items[index].as_ref().unwrap_err().pointers(), [pointer]);
        }
    }

    #[test]
    fn an_atomic_batch_is_refused_as_a_whole_with_all_that_is_wrong() {
        let problem = json_batch(r#"{"tasks":[{},{"priority":-1},7],"atomic":true}"#)
            .err()
            .unwrap();
        assert_eq!(problem.pointers(), ["/tasks/1/priority", "/tasks/2"]);
    }

    #[test]
    fn a_batch_over_its_limits_is_too_large() {
        let of = |tasks: usize, atomic: bool| {
            json_batch(&format!(
                "{{\"atomic\":{atomic},\"tasks\":[{}]}}",
                vec!["{}"; tasks].join(",")
            ))
        };
        assert_eq!(of(BATCH_ITEMS_MAX, false).unwrap().items.len(), BATCH_ITEMS_MAX);
        assert_eq!(
            of(BATCH_ITEMS_MAX + 1, false).err().unwrap().code(),
            Code::BatchTooLarge
        );
        assert!(of(ATOMIC_ITEMS_MAX, true).is_ok());
        assert_eq!(
            of(ATOMIC_ITEMS_MAX + 1, true).err().unwrap().code(),
            Code::BatchTooLarge
        );
        let long = format!(
            "{{\"atomic\":true,\"tasks\":[{{}}]}}{}",
            " ".repeat(ATOMIC_BYTES_MAX)
        );
        assert_eq!(json_batch(&long).err().unwrap().code(), Code::BatchTooLarge);
        let many_lines = "{}\n".repeat(BATCH_ITEMS_MAX + 1);
        assert_eq!(
            lines(many_lines.as_bytes()).err().unwrap().code(),
            Code::BatchTooLarge
        );
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        for (body, pointer) in [
            ("{}", "/tasks"),
            (r#"{"tasks":{}}"#, "/tasks"),
            (r#"{"tasks":[],"all":1}"#, "/all"),
        ] {
            assert_eq!(json_batch(body).err().unwrap().pointers(), [pointer], "{body}");
        }
        assert!(json_batch(r#"{"tasks":[]}"#).unwrap().items.is_empty());
    }

    #[test]
    fn a_bad_line_fails_alone_whatever_is_wrong_with_it() {
        let batch = lines(
            b"{\"payload\":1}\r\n\n  \n{\"payload\":\n\xff\n[]\n{\"priority\":true}\n{\"payload\": [ ] }",
        )
        .unwrap();
        let codes: Vec<_> = batch
            .items
            .iter()
            .map(|item| item.as_ref().err().map(Problem::code))
            .collect();
        let (malformed, invalid) = (Some(Code::MalformedJson), Some(Code::ValidationFailed));
        assert_eq!(codes, [None, malformed, malformed, invalid, invalid, None]);
        assert_eq!(batch.items[4].as_ref().err().unwrap().pointers(), ["/priority"]);
        assert_eq!(batch.items[5].as_ref().unwrap().payload.as_str(), "[ ]");
    }

    #[test]
    fn a_service_that_accepts_nothing_says_so_once() {
        let down = || Err(Code::StoreUnavailable.problem());
        let bad = || Err(Problem::at("/tasks/0/name", "x"));
        let good = || {
            Ok(Enqueued {
                id: TaskId::new(Millis::local()),
                state: TaskState::Ready,
                run_at: None,
            })
        };
        assert!(Problem::of_all(&[down(), down()]).is_some());
        for mixed in [
            vec![down(), bad()],
            vec![bad(), bad()],
            vec![good(), down()],
            vec![],
        ] {
            assert!(Problem::of_all(&mixed).is_none());
        }
        let results = [good(), down()];
        let answer = answer(&results);
        assert_eq!(
            (answer.accepted, answer.rejected, answer.results.len()),
            (1, 1, 2)
        );
    }
}

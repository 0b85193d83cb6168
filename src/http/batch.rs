//! Batches: many tasks in one request, as a JSON list or as NDJSON. Each succeeds alone, or all do or none.

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::body::BatchBytes;
use super::field::{At, Field, Flag, ListOf, Object, Wrong, shape};
use super::json::{self, List};
use super::path::{InQueue, QueuePath};
use super::problem::sets::{ALWAYS, BODY, WRITE, problem_set};
use super::problem::{Code, FieldError, Problem, ProblemDocument};
use super::producer::{Form, IdempotencyKey, Producer, mark_replayed};
use super::tasks::new_task::{self, Source};
use super::wire;
use crate::domain::limits::{ATOMIC_BYTES_MAX, ATOMIC_ITEMS_MAX, BATCH_ITEMS_MAX};
use crate::domain::task::{Enqueued, Made, NotEnqueued};
use crate::domain::{Millis, NewTask, TaskId};

const TASKS: Field<ListOf> = Field::required(
    "tasks",
    ListOf {
        of: &["NewTaskRequest"],
        items_max: BATCH_ITEMS_MAX,
        too_many: Code::BatchTooLarge,
    },
    "The tasks, accepted in this order.",
);
const ATOMIC: Field<Flag> = Field::new(
    "atomic",
    Flag,
    "Accept all tasks or none; at most 256 tasks and 1 MiB. Otherwise a bad task fails alone.",
)
.or("false");

shape! {
    /// Tasks to enqueue.
    BatchRequest: TASKS, ATOMIC
}

/// The outcome of each task of a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchAnswer<'a> {
    accepted: usize,
    /// Tasks whose unique key another task holds.
    duplicates: usize,
    rejected: usize,
    /// One per task, in the order of the request.
    results: Vec<ItemAnswer<'a>>,
}

/// The outcome of one task of a batch: either `id`, `state` and `duplicate`, or `error`.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchItem)]
struct ItemAnswer<'a> {
    /// Index of the task, from 0. Blank lines of NDJSON do not count.
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Id>, nullable = false)]
    id: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::StateOrGone>, nullable = false)]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    run_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    duplicate: Option<bool>,
    /// Present and true if the existing task got this payload and these options.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    replaced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<ProblemDocument<'a>>,
}

/// A batch that was read: the valid tasks, and the problems of the others.
pub(super) struct Batch {
    items: Vec<Result<NewTask, Problem>>,
    atomic: bool,
}

impl<S: Send + Sync> FromRequest<S> for Batch {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (producer, request) = Producer::split(request, state).await?;
        match BatchBytes::from_request(request, state).await? {
            BatchBytes::Json(body) => read_json(&Source::new(&producer, Form::Batch, &body)),
            BatchBytes::Ndjson(body) => read_lines(&Source::new(&producer, Form::Lines, &body)),
        }
    }
}

problem_set! {
    BatchProblems: ALWAYS, WRITE, BODY,
        &[Code::QueueUnknown, Code::DuplicateTask, Code::QueuePaused, Code::QueuesFull, Code::QueueFull, Code::NamesFull, Code::PayloadTooLarge,
            Code::BatchTooLarge, Code::IdempotencyMismatch, Code::StoreFull]
}

/// Enqueue many tasks.
///
/// An invalid task fails alone, with the reason in its result, unless the batch is `atomic`. NDJSON has one
/// task per line. If the service refuses all tasks for the same reason, the response is that problem.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/tasks/batch", operation_id = "enqueue_batch", tag = "tasks",
    params(QueuePath, IdempotencyKey),
    request_body(content(
        (BatchRequest = "application/json", example = json!({"tasks": [{"payload": 1}, {"payload": 2}]})),
        (String = "application/x-ndjson", example = json!("{\"payload\":1}\n{\"payload\":2}\n")),
    )),
    responses((status = 200, description = "The outcome of each task", body = BatchAnswer), BatchProblems),
)]
pub(super) async fn enqueue_batch(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    batch: Batch,
) -> Result<Response, Problem> {
    let engine = api.engine()?;

    // Refused tasks keep their place. The others are taken out in order, and their outcomes are put back.
    let mut tasks = Vec::with_capacity(batch.items.len());
    let results = batch
        .items
        .into_iter()
        .map(|item| item.map(|task| tasks.push(task)).err());
    let refused: Vec<Option<Problem>> = results.collect();
    let outcomes = if tasks.is_empty() {
        Vec::new()
    } else if batch.atomic {
        let accepted = engine.enqueue_all(&queue, tasks).await?;
        accepted
            .map_err(refused_as_a_whole)?
            .into_iter()
            .map(|task| Ok(Ok(task)))
            .collect()
    } else {
        engine.enqueue_many(&queue, tasks).await
    };
    let mut outcomes = outcomes.into_iter().map(|outcome| Ok::<_, Problem>(outcome??));
    let results: Vec<Result<Enqueued, Problem>> = refused
        .into_iter()
        .map(|refused| match refused {
            Some(problem) => Err(problem),
            None => outcomes.next().unwrap_or_else(|| Err(Code::Internal.problem())),
        })
        .collect();

    if let Some(reason) = Problem::of_all(&results).or_else(|| mismatch(&results)) {
        return Err(reason.clone());
    }
    let made = results.iter().flatten().filter(|task| task.is_new()).count();
    api.metrics().queue(&queue).enqueued.inc_by(made as u64);
    let mut response = Json(answer(&results)).into_response();
    if results.iter().flatten().any(|task| task.replayed) {
        mark_replayed(&mut response);
    }
    Ok(response)
}

/// An `Idempotency-Key` that was sent with another body before is an error of the whole request, which had no
/// effect.
fn mismatch(results: &[Result<Enqueued, Problem>]) -> Option<&Problem> {
    let mut refused = results.iter().filter_map(|result| result.as_ref().err());
    let nothing_done = results.iter().all(Result::is_err);
    refused.find(|problem| nothing_done && problem.code() == Code::IdempotencyMismatch)
}

/// Points the problem of an atomic batch at the index in the request.
fn refused_as_a_whole((index, why): (usize, NotEnqueued)) -> Problem {
    match why {
        NotEnqueued::Duplicate { .. } => {
            let list = At::Field(&At::Root, TASKS.name);
            let pointer = At::Item(&list, index).to_string() + "/unique/key";
            let problem = Problem::from(why);
            let detail = problem.detail().to_owned().into();
            Problem::of_fields(problem.code(), vec![FieldError { pointer, detail }])
        }
        NotEnqueued::Mismatch | NotEnqueued::Full(_) | NotEnqueued::Paused { .. } => why.into(),
    }
}

fn read_json(source: &Source<'_>) -> Result<Batch, Problem> {
    let list = List {
        key: TASKS.name,
        keep: BATCH_ITEMS_MAX,
    };
    let fields = json::open(json::text(source.body)?, Some(list))?;
    let mut wrong = Wrong::default();
    let mut object = Object::new(fields, BatchRequest::SHAPE, At::Root, &mut wrong);
    let atomic = object.take(&ATOMIC, &mut wrong).unwrap_or(false);
    let items = object.items(&TASKS, &mut wrong);
    wrong.into_result()?;
    let items = items
        .expect("a required field without a mistake has a value")
        .kept;

    if atomic && (items.len() > ATOMIC_ITEMS_MAX || source.body.len() > ATOMIC_BYTES_MAX) {
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
        let task = new_task::read(fields, source, index, at, wrong);
        alone.into_result().map(|()| task)
    });
    let items = items.collect();
    all_wrong.into_result()?;
    Ok(Batch { items, atomic })
}

fn read_lines(source: &Source<'_>) -> Result<Batch, Problem> {
    let lines = source
        .body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    let mut items = Vec::new();
    for line in lines {
        if items.len() == BATCH_ITEMS_MAX {
            return Err(Code::BatchTooLarge.because(format!("a batch has at most {BATCH_ITEMS_MAX} tasks")));
        }
        items.push(read_line(line, source, items.len()));
    }
    Ok(Batch { items, atomic: false })
}

fn read_line(line: &[u8], source: &Source<'_>, index: usize) -> Result<NewTask, Problem> {
    let fields = json::open(json::text(line)?, None)?;
    let mut wrong = Wrong::default();
    let task = new_task::read(fields, source, index, At::Root, &mut wrong);
    wrong.into_result().map(|()| task)
}

/// Builds the response to a batch.
pub(super) fn answer(results: &[Result<Enqueued, Problem>]) -> BatchAnswer<'_> {
    let ok = || results.iter().flatten();
    let duplicates = ok().filter(|task| task.made != Made::Task).count();
    let accepted = ok().count() - duplicates;
    let items = results.iter().enumerate().map(|(index, result)| match result {
        Ok(task) => ItemAnswer {
            index,
            id: Some(task.id),
            state: Some(wire::state_or_gone(task.state)),
            run_at: task.run_at,
            duplicate: Some(task.made != Made::Task),
            replaced: task.made == Made::Replacement,
            error: None,
        },
        Err(problem) => ItemAnswer {
            index,
            id: None,
            state: None,
            run_at: None,
            duplicate: None,
            replaced: false,
            error: Some(problem.document(None)),
        },
    });
    BatchAnswer {
        accepted,
        duplicates,
        rejected: results.len() - accepted - duplicates,
        results: items.collect(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const PRODUCER: Producer = Producer {
        traceparent: None,
        tracestate: None,
        idempotency_key: None,
    };

    fn json_batch(body: &str) -> Result<Batch, Problem> {
        read_json(&Source::new(
            &PRODUCER,
            Form::Batch,
            &Bytes::copy_from_slice(body.as_bytes()),
        ))
    }

    fn lines(body: &[u8]) -> Result<Batch, Problem> {
        read_lines(&Source::new(
            &PRODUCER,
            Form::Lines,
            &Bytes::copy_from_slice(body),
        ))
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
        let good = || Ok(Enqueued::new(TaskId::new(Millis::local()), None));
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

//! Reads tasks of producers: one JSON object each, alone, in a batch, or on a line.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;

use crate::domain::idempotency::{RepeatMark, Repeatable};
use crate::domain::limits::{
    ATTEMPTS_MAX, DELAY_MS_MAX, EXPIRES_MS_MAX, LEASE_MS_MAX, LEASE_MS_MIN, PAYLOAD_BYTES_MAX,
};
use crate::domain::task::Json;
use crate::domain::{Expiry, Group, Millis, NewTask, Priority, Start, TaskId, TaskName};
use crate::http::body::JsonBody;
use crate::http::field::{Any, At, Field, Headers, Integer, Object, Parsed, Seconds, Wrong, shape};
use crate::http::json::{self, Fields};
use crate::http::kinds::{GROUP_KIND, INSTANT_KIND, NAME_KIND, PRIORITY_KIND, TOO_FAR, is_too_far};
use crate::http::problem::{Code, Problem};
use crate::http::producer::{Form, Producer};
use crate::http::retry::{self, PolicyOrNone};
use crate::http::tasks::unique::{self, UNIQUE};

const NAME: Field<Parsed<TaskName>> = Field::new(
    "name",
    NAME_KIND,
    "The handler that the task is for. Limits and breakers are per name.",
)
.or("\"default\"");
const PAYLOAD: Field<Any> = Field::new(
    "payload",
    Any {
        bytes_max: PAYLOAD_BYTES_MAX,
        too_large: Code::PayloadTooLarge,
    },
    "The data for the worker, kept byte for byte.",
)
.or("null");
const PRIORITY: Field<Integer> = Field::new(
    "priority",
    PRIORITY_KIND,
    "Priority, higher first: 1 low, 10 normal, 50 high, 100 critical.",
)
.or("10");
const GROUP: Field<Parsed<Group>> = Field::new(
    "group",
    GROUP_KIND,
    "A tenant or customer. Groups with ready tasks take turns.",
);
const DELAY: Field<Seconds> = Field::new(
    "delay_seconds",
    Seconds {
        min_ms: 0,
        max_ms: DELAY_MS_MAX,
    },
    "Seconds from acceptance until the task becomes ready. Not together with `run_at`.",
);
const RUN_AT: Field<Parsed<Millis>> = Field::new(
    "run_at",
    INSTANT_KIND,
    "When the task becomes ready, at most 365 days ahead. Not together with `delay_seconds`.",
);
const EXPIRES_IN: Field<Seconds> = Field::new(
    "expires_in_seconds",
    Seconds {
        min_ms: 1,
        max_ms: EXPIRES_MS_MAX,
    },
    "Seconds from acceptance until the task expires: if it still waits then, it becomes a dead letter. Not together with `expires_at`.",
);
const EXPIRES_AT: Field<Parsed<Millis>> = Field::new(
    "expires_at",
    INSTANT_KIND,
    "When the task expires, at most 365 days ahead: if it still waits then, it becomes a dead letter. \
     Not together with `expires_in_seconds`.",
);
const MAX_ATTEMPTS: Field<Integer> = Field::new(
    "max_attempts",
    Integer {
        min: 1,
        max: ATTEMPTS_MAX as u64,
    },
    "Attempts that the task has before it becomes a dead letter; by default as the queue's config says.",
);
const LEASE: Field<Seconds> = Field::new(
    "lease_seconds",
    Seconds {
        min_ms: LEASE_MS_MIN,
        max_ms: LEASE_MS_MAX,
    },
    "How long a lease of this task lasts, in seconds; by default as the queue's config says.",
);
const RETRY: Field<PolicyOrNone> = Field::new(
    "retry",
    PolicyOrNone,
    "When the task is tried again after a failed attempt; by default as the queue's config says. `false`: never, as with `max_attempts: 1`.",
);
const HEADERS: Field<Headers> = Field::new(
    "headers",
    Headers,
    "Text by name for your own use, returned with the lease.",
);

shape! {
    /// A task to enqueue.
    NewTaskRequest: NAME, PAYLOAD, PRIORITY, GROUP, DELAY, RUN_AT, MAX_ATTEMPTS, RETRY, LEASE, EXPIRES_IN, EXPIRES_AT, UNIQUE, HEADERS
}

/// A task to enqueue: the body, with what the headers add.
pub(in crate::http) struct NewTaskBody(pub(in crate::http) NewTask);

impl<S: Send + Sync> FromRequest<S> for NewTaskBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (producer, request) = Producer::split(request, state).await?;
        let JsonBody(body) = JsonBody::from_request(request, state).await?;
        read_alone(&Source::new(&producer, Form::Task, &body)).map(Self)
    }
}

fn read_alone(source: &Source<'_>) -> Result<NewTask, Problem> {
    let fields = json::open(json::text(source.body)?, None)?;
    let mut wrong = Wrong::default();
    let task = read(fields, source, 0, At::Root, &mut wrong);
    wrong.into_result().map(|()| task)
}

/// The request that tasks are read from.
pub(in crate::http) struct Source<'a> {
    pub(in crate::http) body: &'a Bytes,
    producer: &'a Producer,
    form: Form,
    repeatable: Option<Repeatable>,
}

impl<'a> Source<'a> {
    pub(in crate::http) fn new(producer: &'a Producer, form: Form, body: &'a Bytes) -> Self {
        Self {
            body,
            producer,
            form,
            repeatable: producer.repeatable(form, body),
        }
    }

    /// Returns the mark by which a repeat of the request finds its task at `index`.
    fn mark(&self, index: usize) -> Option<RepeatMark> {
        let repeatable = self.repeatable?;
        Some(match self.form {
            Form::Task => repeatable.mark(),
            Form::Batch | Form::Lines => {
                repeatable.mark_of(u16::try_from(index).expect("a batch has at most 1,000 tasks"))
            }
        })
    }
}

/// Reads one task, at `index` of its request. The task is of use only if nothing was noted in `wrong`.
pub(in crate::http) fn read(
    fields: Fields<'_>,
    source: &Source<'_>,
    index: usize,
    at: At<'_>,
    wrong: &mut Wrong,
) -> NewTask {
    let mut object = Object::new(fields, NewTaskRequest::SHAPE, at, wrong);
    let now = Millis::local();

    let name = object.take(&NAME, wrong).unwrap_or_default();
    let payload = object.take(&PAYLOAD, wrong);
    // The payload is a slice of the body, not a copy.
    let payload = payload.map_or_else(Json::null, |text| {
        Json::from_checked(source.body.slice_ref(text.get().as_bytes()))
    });
    let priority = object
        .take(&PRIORITY, wrong)
        .and_then(Priority::new)
        .unwrap_or_default();
    let group = object.take(&GROUP, wrong);
    let start = match (object.take(&DELAY, wrong), object.take(&RUN_AT, wrong)) {
        (None | Some(0), None) => Start::Now,
        (Some(ms), None) => Start::After(ms),
        (None, Some(run_at)) => {
            if is_too_far(run_at) {
                wrong.add(At::Field(&at, RUN_AT.name), TOO_FAR);
            }
            Start::At(run_at)
        }
        (Some(_), Some(_)) => {
            wrong.add(
                At::Field(&at, RUN_AT.name),
                "contradicts delay_seconds: send one of the two",
            );
            Start::Now
        }
    };
    let mut max_attempts = object
        .take(&MAX_ATTEMPTS, wrong)
        .and_then(|n| u16::try_from(n).ok());
    let retry = match object.take(&RETRY, wrong) {
        Some(Some(text)) => {
            let at = At::Field(&at, RETRY.name);
            let config = retry::read(text, at, wrong);
            retry::check_bounds(&config, at, wrong);
            Some(config.policy())
        }
        Some(None) => {
            if max_attempts.is_some_and(|attempts| attempts > 1) {
                wrong.add(
                    At::Field(&at, RETRY.name),
                    "contradicts max_attempts: send one of the two",
                );
            }
            max_attempts = Some(1);
            None
        }
        None => None,
    };
    let expiry = read_expiry(&mut object, start, now, wrong);
    let lease_ms = object.take(&LEASE, wrong);
    let unique = unique::take(&mut object, wrong);
    let mut meta = source.producer.meta();
    meta.headers = object.take(&HEADERS, wrong).unwrap_or_default();
    NewTask {
        id: TaskId::new(now),
        name,
        group,
        payload,
        priority,
        start,
        expiry,
        max_attempts,
        lease_ms,
        retry,
        unique,
        repeat_mark: source.mark(index),
        meta,
    }
}

/// Notes a task that expires before it is due, if both are durations or both are instants. Otherwise only
/// Redis's clock can decide: such a task is accepted and expires.
fn read_expiry(object: &mut Object<'_, '_>, start: Start, now: Millis, wrong: &mut Wrong) -> Option<Expiry> {
    let parent = object.at();
    let given = (object.take(&EXPIRES_IN, wrong), object.take(&EXPIRES_AT, wrong));
    let (field, expiry) = match given {
        (None, None) => return None,
        (Some(ms), None) => (EXPIRES_IN.name, Expiry::After(ms)),
        (None, Some(at)) => (EXPIRES_AT.name, Expiry::At(at)),
        (Some(_), Some(_)) => {
            let detail = "contradicts expires_in_seconds: send one of the two";
            wrong.add(At::Field(&parent, EXPIRES_AT.name), detail);
            return None;
        }
    };
    let at = At::Field(&parent, field);
    match (start, expiry) {
        // The local clock is exact enough for a bound of a year.
        (_, Expiry::At(instant)) if instant.since(now) > EXPIRES_MS_MAX => {
            wrong.add(at, "must be at most 365 days ahead");
        }
        (Start::After(delay), Expiry::After(ms)) if ms <= delay => {
            wrong.add(at, "must be longer than delay_seconds");
        }
        (Start::At(run_at), Expiry::At(instant)) if instant <= run_at => {
            wrong.add(at, "must be later than run_at");
        }
        _ => {}
    }
    Some(expiry)
}

#[cfg(test)]
pub(in crate::http) mod tests {
    use super::*;

    pub(in crate::http) fn parse(body: &str) -> Result<NewTask, Problem> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        read_alone(&Source::new(&Producer::default(), Form::Task, &body))
    }

    pub(in crate::http) fn refused(body: &str) -> (Code, Vec<String>) {
        let problem = parse(body).unwrap_err();
        (problem.code(), problem.pointers())
    }

    #[test]
    fn an_empty_object_is_a_task_with_defaults_and_null_is_absence() {
        let names = NewTaskRequest::SHAPE
            .iter()
            .map(|field| format!("\"{}\":null", field.name()));
        let all_null = format!("{{{}}}", names.collect::<Vec<_>>().join(","));
        for body in ["", "{}", &all_null] {
            let task = parse(body).unwrap();
            assert_eq!((task.name.as_str(), task.payload.as_str()), ("default", "null"));
            assert_eq!((task.priority.get(), task.start), (10, Start::Now));
            assert_eq!((task.max_attempts, task.lease_ms, task.group), (None, None, None));
            assert_eq!((task.retry, task.expiry), (None, None));
        }
    }

    #[test]
    fn a_payload_stays_byte_for_byte() {
        for payload in [
            "[]",
            "9007199254740993",
            "{\"b\":1,\"a\":2,\"b\":3}",
            "\"\\u0041\\ud800\"",
            "[ 1.10 ,\t2E+1]",
        ] {
            let task = parse(&format!("{{ \"payload\" :  {payload} }}")).unwrap();
            assert_eq!(task.payload.as_str(), payload);
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_its_pointer() {
        let (code, pointers) = refused(
            r#"{"name":"a b","priority":1001,"prioritiy":1,"delay_seconds":-1,"lease_seconds":0.5,
                "max_attempts":1.5,"group":"","retry":{"base_seconds":400},"expires_in_seconds":0,"headers":{"a":1},"a/b~c":0,"run_at":"tomorrow"}"#,
        );
        assert_eq!(code, Code::ValidationFailed);
        let expected = [
            "/prioritiy",
            "/a~1b~0c",
            "/name",
            "/priority",
            "/group",
            "/delay_seconds",
            "/run_at",
            "/max_attempts",
            "/retry/base_seconds",
            "/expires_in_seconds",
            "/lease_seconds",
            "/headers",
        ];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn limits_are_refused_never_clamped() {
        for (good, bad) in [
            (r#"{"priority":1000}"#, r#"{"priority":1001}"#),
            (r#"{"priority":10.0}"#, r#"{"priority":"10"}"#),
            (
                r#"{"delay_seconds":31536000}"#,
                r#"{"delay_seconds":31536000.001}"#,
            ),
            (r#"{"lease_seconds":43200}"#, r#"{"lease_seconds":43200.001}"#),
            (r#"{"lease_seconds":1}"#, r#"{"lease_seconds":0.999}"#),
            (r#"{"max_attempts":1}"#, r#"{"max_attempts":0}"#),
            (
                r#"{"expires_in_seconds":31536000}"#,
                r#"{"expires_in_seconds":31536000.001}"#,
            ),
            (
                r#"{"expires_at":"2020-01-01T00:00:00Z"}"#,
                r#"{"expires_at":"2099-01-01T00:00:00Z"}"#,
            ),
            (r#"{"retry":{"factor":100}}"#, r#"{"retry":{"factor":101}}"#),
            (r#"{"retry":false}"#, r#"{"retry":true}"#),
            (
                r#"{"run_at":"2020-01-01T00:00:00Z"}"#,
                r#"{"run_at":"2099-01-01T00:00:00Z"}"#,
            ),
        ] {
            assert!(parse(good).is_ok(), "{good}");
            assert_eq!(refused(bad).0, Code::ValidationFailed, "{bad}");
        }
    }

    #[test]
    fn contradictions_and_repetitions_are_refused() {
        let both = r#"{"delay_seconds":1,"run_at":"2027-01-01T00:00:00Z"}"#;
        assert_eq!(
            refused(both),
            (Code::ValidationFailed, vec!["/run_at".to_owned()])
        );
        assert_eq!(refused(r#"{"name":"a","name":"a"}"#).1, ["/name"]);
        for (both, pointer) in [
            (
                r#"{"expires_in_seconds":9,"expires_at":"2027-01-01T00:00:00Z"}"#,
                "/expires_at",
            ),
            (
                r#"{"expires_in_seconds":9,"delay_seconds":9}"#,
                "/expires_in_seconds",
            ),
            (
                r#"{"expires_at":"2027-01-01T00:00:00Z","run_at":"2027-01-01T00:00:00Z"}"#,
                "/expires_at",
            ),
            (r#"{"retry":false,"max_attempts":2}"#, "/retry"),
        ] {
            assert_eq!(
                refused(both),
                (Code::ValidationFailed, vec![pointer.to_owned()]),
                "{both}"
            );
        }
    }

    #[test]
    fn no_retry_is_one_attempt() {
        for body in [r#"{"retry":false}"#, r#"{"retry":false,"max_attempts":1}"#] {
            let task = parse(body).unwrap();
            assert_eq!((task.max_attempts, task.retry), (Some(1), None), "{body}");
        }
    }

    #[test]
    fn a_task_may_expire_after_a_while_or_at_an_instant() {
        let expiry = |body| parse(body).unwrap().expiry;
        assert_eq!(expiry(r#"{"expires_in_seconds":0.5}"#), Some(Expiry::After(500)));
        let at = Millis::parse("2027-01-01T00:00:00Z").unwrap();
        let body = r#"{"expires_at":"2027-01-01T00:00:00Z","delay_seconds":5}"#;
        assert_eq!(expiry(body), Some(Expiry::At(at)));
    }

    #[test]
    fn a_payload_over_the_limit_is_too_large() {
        let body = |bytes: usize| format!("{{\"payload\":\"{}\"}}", "x".repeat(bytes - 2));
        assert!(parse(&body(PAYLOAD_BYTES_MAX)).is_ok());
        assert_eq!(
            refused(&body(PAYLOAD_BYTES_MAX + 1)),
            (Code::PayloadTooLarge, vec!["/payload".to_owned()])
        );
    }
}

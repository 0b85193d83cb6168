//! The body of a lease call.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::domain::limits::{
    LEASE_MS_MAX, LEASE_MS_MIN, LEASE_NAMES_MAX, LEASE_QUEUES_MAX, LEASE_TASKS_MAX, REQUEST_ID_BYTES_MAX,
    WAIT_SECONDS_MAX, WORKER_BYTES_MAX,
};
use crate::domain::{QueueName, TaskName};
use crate::engine::{LeaseFrom, LeaseRequest};
use crate::http::field::{
    Described, Field, Integer, Kind, Label, ListOf, Object, Parsed, Refusal, Request, Seconds, Several,
    Wrong, shape, string,
};
use crate::http::json::List;
use crate::http::kinds::NAME_KIND;
use crate::http::problem::Problem;
use crate::http::settle::operation::{Addressed, read_list};
use crate::http::settle::{list_of_operations, list_to_open};
use crate::http::wire;

const WAIT_MS_DEFAULT: u64 = 20_000;

const MAX_TASKS: Field<Integer> = Field::new(
    "max_tasks",
    Integer {
        min: 1,
        max: LEASE_TASKS_MAX as u64,
    },
    "Tasks that this call leases at most. A response also has at most 8 MiB of payloads.",
)
.or("1");
const WAIT: Field<Seconds> = Field::new(
    "wait_seconds",
    Seconds {
        min_ms: 0,
        max_ms: WAIT_SECONDS_MAX * 1000,
    },
    "How long to wait for the first task, in seconds.",
)
.or("20");
const LEASE: Field<Seconds> = Field::new(
    "lease_seconds",
    Seconds {
        min_ms: LEASE_MS_MIN,
        max_ms: LEASE_MS_MAX,
    },
    "How long the leases last, in seconds; by default as the task or the queue's config says.",
);
const WORKER: Field<Label> = Field::new(
    "worker",
    Label {
        bytes_max: WORKER_BYTES_MAX,
    },
    "The name of the worker; kept with its leases and failed attempts.",
);
const NAMES: Field<Several<Parsed<TaskName>>> = Field::new(
    "names",
    Several {
        of: NAME_KIND,
        items_max: LEASE_NAMES_MAX,
    },
    "Only tasks of these names; of all names by default.",
);
const REQUEST_ID: Field<Label> = Field::new(
    "request_id",
    Label {
        bytes_max: REQUEST_ID_BYTES_MAX,
    },
    "The name of this call. Repeating the call with the same `request_id` within the lease time returns the same grants.",
);
const SETTLE: Field<ListOf> = list_of_operations(
    "settle",
    "Operations on earlier leases. They are performed first and never undone.",
);
const QUEUES: Field<Queues> = Field::required(
    "queues",
    Queues,
    "Either names, tried in this order, or queues with weights, tried in an order drawn at random for each call.",
);

shape! {
    /// A lease call on one queue.
    LeaseOneRequest: MAX_TASKS, WAIT, LEASE, WORKER, NAMES, REQUEST_ID, SETTLE
}
shape! {
    /// A lease call on several queues.
    LeaseManyRequest: QUEUES, MAX_TASKS, WAIT, LEASE, WORKER, NAMES, REQUEST_ID, SETTLE
}

/// A lease call as it was read, without the queues.
pub(in crate::http) struct LeaseBody {
    max_tasks: usize,
    wait: Duration,
    lease_ms: Option<u64>,
    worker: Option<String>,
    names: Vec<TaskName>,
    request_id: Option<String>,
    settle: Vec<Result<Addressed, Problem>>,
}

impl LeaseBody {
    fn read(object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> Self {
        let max_tasks = object
            .take(&MAX_TASKS, wrong)
            .and_then(|n| usize::try_from(n).ok());
        let wait_ms = object.take(&WAIT, wrong).unwrap_or(WAIT_MS_DEFAULT);
        Self {
            max_tasks: max_tasks.unwrap_or(1),
            wait: Duration::from_millis(wait_ms),
            lease_ms: object.take(&LEASE, wrong),
            worker: object.take(&WORKER, wrong).map(Cow::into_owned),
            names: object.take(&NAMES, wrong).unwrap_or_default(),
            request_id: object.take(&REQUEST_ID, wrong).map(Cow::into_owned),
            settle: object
                .items(&SETTLE, wrong)
                .map_or_else(Vec::new, |items| read_list(items, SETTLE.name, body)),
        }
    }

    /// Returns the request to the engine, and the operations to perform before it.
    pub(super) fn from(self, queues: LeaseFrom) -> (LeaseRequest, Vec<Result<Addressed, Problem>>) {
        let request = LeaseRequest {
            queues,
            max_tasks: self.max_tasks,
            wait: self.wait,
            lease_ms: self.lease_ms,
            worker: self.worker,
            names: self.names,
            request_id: self.request_id,
        };
        (request, self.settle)
    }
}

impl Request for LeaseOneRequest {
    type Value = LeaseBody;

    const LIST: Option<List> = Some(list_to_open(SETTLE.name));

    fn read(object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> Option<LeaseBody> {
        Some(LeaseBody::read(object, body, wrong))
    }
}

impl Request for LeaseManyRequest {
    type Value = (LeaseFrom, LeaseBody);

    const LIST: Option<List> = Some(list_to_open(SETTLE.name));

    fn read(object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> Option<Self::Value> {
        let queues = object.take(&QUEUES, wrong);
        let rest = LeaseBody::read(object, body, wrong);
        Some((queues?, rest))
    }
}

/// Names in strict order, or queues with weights.
#[derive(Debug)]
struct Queues;

/// Only the ratio of the weights matters.
const WEIGHT_MAX: f64 = 1_000_000.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weighted<'a> {
    #[serde(borrow)]
    queue: Cow<'a, str>,
    weight: f64,
}

impl Kind for Queues {
    type Value<'a> = LeaseFrom;

    fn read(&self, text: &RawValue) -> Result<LeaseFrom, Refusal> {
        let allowed = || {
            format!(
                "must be a list of 1 to {LEASE_QUEUES_MAX} names, or of 1 to {LEASE_QUEUES_MAX} objects with queue and weight"
            )
        };
        let items: Vec<&RawValue> = serde_json::from_str(text.get()).map_err(|_| allowed())?;
        if !(1..=LEASE_QUEUES_MAX).contains(&items.len()) {
            return Err(allowed().into());
        }
        let (mut strict, mut weighted) = (Vec::new(), Vec::new());
        for item in &items {
            if let Some(name) = string(item) {
                strict.push(queue(&name)?);
            } else {
                let Weighted { queue: name, weight } =
                    serde_json::from_str(item.get()).map_err(|_| allowed())?;
                if !(weight > 0.0 && weight <= WEIGHT_MAX) {
                    return Err(format!("a weight must be above 0 and at most {WEIGHT_MAX}").into());
                }
                weighted.push((queue(&name)?, weight));
            }
        }
        if !strict.is_empty() && !weighted.is_empty() {
            return Err(allowed().into());
        }
        let names: HashSet<&QueueName> = strict
            .iter()
            .chain(weighted.iter().map(|(name, _)| name))
            .collect();
        if names.len() < items.len() {
            return Err("has a queue twice".into());
        }
        Ok(if weighted.is_empty() {
            LeaseFrom::Strict(strict)
        } else {
            LeaseFrom::Weighted(weighted)
        })
    }
}

fn queue(name: &str) -> Result<QueueName, Refusal> {
    QueueName::parse(name).map_err(|error| format!("a queue's name {error}").into())
}

impl Described for Queues {
    fn schema(&self) -> RefOr<Schema> {
        let list = |item: RefOr<Schema>| {
            Schema::from(
                ArrayBuilder::new()
                    .items(item)
                    .min_items(Some(1))
                    .max_items(Some(LEASE_QUEUES_MAX)),
            )
        };
        let name = || wire::name_schema().build();
        let weight = ObjectBuilder::new()
            .schema_type(Type::Number)
            .exclusive_minimum(Some(0))
            .maximum(Some(WEIGHT_MAX));
        let weighted = ObjectBuilder::new()
            .property("queue", name())
            .property("weight", weight)
            .required("queue")
            .required("weight")
            .additional_properties(Some(
                utoipa::openapi::schema::AdditionalProperties::<Schema>::FreeForm(false),
            ));
        let strict = list(Schema::from(name()).into());
        let drawn = list(Schema::from(weighted.build()).into());
        Schema::from(AnyOfBuilder::new().item(strict).item(drawn)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::field::read_request;
    use crate::http::problem::Code;

    fn of_one(body: &'static str) -> Result<LeaseRequest, Problem> {
        let queue = QueueName::parse("emails").unwrap();
        read_request::<LeaseOneRequest>(&Bytes::from_static(body.as_bytes()))
            .map(|body| body.from(LeaseFrom::One(queue)).0)
    }

    fn of_many(queues: &str) -> Option<LeaseFrom> {
        let body = Bytes::from(format!("{{\"queues\":{queues}}}"));
        read_request::<LeaseManyRequest>(&body)
            .map(|(queues, _)| queues)
            .ok()
    }

    #[test]
    fn an_empty_body_asks_for_one_task_and_waits() {
        let request = of_one("").unwrap();
        assert_eq!((request.max_tasks, request.wait), (1, Duration::from_secs(20)));
        assert!(request.names.is_empty() && request.worker.is_none() && request.lease_ms.is_none());
        assert!(matches!(request.queues, LeaseFrom::One(_)));
    }

    #[test]
    fn limits_are_refused_never_clamped() {
        for (good, bad) in [
            (r#"{"max_tasks":1000}"#, r#"{"max_tasks":1001}"#),
            (r#"{"max_tasks":1}"#, r#"{"max_tasks":0}"#),
            (r#"{"wait_seconds":60}"#, r#"{"wait_seconds":60.001}"#),
            (r#"{"wait_seconds":0}"#, r#"{"wait_seconds":-1}"#),
            (r#"{"names":["a"]}"#, r#"{"names":[]}"#),
            (r#"{"names":null}"#, r#"{"names":["a b"]}"#),
            (r#"{"worker":"w-1"}"#, r#"{"worker":""}"#),
            (r#"{"request_id":"r"}"#, r#"{"request_id":7}"#),
            (r#"{"settle":[]}"#, r#"{"settle":{}}"#),
            (r#"{"settle":null}"#, r#"{"queues":["a"]}"#),
        ] {
            assert!(of_one(good).is_ok(), "{good}");
            assert_eq!(of_one(bad).unwrap_err().code(), Code::ValidationFailed, "{bad}");
        }
    }

    #[test]
    fn queues_come_in_order_or_with_weights() {
        assert!(
            matches!(of_many(r#"["critical","default"]"#), Some(LeaseFrom::Strict(names)) if names.len() == 2)
        );
        let weighted = of_many(r#"[{"queue":"a","weight":3},{"queue":"b","weight":0.5}]"#);
        assert!(matches!(weighted, Some(LeaseFrom::Weighted(queues)) if queues[1].1 == 0.5));
        let many = serde_json::to_string(&(0..33).map(|n| format!("q{n}")).collect::<Vec<_>>()).unwrap();
        for bad in [
            "[]",
            "null",
            "\"a\"",
            "[\"a\",\"a\"]",
            "[\"a\",{\"queue\":\"b\",\"weight\":1}]",
            "[{\"queue\":\"a\",\"weight\":0}]",
            "[{\"queue\":\"a\"}]",
            "[{\"queue\":\"a\",\"weight\":1,\"x\":1}]",
            &many,
        ] {
            assert!(of_many(bad).is_none(), "{bad}");
        }
    }
}

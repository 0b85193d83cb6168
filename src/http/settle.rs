//! Settles: ack, nack, extend and release, one by one or in batches.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::body::Body;
use super::field::{Field, ListOf, Object, Request, Wrong, shape};
use super::json::List;
use super::path::{InLease, LeasePath};
use super::problem::sets::{ALWAYS, BODY, WRITE, problem_set};
use super::problem::{Code, Problem};
use crate::domain::Lease;
use crate::domain::limits::SETTLE_ITEMS_MAX;
use crate::domain::settle::{NotSettled, Settle, SettleOp, Settled};
use crate::engine::Failure;
use crate::metrics::QueueCounters;

pub(super) mod answer;
pub(super) mod error;
pub(super) mod operation;
mod retry_after;

use answer::{AckAnswer, ExtendAnswer, ItemAnswer, NackAnswer, ReleaseAnswer, SettleAnswer};
use operation::{AckRequest, Addressed, ExtendRequest, NackRequest, OPERATIONS, ReleaseRequest};

problem_set! {
    SettleProblems: ALWAYS, WRITE, BODY, &[Code::LeaseUnknown, Code::LeaseLost, Code::ResultTooLarge]
}

/// Complete a task.
///
/// Repeating it with the same lease is safe and returns `already: true`.
#[utoipa::path(
    post, path = "/v1/leases/{lease_id}/ack", operation_id = "ack", tag = "leases", params(LeasePath),
    request_body(content = AckRequest, example = json!({"result": "sent"})),
    responses((status = 200, description = "The task is completed", body = AckAnswer), SettleProblems),
)]
pub(super) async fn ack(
    State(api): State<Api>,
    lease: InLease,
    Body(ack): Body<AckRequest>,
) -> Result<Response, Problem> {
    settle(&api, &lease, ack).await
}

/// Report a failed attempt.
#[utoipa::path(
    post, path = "/v1/leases/{lease_id}/nack", operation_id = "nack", tag = "leases", params(LeasePath),
    request_body(content = NackRequest, example = json!({"error": {"type": "Timeout", "message": "no answer after 30 s"}})),
    responses((status = 200, description = "The attempt counts as failed", body = NackAnswer), SettleProblems),
)]
pub(super) async fn nack(
    State(api): State<Api>,
    lease: InLease,
    Body(nack): Body<NackRequest>,
) -> Result<Response, Problem> {
    settle(&api, &lease, nack).await
}

/// Prolong a lease, counted from now.
#[utoipa::path(
    post, path = "/v1/leases/{lease_id}/extend", operation_id = "extend", tag = "leases", params(LeasePath),
    request_body(content = ExtendRequest, example = json!({"lease_seconds": 60, "progress": {"done": 40, "of": 100}})),
    responses((status = 200, description = "The lease is extended", body = ExtendAnswer), SettleProblems),
)]
pub(super) async fn extend(
    State(api): State<Api>,
    lease: InLease,
    Body(extend): Body<ExtendRequest>,
) -> Result<Response, Problem> {
    settle(&api, &lease, extend).await
}

/// Return a task without spending the attempt.
#[utoipa::path(
    post, path = "/v1/leases/{lease_id}/release", operation_id = "release", tag = "leases", params(LeasePath),
    request_body(content = ReleaseRequest, example = json!({"retry_after": 30})),
    responses((status = 200, description = "The task is given back", body = ReleaseAnswer), SettleProblems),
)]
pub(super) async fn release(
    State(api): State<Api>,
    lease: InLease,
    Body(release): Body<ReleaseRequest>,
) -> Result<Response, Problem> {
    settle(&api, &lease, release).await
}

async fn settle(api: &Api, lease: &InLease, operation: SettleOp) -> Result<Response, Problem> {
    let engine = api.engine()?;
    let lease = engine
        .open_lease(&lease.0)
        .ok_or_else(|| Code::LeaseUnknown.problem())?;
    let counters = api.metrics().queue(&lease.queue);
    let settled = outcome(&counters, engine.settle(Settle { lease, op: operation }).await)?;
    Ok(Json(SettleAnswer::from(settled)).into_response())
}

/// Counts an outcome and turns it into a response.
fn outcome(
    counters: &QueueCounters,
    result: Result<Result<Settled, NotSettled>, Failure>,
) -> Result<Settled, Problem> {
    match result? {
        Ok(settled) => {
            match settled {
                Settled::Acked { already: false, .. } => counters.acked.inc(),
                Settled::Nacked { already: false, .. } => counters.nacked.inc(),
                Settled::Released { already: false, .. } => counters.released.inc(),
                Settled::Extended { .. } => counters.extended.inc(),
                Settled::Acked { .. } | Settled::Nacked { .. } | Settled::Released { .. } => {}
            }
            Ok(settled)
        }
        Err(refused) => {
            if refused == NotSettled::Lost {
                counters.lost.inc();
            }
            Err(refused.into())
        }
    }
}

/// A list of operations; its field name depends on the request.
pub(super) const fn list_of_operations(name: &'static str, about: &'static str) -> Field<ListOf> {
    let kind = ListOf {
        of: OPERATIONS,
        items_max: SETTLE_ITEMS_MAX,
        too_many: Code::BatchTooLarge,
    };
    Field::new(name, kind, about)
}

/// The list of that name, as [`Request::LIST`] has it.
pub(super) const fn list_to_open(key: &'static str) -> List {
    List {
        key,
        keep: SETTLE_ITEMS_MAX,
    }
}

const OPERATIONS_FIELD: Field<ListOf> = Field {
    required: true,
    ..list_of_operations(
        "operations",
        "The operations, performed in this order; each succeeds or fails alone.",
    )
};

shape! {
    /// Operations on leases of any queues.
    SettleRequest: OPERATIONS_FIELD
}

impl Request for SettleRequest {
    type Value = Vec<Result<Addressed, Problem>>;

    const LIST: Option<List> = Some(list_to_open(OPERATIONS_FIELD.name));

    fn read(object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> Option<Self::Value> {
        let items = object.items(&OPERATIONS_FIELD, wrong)?;
        Some(operation::read_list(items, OPERATIONS_FIELD.name, body))
    }
}

/// The outcome of each operation.
#[derive(Serialize, ToSchema)]
#[schema(as = SettleAnswers)]
pub(super) struct BatchAnswer<'a> {
    results: Vec<ItemAnswer<'a>>,
}

problem_set! { SettleBatchProblems: ALWAYS, WRITE, BODY, &[Code::BatchTooLarge] }

/// Settle many leases, of any queues.
///
/// An invalid operation fails alone, with the reason in its result. If the service refuses all operations for
/// the same reason, the response is that problem.
#[utoipa::path(
    post, path = "/v1/leases/batch", operation_id = "settle_batch", tag = "leases",
    request_body(content = SettleRequest, example = json!({"operations": [{"op": "ack", "lease_id": "AQZlbWFpbHM", "result": "sent"}]})),
    responses((status = 200, description = "The outcome of each operation", body = BatchAnswer), SettleBatchProblems),
)]
pub(super) async fn settle_batch(
    State(api): State<Api>,
    Body(operations): Body<SettleRequest>,
) -> Result<Response, Problem> {
    let engine = api.engine()?;
    let (batch, ops) = Batch::open(operations, &api, |id| engine.open_lease(id));
    let outcomes = if ops.is_empty() {
        Vec::new()
    } else {
        engine.settle_many(ops).await
    };
    let results = batch.results(outcomes);
    if let Some(reason) = Problem::of_all(&results) {
        return Err(reason.clone());
    }
    Ok(Json(BatchAnswer {
        results: answer::items(&results),
    })
    .into_response())
}

/// The places of a list of operations: problems of those that were refused at once, and places for the
/// outcomes.
pub(super) struct Batch {
    places: Vec<Result<Arc<QueueCounters>, Problem>>,
}

impl Batch {
    /// Opens the leases. A mistake in one operation, a forged `lease_id` included, is its own outcome.
    pub(super) fn open(
        operations: Vec<Result<Addressed, Problem>>,
        api: &Api,
        open: impl Fn(&str) -> Option<Lease>,
    ) -> (Self, Vec<Settle>) {
        let mut ops = Vec::with_capacity(operations.len());
        let places = operations.into_iter().map(|operation| {
            let Addressed { operation, lease_id } = operation?;
            let lease = open(&lease_id).ok_or_else(|| Code::LeaseUnknown.problem())?;
            let counters = api.metrics().queue(&lease.queue);
            ops.push(Settle { lease, op: operation });
            Ok(counters)
        });
        let batch = Self {
            places: places.collect(),
        };
        (batch, ops)
    }

    /// Returns whether an operation failed before it reached the engine.
    pub(super) fn has_refused(&self) -> bool {
        self.places.iter().any(Result::is_err)
    }

    /// Returns the outcome of each operation, in the order of the request.
    pub(super) fn results(
        self,
        outcomes: Vec<Result<Result<Settled, NotSettled>, Failure>>,
    ) -> Vec<Result<Settled, Problem>> {
        let mut outcomes = outcomes.into_iter();
        let result = |place: Result<Arc<QueueCounters>, Problem>| {
            let counters = place?;
            outcome(&counters, outcomes.next().unwrap_or(Err(Failure::Broken)))
        };
        self.places.into_iter().map(result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lease::LeaseKey;
    use crate::domain::{Millis, QueueName, TaskId};
    use crate::http::field::read_request;
    use crate::http::origin::OriginRule;
    use crate::metrics::Metrics;

    fn lease() -> Lease {
        Lease {
            queue: QueueName::parse("emails").unwrap(),
            task: TaskId::new(Millis::local()),
            grant: 1,
            granted_at: Millis::local(),
            nonce: 7,
            age_ms: 0,
            size: 100,
            holds_key: false,
        }
    }

    fn acked(id: TaskId) -> Result<Result<Settled, NotSettled>, Failure> {
        Ok(Ok(Settled::Acked {
            id,
            late: false,
            already: false,
        }))
    }

    #[test]
    fn a_forged_or_bad_operation_fails_alone_in_its_place() {
        let (key, first, last) = (LeaseKey::new(&[7; 32]), lease(), lease());
        let body = format!(
            r#"{{"operations":[{{"op":"ack","lease_id":"{}"}},{{"op":"ack","lease_id":"forged"}},7,
                {{"op":"nack","lease_id":"x","result":1}},{{"op":"release","lease_id":"{}"}}]}}"#,
            key.seal(&first),
            key.seal(&last),
        );
        let body = Bytes::from(body);
        let operations = read_request::<SettleRequest>(&body).unwrap();
        let api = Api::new(Arc::new(Metrics::default()), OriginRule::Loopback);

        let (batch, ops) = Batch::open(operations, &api, |id| key.open(id).ok());
        assert!(batch.has_refused());
        assert_eq!(
            ops.iter().map(|settle| &settle.lease).collect::<Vec<_>>(),
            [&first, &last]
        );

        let results = batch.results(vec![acked(first.task), Ok(Err(NotSettled::Lost))]);
        let codes: Vec<_> = results
            .iter()
            .map(|result| result.as_ref().err().map(Problem::code))
            .collect();
        let invalid = Some(Code::ValidationFailed);
        assert_eq!(
            codes,
            [
                None,
                Some(Code::LeaseUnknown),
                invalid,
                invalid,
                Some(Code::LeaseLost)
            ]
        );
        assert_eq!(
            results[3].as_ref().unwrap_err().pointers(),
            ["/operations/3/result"]
        );

        let shown = serde_json::to_value(answer::items(&results)).unwrap();
        assert_eq!(
            (&shown[0]["index"], &shown[0]["state"]),
            (&0.into(), &"completed".into())
        );
        assert_eq!(
            (&shown[4]["index"], &shown[4]["error"]["code"]),
            (&4.into(), &"lease_lost".into())
        );
        let text = api.metrics().text();
        assert!(
            text.contains("leaseq_leases_settled_total{op=\"ack\",queue=\"emails\"} 1"),
            "{text}"
        );
        assert!(text.contains("leaseq_leases_lost_total{queue=\"emails\"} 1"));
    }

    #[test]
    fn an_engine_that_answers_too_little_is_our_mistake_and_not_success() {
        let api = Api::new(Arc::new(Metrics::default()), OriginRule::Loopback);
        let batch = Batch {
            places: vec![Ok(api.metrics().queue(&lease().queue))],
        };
        let results = batch.results(Vec::new());
        assert_eq!(results[0].as_ref().unwrap_err().code(), Code::Internal);
    }
}

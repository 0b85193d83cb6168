//! Opens and closes the breaker of a name, for operators.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::gate::Set;
use crate::domain::limits::HOLD_MS_MAX;
use crate::domain::{Millis, QueueName, TaskName};
use crate::http::api::Api;
use crate::http::body::Body;
use crate::http::field::{At, Field, Object, Request, Seconds, Word, Wrong, shape};
use crate::http::path::{InName, NamePath};
use crate::http::problem::sets::{ALWAYS, BODY, WRITE, problem_set};
use crate::http::problem::{Code, Problem};
use crate::http::wire;

const STATE: Field<Word<bool>> = Field::required(
    "state",
    Word {
        words: &[("open", true), ("closed", false)],
    },
    "`open`: tasks of the name are not leased. `closed`: they are leased again, and failures are counted from 0.",
);
const FOR: Field<Seconds> = Field::new(
    "for_seconds",
    Seconds {
        min_ms: 1,
        max_ms: HOLD_MS_MAX,
    },
    "How long the breaker stays open before it is half-open. Without it, the breaker stays open until you close it. Only with `open`.",
);

shape! {
    /// The new state of the breaker.
    SetBreakerRequest: STATE, FOR
}

impl Request for SetBreakerRequest {
    type Value = Set;

    fn read(object: &mut Object<'_, '_>, _: &Bytes, wrong: &mut Wrong) -> Option<Set> {
        let open = object.take(&STATE, wrong);
        let ms = object.take(&FOR, wrong);
        if open == Some(false) && ms.is_some() {
            wrong.add(At::Field(&At::Root, FOR.name), "is only for `state: open`");
        }
        Some(if open? { Set::Open { ms } } else { Set::Closed })
    }
}

/// The state of a breaker after the request.
#[derive(Serialize, ToSchema)]
#[schema(as = BreakerSet)]
pub(in crate::http) struct SetBreakerAnswer {
    #[schema(value_type = wire::Name)]
    queue: QueueName,
    #[schema(value_type = wire::Name)]
    name: TaskName,
    /// `open` or `closed`.
    state: &'static str,
    /// End of the open state, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    open_until: Option<Millis>,
}

problem_set! { SetBreakerProblems: ALWAYS, WRITE, BODY, &[Code::QueueUnknown] }

/// Open or close the breaker of a name by hand.
///
/// Waiting tasks stay ready and spend no attempts. Leased tasks stay leased, and their outcomes no longer
/// move the breaker.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/names/{name}/breaker", operation_id = "set_breaker", tag = "queues", params(NamePath),
    request_body(content = SetBreakerRequest, example = json!({"state": "open", "for_seconds": 600})),
    responses((status = 200, description = "The new state", body = SetBreakerAnswer), SetBreakerProblems),
)]
pub(in crate::http) async fn set(
    State(api): State<Api>,
    InName { queue, name }: InName,
    Body(set): Body<SetBreakerRequest>,
) -> Result<Json<SetBreakerAnswer>, Problem> {
    let open_until = api.engine()?.set_breaker(&queue, &name, set).await?;
    Ok(Json(SetBreakerAnswer {
        queue,
        name,
        state: if set == Set::Closed { "closed" } else { "open" },
        open_until: open_until.ok_or_else(|| Code::QueueUnknown.problem())?,
    }))
}

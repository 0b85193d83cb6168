//! Operators open and close the breaker of a name.

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
    "`open`: nothing of the name is granted. `closed`: everything goes on, and failures are counted anew.",
);
const FOR: Field<Seconds> = Field::new(
    "for_seconds",
    Seconds {
        min_ms: 1,
        max_ms: HOLD_MS_MAX,
    },
    "Only with `open`: for how long, and then it is half-open. Without it, until it is closed by hand.",
);

shape! {
    /// What is to become of the breaker.
    SetBreakerRequest: STATE, FOR
}

impl Request for SetBreakerRequest {
    type Value = Set;

    fn read(object: &mut Object<'_, '_>, _: &Bytes, wrong: &mut Wrong) -> Option<Set> {
        let open = object.take(&STATE, wrong);
        let ms = object.take(&FOR, wrong);
        if open == Some(false) && ms.is_some() {
            wrong.add(At::Field(&At::Root, FOR.name), "says nothing of a closed one");
        }
        Some(if open? { Set::Open { ms } } else { Set::Closed })
    }
}

/// A breaker as it now is.
#[derive(Serialize, ToSchema)]
#[schema(as = BreakerSet)]
pub(in crate::http) struct SetBreakerAnswer {
    #[schema(value_type = wire::Name)]
    queue: QueueName,
    #[schema(value_type = wire::Name)]
    name: TaskName,
    /// `open` or `closed`.
    state: &'static str,
    /// Of one that is open for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Instant>, nullable = false)]
    open_until: Option<Millis>,
}

problem_set! { SetBreakerProblems: ALWAYS, WRITE, BODY, &[Code::QueueUnknown] }

/// Open or close the breaker of a name by hand.
///
/// Tasks stay ready, attempts unspent; what is leased goes on, and moves the breaker no more.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/names/{name}/breaker", operation_id = "set_breaker", tag = "queues", params(NamePath),
    request_body(content = SetBreakerRequest, example = json!({"state": "open", "for_seconds": 600})),
    responses((status = 200, description = "As it now is", body = SetBreakerAnswer), SetBreakerProblems),
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

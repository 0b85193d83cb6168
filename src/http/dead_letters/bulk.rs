//! Bulk work on dead letters: at most a thousand per call, with a cursor for the next call.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::filter::{self, FilterKind};
use super::options::{self, DELAY, MAX_ATTEMPTS, PAYLOAD, PRIORITY};
use crate::domain::QueueName;
use crate::domain::dead::Replay;
use crate::domain::limits::BULK_TASKS_MAX;
use crate::engine::{Bulk, Failure, Handled, NotBegun, Pace};
use crate::http::api::Api;
use crate::http::body::Body;
use crate::http::field::{
    At, Described, Field, Flag, Integer, Kind, Label, Object, Parsed, Refusal, Request, Wrong, number, shape,
};
use crate::http::page;
use crate::http::path::{InQueue, QueuePath};
use crate::http::problem::sets::{ALWAYS, BODY, WRITE, problem_set};
use crate::http::problem::{Code, Problem};

const FILTER: Field<FilterKind> = Field::new(
    "filter",
    FilterKind,
    "Which dead letters; all of them by default.",
);
const LIMIT: Field<Integer> = Field::new(
    "limit",
    Integer {
        min: 1,
        max: BULK_TASKS_MAX as u64,
    },
    "Dead letters that this call handles at most.",
)
.or("1000");
const DRY_RUN: Field<Flag> = Field::new(
    "dry_run",
    Flag,
    "Count the matching dead letters and change nothing.",
)
.or("false");
const CURSOR: Field<Parsed<String>> = Field::new(
    "cursor",
    page::CURSOR.kind,
    "The `next_cursor` of the previous call, to continue the same work.",
);
const RATE: Field<Rate> = Field::new(
    "rate_per_second",
    Rate,
    "Spreads the new tasks over time: this many become ready per second, starting now or after `delay_seconds`.",
);
const CONFIRM: Field<Label> = Field::new(
    "confirm",
    Label { bytes_max: 128 },
    "The queue's name. Required when there is no filter.",
);

shape! {
    /// A filter of dead letters, and the options of the new tasks.
    BulkReplayRequest: FILTER, LIMIT, RATE, DRY_RUN, CURSOR, MAX_ATTEMPTS, DELAY, PRIORITY, PAYLOAD
}
shape! {
    /// A filter of dead letters to delete.
    BulkPurgeRequest: FILTER, LIMIT, DRY_RUN, CURSOR, CONFIRM
}

impl Request for BulkReplayRequest {
    type Value = (Bulk, Replay, Option<Pace>);

    fn read(object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> Option<Self::Value> {
        let bulk = read(object, wrong);
        let replay = options::read(object, body, wrong);
        Some((bulk, replay, object.take(&RATE, wrong)))
    }
}

impl Request for BulkPurgeRequest {
    /// With the name that confirms it.
    type Value = (Bulk, Option<String>);

    fn read(object: &mut Object<'_, '_>, _: &Bytes, wrong: &mut Wrong) -> Option<Self::Value> {
        let bulk = read(object, wrong);
        Some((bulk, object.take(&CONFIRM, wrong).map(Cow::into_owned)))
    }
}

/// The progress of a replay.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct BulkReplayAnswer {
    /// Matching dead letters that this call reached.
    pub(in crate::http) matched: u64,
    /// Tasks that this call created.
    pub(in crate::http) replayed: u64,
    /// Matching dead letters that another caller replayed or purged first, that were evicted, or whose unique
    /// key another task holds.
    pub(in crate::http) skipped: u64,
    /// Present if there may be more: pass it as `cursor` in the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::http) next_cursor: Option<String>,
}

/// The progress of a purge.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct BulkPurgeAnswer {
    /// Matching dead letters that this call reached.
    matched: u64,
    /// Dead letters that this call deleted.
    purged: u64,
    /// Present if there may be more: pass it as `cursor` in the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

problem_set! {
    BulkReplayProblems: ALWAYS, WRITE, BODY, &[Code::QueueUnknown, Code::PayloadTooLarge, Code::StoreFull]
}

/// Replay many dead letters, oldest first.
///
/// One call handles at most 1,000 dead letters. Calls that continue with a cursor skip tasks that died after
/// the first call. One step creates the new task and removes the dead letter, so interrupted, repeated or
/// concurrent calls lose nothing and double nothing. If the store fails during a call, the response says how
/// far it got.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/dlq/replay", operation_id = "replay_dead_letters", tag = "dead_letters",
    params(QueuePath),
    request_body(content = BulkReplayRequest,
        example = json!({"filter": {"error_type": "Timeout"}, "max_attempts": 3, "rate_per_second": 20})),
    responses((status = 200, description = "What this call did, and where the next one continues", body = BulkReplayAnswer), BulkReplayProblems),
)]
pub(in crate::http) async fn replay(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Body((bulk, replay, pace)): Body<BulkReplayRequest>,
) -> Result<Json<BulkReplayAnswer>, Problem> {
    let handled = api
        .engine()?
        .replay_dead_letters(&queue, &bulk, &replay, pace)
        .await?;
    let handled = told(handled.map_err(not_begun)?, "replayed")?;
    Ok(Json(BulkReplayAnswer {
        matched: handled.matched,
        replayed: handled.done,
        skipped: handled.skipped,
        next_cursor: handled.next_cursor,
    }))
}

problem_set! { BulkPurgeProblems: ALWAYS, WRITE, BODY, &[Code::QueueUnknown, Code::ConfirmationRequired] }

/// Delete many dead letters, oldest first.
///
/// Without a filter, `confirm` must be the name of the queue, except in a dry run.
#[utoipa::path(
    post, path = "/v1/queues/{queue}/dlq/purge", operation_id = "purge_dead_letters", tag = "dead_letters",
    params(QueuePath),
    request_body(content = BulkPurgeRequest, example = json!({"filter": {"died_before": "2027-01-15T08:00:00.000Z"}})),
    responses((status = 200, description = "What this call did, and where the next one continues", body = BulkPurgeAnswer), BulkPurgeProblems),
)]
pub(in crate::http) async fn purge(
    State(api): State<Api>,
    InQueue(queue): InQueue,
    Body((bulk, confirm)): Body<BulkPurgeRequest>,
) -> Result<Json<BulkPurgeAnswer>, Problem> {
    check_confirmed(&queue, &bulk, confirm.as_deref())?;
    let handled = api.engine()?.purge_dead_letters(&queue, &bulk).await?;
    let handled = told(handled.map_err(|_| bad_cursor())?, "purged")?;
    Ok(Json(BulkPurgeAnswer {
        matched: handled.matched,
        purged: handled.done,
        next_cursor: handled.next_cursor,
    }))
}

/// A purge of everything must be confirmed. A confirmation that names another queue is a mistake, whatever
/// else is there.
fn check_confirmed(queue: &QueueName, bulk: &Bulk, confirm: Option<&str>) -> Result<(), Problem> {
    match confirm {
        Some(name) if name != queue.as_str() => Err(Code::ConfirmationRequired
            .because("`confirm` is not the name of this queue. Nothing was deleted.")),
        None if bulk.filter.is_empty() && !bulk.dry_run => Err(Code::ConfirmationRequired.problem()),
        _ => Ok(()),
    }
}

fn read(object: &mut Object<'_, '_>, wrong: &mut Wrong) -> Bulk {
    let at = At::Field(&At::Root, FILTER.name);
    let filter = object.take(&FILTER, wrong);
    let limit = object.take(&LIMIT, wrong).and_then(|n| usize::try_from(n).ok());
    Bulk {
        filter: filter.map_or_else(Default::default, |text| filter::read(text, at, wrong)),
        limit: limit.unwrap_or(BULK_TASKS_MAX),
        dry_run: object.take(&DRY_RUN, wrong).unwrap_or(false),
        cursor: object.take(&CURSOR, wrong),
    }
}

fn bad_cursor() -> Problem {
    Problem::at(
        "/cursor",
        "must be the `next_cursor` of the previous call of the same work",
    )
}

fn not_begun(why: NotBegun) -> Problem {
    match why {
        NotBegun::BadCursor => bad_cursor(),
        NotBegun::TooFarAhead => Problem::at(
            "/rate_per_second",
            "would schedule a task more than 365 days ahead",
        ),
    }
}

/// Builds the response of a call that failed midway: its progress, unless that is unknown.
fn told(handled: Handled, done: &str) -> Result<Handled, Problem> {
    match &handled.stopped {
        Some(Failure::Unknown) => Err(Code::OutcomeUnknown.because(format!(
            "{} were {done}; up to 100 more may have been. Calling again is safe.",
            handled.done
        ))),
        _ => Ok(handled),
    }
}

/// Reads a rate that spreads tasks over time.
#[derive(Debug)]
struct Rate;

impl Kind for Rate {
    type Value<'a> = Pace;

    fn read(&self, text: &RawValue) -> Result<Pace, Refusal> {
        number(text.get()).and_then(Pace::per_second).ok_or_else(|| {
            let (min, max) = (Pace::MIN_PER_SECOND, Pace::MAX_PER_SECOND);
            format!("must be a number from {min} to {max}").into()
        })
    }
}

impl Described for Rate {
    fn schema(&self) -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Number)
            .minimum(Some(Pace::MIN_PER_SECOND))
            .maximum(Some(Pace::MAX_PER_SECOND));
        Schema::from(number.build()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::field::read_request;

    fn purge(body: &'static str) -> Result<Bulk, Problem> {
        let (bulk, confirm) = read_request::<BulkPurgeRequest>(&Bytes::from_static(body.as_bytes()))?;
        let queue = QueueName::parse("emails").unwrap();
        check_confirmed(&queue, &bulk, confirm.as_deref()).map(|()| bulk)
    }

    #[test]
    fn a_purge_of_everything_must_name_the_queue() {
        for (body, allowed) in [
            ("{}", false),
            (r#"{"filter":{}}"#, false),
            (r#"{"filter":null,"cursor":"x"}"#, false),
            (r#"{"confirm":"email"}"#, false),
            (r#"{"confirm":"email","filter":{"name":"a"}}"#, false),
            (r#"{"confirm":"emails"}"#, true),
            (r#"{"dry_run":true}"#, true),
            (r#"{"filter":{"reason":"rejected"}}"#, true),
        ] {
            let code = purge(body).err().map(|problem| problem.code());
            let expected = (!allowed).then_some(Code::ConfirmationRequired);
            assert_eq!(code, expected, "{body}");
        }
    }

    #[test]
    fn how_far_a_call_got_is_told_unless_it_is_not_known() {
        let handled = |stopped| Handled {
            matched: 200,
            done: 200,
            stopped,
            ..Handled::default()
        };
        assert!(told(handled(None), "purged").is_ok());
        assert!(
            told(
                handled(Some(Failure::NotApplied(crate::store::Why::Unreachable))),
                "purged"
            )
            .is_ok()
        );
        let unknown = told(handled(Some(Failure::Unknown)), "purged").unwrap_err();
        assert_eq!(unknown.code(), Code::OutcomeUnknown);
    }
}

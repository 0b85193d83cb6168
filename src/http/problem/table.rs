//! The table of problems. Responses, the OpenAPI document, `docs/errors.md` and the pages under
//! `/docs/errors/` read it.

use http::StatusCode;
use serde::Serialize;

/// Whether repeating the same request can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request gets the same response.
    No,
    /// A repeat can help later; `Retry-After` is sent if the time is known.
    Told,
    /// A repeat can help after this many seconds, sent as `Retry-After`.
    AfterSeconds(u32),
}

/// The effect of a request with a 5xx response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The request had no effect.
    NotApplied,
    /// The request may or may not have had its effect.
    Unknown,
}

impl Outcome {
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    pub code: &'static str,
    pub status: u16,
    pub retry: Retry,
    pub outcome: Option<Outcome>,
    pub title: &'static str,
    /// The description for callers.
    pub means: &'static str,
    /// The advice for the caller or the operator.
    pub advice: &'static str,
}

macro_rules! problems {
    ($($name:ident = $code:literal, $status:literal, $retry:expr, $outcome:expr;
        $title:literal; $means:literal; $advice:literal;)+) => {
        /// The stable name of a problem: what programs compare.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($name),+ }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            pub const fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => const {
                        &Row {
                            code: $code, status: $status, retry: $retry, outcome: $outcome,
                            title: $title, means: $means, advice: $advice,
                        }
                    }),+
                }
            }
        }
    };
}

const NO: Retry = Retry::No;
const SOON: Retry = Retry::AfterSeconds(1);
const LATER: Retry = Retry::AfterSeconds(5);
const NOT_APPLIED: Option<Outcome> = Some(Outcome::NotApplied);
const UNKNOWN: Option<Outcome> = Some(Outcome::Unknown);

problems! {
    MalformedJson = "malformed_json", 400, NO, None;
        "The body is not JSON";
        "The request body is not one JSON value in UTF-8, or it is nested too deeply.";
        "`detail` says where reading stopped. With `curl`, put the body in single quotes; send files with `--data-binary`.";
    MalformedBody = "malformed_body", 400, NO, None;
        "The body could not be read";
        "The connection broke off, or the body is not what its `Content-Encoding` says.";
        "Send the whole body, compressed with the named method or not at all.";
    ConfirmationRequired = "confirmation_required", 400, NO, None;
        "Confirm with the queue's name";
        "The request would delete tasks for good, and `confirm` is not the queue's name. Nothing was deleted.";
        "Send the queue's name as `confirm`, if that is what you want.";
    OriginRefused = "origin_refused", 403, NO, None;
        "Web pages may not call this service";
        "The service runs without keys. The request came from a web page of another origin, or for a host name that is not a loopback name.";
        "Call the service under `localhost` or a loopback address from a program that is no web page of another origin, or run it with API keys.";
    NotFound = "not_found", 404, NO, None;
        "There is nothing at this path";
        "No route of the service has this path.";
        "Compare the path with `/docs` or `/openapi.json`.";
    QueueUnknown = "queue_unknown", 404, NO, None;
        "No such queue";
        "The queue does not exist, and this request does not create it.";
        "Check the name. A queue comes into being with its first task, where the service creates queues by itself, or with `PUT /v1/queues/{queue}`.";
    TaskUnknown = "task_unknown", 404, NO, None;
        "No such task";
        "The queue has no task with this id: it never had, or what the queue keeps of finished tasks has run out.";
        "Check queue and id. `retention` in the queue's config says how long finished tasks stay readable.";
    LeaseUnknown = "lease_unknown", 404, NO, None;
        "No such lease";
        "The `lease_id` was not made by this service, or its task is gone and the lease no longer remembered.";
        "If the id is whole and of this service, read the answer as \"it is over\" and go on with the next task.";
    MethodNotAllowed = "method_not_allowed", 405, NO, None;
        "The path does not have this method";
        "The path exists, but not for this method.";
        "Use one of the methods in the `Allow` header.";
    RequestTimeout = "request_timeout", 408, SOON, None;
        "The body did not arrive in time";
        "The request body was still incomplete when its time was over.";
        "Send the body without pauses; send less at once over a slow line.";
    LeaseLost = "lease_lost", 409, NO, None;
        "The lease is no longer held";
        "The lease ran out, the task was granted to somebody else since, or another operation has settled the lease.";
        "Stop working on the task and drop its result: somebody else has it or will have it. Extend leases in time, or ask for longer ones.";
    DuplicateTask = "duplicate_task", 409, NO, None;
        "Another task holds the unique key";
        "Another task holds the key of `unique`, and `on_duplicate` is `reject`; or the key of a dead letter that was to be replayed. Nothing was stored or changed; `detail` names the task.";
        "Read the answer as \"it is there already\". To be answered with that task instead, say `on_duplicate: return`.";
    TaskState = "task_state", 409, NO, None;
        "The task's state does not allow it";
        "The task is in a state in which this cannot be done. Nothing changed.";
        "Read the task: only waiting tasks can be changed, only unfinished ones cancelled.";
    QueuePaused = "queue_paused", 409, Retry::Told, None;
        "The queue takes no new tasks for now";
        "An operator has paused the queue for producers. Nothing was stored.";
        "Try again after `Retry-After`; without it nobody has said when the queue is resumed. `GET /v1/queues/{queue}` shows what is stopped, since when, and why.";
    QueueNotEmpty = "queue_not_empty", 409, NO, None;
        "The queue has tasks";
        "The queue would be deleted with its tasks, and nobody confirmed that. Nothing was deleted.";
        "Purge the queue first, or repeat the request with `?confirm=` and the queue's name.";
    QueuesFull = "queues_full", 409, NO, None;
        "The service has as many queues as it may have";
        "The request would have made a new queue beyond `max_queues`.";
        "Use an existing queue, delete one that is no longer needed, or raise `max_queues`.";
    NamesFull = "names_full", 409, NO, None;
        "The queue's tasks have as many names as they may have";
        "The task would have brought another name into a queue whose tasks have 1,000 names already. It was not stored.";
        "A name says which handler a task is for. Put what differs from task to task into its payload, or its group. A name that had nothing ready and no enqueue for a day makes room for another one.";
    VerifyRunning = "verify_running", 409, SOON, None;
        "The queue is being audited already";
        "Another call audits this queue through the same process. Two at a time would take twice their share of Redis.";
        "Wait for the other one, or end it by closing its connection.";
    VersionMismatch = "version_mismatch", 412, NO, None;
        "The config has changed meanwhile";
        "`If-Match` or `If-None-Match` names another version than the present one.";
        "Read the queue again, apply the change to what it says now, and send the new `ETag`.";
    BodyTooLarge = "body_too_large", 413, NO, None;
        "The body is over the limit";
        "The request body is larger than the service reads, after decompression.";
        "Send fewer tasks at once. `GET /v1/limits` has the number.";
    PayloadTooLarge = "payload_too_large", 413, NO, None;
        "The payload is over the limit";
        "One task's payload is larger than a task may carry.";
        "Store the data elsewhere and put a reference into the payload. `GET /v1/limits` has the number.";
    ResultTooLarge = "result_too_large", 413, NO, None;
        "The result is over the limit";
        "An ack's result is larger than the service keeps. The task was not acked.";
        "Store the result elsewhere and ack with a reference to it. `GET /v1/limits` has the number.";
    BatchTooLarge = "batch_too_large", 413, NO, None;
        "The batch is over the limit";
        "The batch has more items, or an atomic batch more bytes, than one request may have. Nothing of it was accepted.";
        "Split the batch. `GET /v1/limits` has the numbers.";
    UnsupportedMediaType = "unsupported_media_type", 415, NO, None;
        "The body's content type is not accepted";
        "The path takes JSON, and for batches NDJSON. A form type, as `curl -d` sends it, is read as JSON only without cookies or with a Bearer key.";
        "Send `Content-Type: application/json`, or `application/x-ndjson` for a batch with one task on each line.";
    UnsupportedEncoding = "unsupported_encoding", 415, NO, None;
        "The body's content encoding is not accepted";
        "Request bodies may be compressed with gzip or zstd, once.";
        "Compress with gzip or zstd, or not at all.";
    ValidationFailed = "validation_failed", 422, NO, None;
        "The request is not valid";
        "The request can be read, but a field is unknown, of the wrong type, out of its limits, or contradicts another. Nothing was stored.";
        "`errors` names each field and says what is allowed: `/…` is a JSON pointer into the body; `query:`, `path:` and `header:` name what is elsewhere.";
    IdempotencyMismatch = "idempotency_mismatch", 422, NO, None;
        "The Idempotency-Key was used for another request";
        "An earlier request had the same `Idempotency-Key` and another body. This one changed nothing.";
        "Repeat a request byte for byte, and give each new one a key of its own.";
    QueueFull = "queue_full", 429, LATER, None;
        "The queue takes no more tasks for now";
        "The queue has as much unfinished work (scheduled, ready and leased tasks) as its `max_tasks` or `max_bytes` allows; or its dead letters are at `max_size` or `max_bytes`, and its `dead_letter.on_full` is `reject_enqueue`. `detail` says which. Nothing was stored.";
        "Slow down, and try again after `Retry-After`: there is room when tasks are finished, cancelled, purged or dead, or when dead letters are replayed or purged. Or raise the bound. Leases and settles go on as always.";
    Internal = "internal", 500, NO, UNKNOWN;
        "The service made a mistake";
        "The service met something that it should never meet. The log has the details under the id in `instance`.";
        "Report it with that id. Repeating an ack, nack or release is safe; an enqueue may have been accepted, and is safe to repeat with its `Idempotency-Key`.";
    StoreUnavailable = "store_unavailable", 503, SOON, NOT_APPLIED;
        "The store did not take the operation";
        "Redis could not be reached or refused the work. Nothing was written.";
        "Retry freely after `Retry-After`. If it lasts, `/readyz` and the log say why.";
    NotReady = "not_ready", 503, SOON, NOT_APPLIED;
        "The service is starting";
        "The service listens already, but its store is not yet loaded.";
        "Retry after `Retry-After`; `/readyz` answers 200 when it is ready.";
    Overloaded = "overloaded", 503, SOON, NOT_APPLIED;
        "The service has too much to do";
        "More requests are waiting than the service takes. This one was not begun.";
        "Retry after `Retry-After`, with growing pauses. Batches cost less than single requests.";
    ShuttingDown = "shutting_down", 503, LATER, NOT_APPLIED;
        "The service is shutting down";
        "The service is stopping and takes no new work. Nothing was written.";
        "Retry after `Retry-After`: on another replica at once, or here after the restart.";
    Timeout = "timeout", 503, SOON, NOT_APPLIED;
        "The answer took too long";
        "Reading took longer than a request may take. Nothing was changed.";
        "Retry after `Retry-After`. If it lasts, `/readyz` and the log say why.";
    OutcomeUnknown = "outcome_unknown", 504, SOON, UNKNOWN;
        "It is not known whether the operation happened";
        "The store did not answer in time. The operation may or may not have happened.";
        "Repeat ack, nack, extend and release with the same lease: that is safe. So is repeating a cancel, a change, a purge or a deletion, and an enqueue with the same `Idempotency-Key`; without one it may make a second task.";
    StoreFull = "store_full", 507, LATER, NOT_APPLIED;
        "The store is full";
        "Redis has no memory left for new tasks. Lease, ack, nack, release, cancel and purge still work.";
        "Slow producers down and let workers catch up, purge what is not needed, or give Redis more memory.";
}

impl Code {
    pub const fn word(self) -> &'static str {
        self.row().code
    }

    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).expect("the table holds statuses between 400 and 599")
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_says_what_happened_and_what_to_do() {
        for code in Code::ALL {
            let row = code.row();
            assert!((400..600).contains(&row.status), "{row:?}");
            assert!(row.means.ends_with('.') && row.advice.ends_with('.'), "{row:?}");
            assert!(!row.title.ends_with('.'), "{row:?}");
            assert_eq!(Code::parse(row.code), Some(*code), "codes are unique");
            assert_eq!(
                row.status >= 500,
                row.outcome.is_some(),
                "a 5xx says what became of the request: {row:?}"
            );
        }
    }
}

//! Tells the service how a task went, until it has understood.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::task::Task;
use super::worker::Worker;
use crate::cli::client::CallError;

/// What to tell.
#[derive(Debug)]
pub(super) enum Operation<'a> {
    Ack {
        result: Option<Box<RawValue>>,
    },
    Nack {
        kind: String,
        message: String,
        retry: bool,
    },
    Release {
        retry_after: Option<Duration>,
        reason: &'a str,
    },
}

/// Whether it was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Settled,
    /// The lease is not ours any more: whatever we did, somebody else does it again or did it before.
    Lost,
}

/// Repeats are marked for five minutes, so for that long telling again is safe.
const TELL_FOR: Duration = Duration::from_secs(300);
/// The same, when the worker has been told to hurry.
const TELL_FOR_HURRIED: Duration = Duration::from_secs(5);

/// Worth another try: the service, or the way to it, may come back.
pub(super) fn is_transient(error: &CallError) -> bool {
    match error {
        CallError::Unreachable(_) | CallError::NoAnswer(_) => true,
        CallError::Problem(problem) => matches!(problem.status, 408 | 429 | 500..),
    }
}

/// Settles the task's lease, repeating on failures that may pass.
pub(super) async fn settle(worker: &Worker, task: &Task, mut operation: Operation<'_>) -> Told {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut until = Instant::now() + TELL_FOR;
    let mut hurried = false;
    loop {
        let path = format!("/v1/leases/{}/{}", task.lease_id, operation.word());
        let error = match worker.api.post(&path, operation.body(), Duration::ZERO).await {
            Ok(_) => return Told::Settled,
            Err(error) => error,
        };
        let lost = matches!(&error, CallError::Problem(problem) if matches!(problem.status, 404 | 409));
        if lost {
            worker.journal.tell(&format!(
                "task {}: too late to {}: {error}",
                task.id,
                operation.word()
            ));
            return Told::Lost;
        }
        if !is_transient(&error) && operation.simplify() {
            worker.journal.tell(&format!(
                "task {}: {} was refused and is repeated without details: {error}",
                task.id,
                operation.word()
            ));
            continue;
        }
        if worker.forced.is_cancelled() && !hurried {
            hurried = true;
            until = until.min(Instant::now() + TELL_FOR_HURRIED);
        }
        let pause = backoff.next().max(error.retry_after().unwrap_or_default());
        if !is_transient(&error) || Instant::now() + pause > until {
            worker.journal.tell(&format!(
                "task {}: {} was not taken, so its lease will run out: {error}",
                task.id,
                operation.word()
            ));
            return Told::Lost;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = worker.forced.cancelled(), if !hurried => {}
        }
    }
}

#[derive(Serialize)]
struct AckBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct NackBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
    retry: bool,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct ReleaseBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

impl Operation<'_> {
    fn word(&self) -> &'static str {
        match self {
            Self::Ack { .. } => "ack",
            Self::Nack { .. } => "nack",
            Self::Release { .. } => "release",
        }
    }

    fn body(&self) -> Vec<u8> {
        let body = match self {
            Self::Ack { result } => serde_json::to_vec(&AckBody {
                result: result.as_deref(),
            }),
            Self::Nack { kind, message, retry } => serde_json::to_vec(&NackBody {
                error: (!kind.is_empty()).then_some(ErrorBody { kind, message }),
                retry: *retry,
            }),
            Self::Release { retry_after, reason } => serde_json::to_vec(&ReleaseBody {
                retry_after: retry_after.map(|wait| wait.as_secs_f64()),
                reason,
            }),
        };
        body.expect("checked JSON, strings and numbers always serialize")
    }

    /// Drops what a service could object to (a result or message that it finds too long or malformed);
    /// `false` when there is nothing left to drop. The settling matters more than its details.
    fn simplify(&mut self) -> bool {
        match self {
            Self::Ack { result } => result.take().is_some(),
            Self::Nack { kind, .. } => !std::mem::take(kind).is_empty(),
            Self::Release { reason, .. } => !std::mem::take(reason).is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_what_the_api_takes_and_results_stay_byte_for_byte() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).ok();
        let mut ack = Operation::Ack {
            result: raw(r#"{"n": 1.10}"#),
        };
        assert_eq!(ack.body(), br#"{"result":{"n": 1.10}}"#);
        assert!(ack.simplify() && !ack.simplify());
        assert_eq!(ack.body(), b"{}");
        let mut nack = Operation::Nack {
            kind: "exit_1".into(),
            message: "no".into(),
            retry: false,
        };
        assert_eq!(
            nack.body(),
            br#"{"error":{"type":"exit_1","message":"no"},"retry":false}"#
        );
        assert!(nack.simplify());
        assert_eq!(nack.body(), br#"{"retry":false}"#);
        let release = Operation::Release {
            retry_after: Some(Duration::from_secs(30)),
            reason: "exit 75",
        };
        assert_eq!(release.body(), br#"{"retry_after":30.0,"reason":"exit 75"}"#);
    }
}

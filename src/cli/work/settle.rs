//! Settles a lease, with retries until the service responds.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::task::Task;
use super::worker::Worker;
use crate::backoff::Backoff;
use crate::cli::client::CallError;

/// An operation on a lease with its details.
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

/// The outcome of a settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Done,
    /// The lease is lost: another worker does the work again, or has already done it.
    Lost,
}

/// How long a settle is repeated. The service recognises repeats for five minutes.
const REPEAT_FOR: Duration = Duration::from_secs(300);
/// How long a settle is repeated once the grace time is over.
const REPEAT_FOR_HURRIED: Duration = Duration::from_secs(5);

/// Whether a retry may help, because the service or the network may recover.
pub(super) fn is_transient(error: &CallError) -> bool {
    match error {
        CallError::Unreachable(_) | CallError::NoResponse(_) => true,
        CallError::Problem(problem) => matches!(problem.status, 408 | 429 | 500..),
    }
}

/// Settles the lease of a task. Retries transient failures.
pub(super) async fn settle(worker: &Worker, task: &Task, mut operation: Operation<'_>) -> Settled {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut until = Instant::now() + REPEAT_FOR;
    let mut hurried = false;
    loop {
        let path = format!("/v1/leases/{}/{}", task.lease_id, operation.word());
        let error = match worker.api.post(&path, operation.body(), Duration::ZERO).await {
            Ok(_) => return Settled::Done,
            Err(error) => error,
        };
        let lost = matches!(&error, CallError::Problem(problem) if matches!(problem.status, 404 | 409));
        if lost {
            worker.journal.log(&format!(
                "task {}: {} came too late, the lease is lost: {error}",
                task.id,
                operation.word()
            ));
            return Settled::Lost;
        }
        if !is_transient(&error) && operation.simplify() {
            worker.journal.log(&format!(
                "task {}: {} was refused and is repeated without details: {error}",
                task.id,
                operation.word()
            ));
            continue;
        }
        if worker.forced.is_cancelled() && !hurried {
            hurried = true;
            until = until.min(Instant::now() + REPEAT_FOR_HURRIED);
        }
        let pause = backoff.next().max(error.retry_after().unwrap_or_default());
        if !is_transient(&error) || Instant::now() + pause > until {
            worker.journal.log(&format!(
                "task {}: {} failed, so the lease will expire: {error}",
                task.id,
                operation.word()
            ));
            return Settled::Lost;
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

    /// Drops the part that a service could refuse, such as a result that is too long. Returns `false` if
    /// there is no such part. Settling matters more than its details.
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
    fn bodies_have_the_form_of_the_api_and_results_stay_byte_for_byte() {
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

//! Handles one task from lease to settle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::heartbeat::{StopReason, heartbeat};
use super::program::{End, Program};
use super::settle::{Operation, Settled, settle};
use super::task::Task;
use super::worker::Worker;

/// `EX_TEMPFAIL` of sysexits: try again later.
const EXIT_LATER: i32 = 75;
/// `EX_DATAERR` of sysexits: the task itself is wrong, and no retry helps.
const EXIT_REJECT: i32 = 65;

/// How a task ended at this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Acked,
    Nacked,
    Released,
    /// The lease was lost, or the service could not be reached.
    Lost,
}

/// Runs the program for a task and settles the lease by its outcome.
pub(super) async fn perform(worker: Arc<Worker>, task: Task) -> Outcome {
    let began = Instant::now();
    let (operation, outcome, why) = match run(&worker, &task).await {
        Ran::Ended(end) => judge(&end, worker.retry_after),
        Ran::Interrupted(StopReason::Lost) => {
            worker.journal.log(&format!(
                "task {}: the lease is lost, and the program was stopped",
                task.id
            ));
            return Outcome::Lost;
        }
        Ran::Interrupted(StopReason::Cancelled) => {
            release(None, "the task was cancelled while the program ran")
        }
        Ran::Stopped => release(None, "the worker stopped while the program ran"),
        Ran::NotRun(error) => {
            worker
                .journal
                .log(&format!("the program could not be started: {error}"));
            release(Some(worker.retry_after), "the worker could not start its program")
        }
    };
    if settle(&worker, &task, operation).await == Settled::Lost {
        return Outcome::Lost;
    }
    let line = format!(
        "task {} of {}/{}, attempt {} of {}: {why} after {:.1} s",
        task.id,
        task.queue,
        task.name,
        task.attempt,
        task.max_attempts,
        began.elapsed().as_secs_f64()
    );
    match outcome {
        Outcome::Acked => worker.journal.log_if_verbose(&line),
        _ => worker.journal.log(&line),
    }
    outcome
}

enum Ran {
    Ended(End),
    Interrupted(StopReason),
    /// The grace time was over.
    Stopped,
    NotRun(std::io::Error),
}

async fn run(worker: &Arc<Worker>, task: &Task) -> Ran {
    if worker.forced.is_cancelled() {
        return Ran::Stopped;
    }
    let mut program = match Program::start(worker, task) {
        Ok(program) => program,
        Err(error) => return Ran::NotRun(error),
    };
    let stopped = tokio::select! {
        // A program that has ended counts as ended, even if the lease was lost at the same moment.
        biased;
        end = program.end() => return match end {
            Ok(end) => Ran::Ended(end),
            Err(error) => Ran::NotRun(error),
        },
        over = heartbeat(worker, task) => Ran::Interrupted(over),
        () = worker.forced.cancelled() => Ran::Stopped,
    };
    // The exit code is ignored here: many programs exit with 0 on SIGTERM although their work is not done.
    program.stop().await;
    stopped
}

/// Returns the operation, the outcome and the log text for an ended program.
fn judge(end: &End, retry_after: Duration) -> (Operation<'static>, Outcome, String) {
    let code = end.code();
    match code {
        0 => {
            let result = end.result();
            let why = if result.is_some() {
                "acked with a result"
            } else {
                "acked"
            };
            (Operation::Ack { result }, Outcome::Acked, why.into())
        }
        EXIT_LATER => release(Some(retry_after), "the program exited with 75"),
        _ => {
            let message = end.message();
            let last = message.lines().last().unwrap_or_default();
            let why = format!("nacked, exit {code} ({last})");
            let operation = Operation::Nack {
                kind: format!("exit_{code}"),
                retry: code != EXIT_REJECT,
                message,
            };
            (operation, Outcome::Nacked, why)
        }
    }
}

fn release(retry_after: Option<Duration>, reason: &'static str) -> (Operation<'static>, Outcome, String) {
    (
        Operation::Release { retry_after, reason },
        Outcome::Released,
        format!("released, {reason}"),
    )
}

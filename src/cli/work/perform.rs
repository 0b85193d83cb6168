//! One task from lease to settle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::heartbeat::{Over, heartbeat};
use super::program::{End, Program};
use super::settle::{Operation, Told, settle};
use super::task::Task;
use super::worker::Worker;

/// `EX_TEMPFAIL` of sysexits: come back later.
const EXIT_LATER: i32 = 75;
/// `EX_DATAERR`: the task itself is wrong, no retry will help.
const EXIT_REJECT: i32 = 65;

/// How a task left this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Acked,
    Nacked,
    Released,
    /// Not ours any more, or nobody could be told.
    Lost,
}

/// Runs the program on the task and settles the lease as it ended.
pub(super) async fn perform(worker: Arc<Worker>, task: Task) -> Outcome {
    let began = Instant::now();
    let (operation, outcome, why) = match run(&worker, &task).await {
        Ran::Ended(end) => judge(&end, worker.retry_after),
        Ran::Over(Over::Lost) => {
            worker.journal.tell(&format!(
                "task {}: its lease is lost, the program was stopped",
                task.id
            ));
            return Outcome::Lost;
        }
        Ran::Over(Over::Cancelled) => release(None, "cancelled while it ran"),
        Ran::Stopped => release(None, "the worker stopped while it ran"),
        Ran::NotRun(error) => {
            worker
                .journal
                .tell(&format!("the program could not be started: {error}"));
            release(Some(worker.retry_after), "the worker could not start its program")
        }
    };
    if settle(&worker, &task, operation).await == Told::Lost {
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
        Outcome::Acked => worker.journal.mention(&line),
        _ => worker.journal.tell(&line),
    }
    outcome
}

enum Ran {
    Ended(End),
    Over(Over),
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
        // What has ended counts as ended, whatever else happened at the same time.
        biased;
        end = program.end() => return match end {
            Ok(end) => Ran::Ended(end),
            Err(error) => Ran::NotRun(error),
        },
        over = heartbeat(worker, task) => Ran::Over(over),
        () = worker.forced.cancelled() => Ran::Stopped,
    };
    // Its exit code means nothing any more: many programs exit with 0 on SIGTERM, work undone.
    program.stop().await;
    stopped
}

/// What the exit code says.
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

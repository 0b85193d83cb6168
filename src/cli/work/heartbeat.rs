//! Keeps a lease alive while its program runs.

use std::time::Duration;

use serde::Deserialize;

use super::task::Task;
use super::worker::Worker;
use crate::cli::client::CallError;

/// The reason to stop the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopReason {
    /// The task is finished, or another worker has it.
    Lost,
    /// The task was cancelled. We still have the lease and must release it.
    Cancelled,
}

#[derive(Deserialize)]
struct Extended {
    #[serde(default)]
    cancel_requested: bool,
}

/// Extends the lease at each third of its length. Returns when the program should stop.
///
/// While the service cannot be reached, the program continues: no other worker can be granted the task
/// either, and a late ack may still count. The first response after that decides.
pub(super) async fn heartbeat(worker: &Worker, task: &Task) -> StopReason {
    let every = task.lease() / 3;
    let path = format!("/v1/leases/{}/extend", task.lease_id);
    let mut pause = every;
    let mut failed = false;
    loop {
        tokio::time::sleep(pause).await;
        // A request that hangs must not use up the time of the next one.
        let call = worker.api.post(&path, b"{}".to_vec(), Duration::ZERO);
        let response = match tokio::time::timeout(every, call).await {
            Ok(response) => response,
            Err(_) => Err(CallError::NoResponse("the extend took too long".into())),
        };
        let error = match response {
            Ok(body) => {
                let extended: Extended = serde_json::from_slice(&body).unwrap_or(Extended {
                    cancel_requested: false,
                });
                if extended.cancel_requested {
                    return StopReason::Cancelled;
                }
                (pause, failed) = (every, false);
                continue;
            }
            Err(CallError::Problem(problem)) if matches!(problem.status, 404 | 409) => {
                return StopReason::Lost;
            }
            Err(error) => error,
        };
        if !failed {
            worker.journal.log(&format!(
                "task {}: the lease could not be extended: {error}",
                task.id
            ));
        }
        failed = true;
        // Short enough for several retries in the rest of the lease, long enough not to busy the service.
        pause = (every / 4).clamp(Duration::from_millis(200), Duration::from_secs(5));
    }
}

//! Keeps a lease alive while its program runs.

use std::time::Duration;

use serde::Deserialize;

use super::task::Task;
use super::worker::Worker;
use crate::cli::client::CallError;

/// Why the program should not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The task is somebody else's, or over.
    Lost,
    /// Somebody cancelled it; the lease is still ours to release.
    Cancelled,
}

#[derive(Deserialize)]
struct Extended {
    #[serde(default)]
    cancel_requested: bool,
}

/// Extends at each third of the lease, and returns when there is no point in going on.
///
/// While the service cannot be reached the program goes on: nobody else can be granted the task
/// either, and a late ack may still count. The first answer after that decides.
pub(super) async fn heartbeat(worker: &Worker, task: &Task) -> Over {
    let every = task.lease() / 3;
    let path = format!("/v1/leases/{}/extend", task.lease_id);
    let mut pause = every;
    let mut failed = false;
    loop {
        tokio::time::sleep(pause).await;
        // A call that hangs must not use up the time in which another could succeed.
        let call = worker.api.post(&path, b"{}".to_vec(), Duration::ZERO);
        let answer = match tokio::time::timeout(every, call).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::NoAnswer("extend took too long".into())),
        };
        let error = match answer {
            Ok(body) => {
                let extended: Extended = serde_json::from_slice(&body).unwrap_or(Extended {
                    cancel_requested: false,
                });
                if extended.cancel_requested {
                    return Over::Cancelled;
                }
                (pause, failed) = (every, false);
                continue;
            }
            Err(CallError::Problem(problem)) if matches!(problem.status, 404 | 409) => return Over::Lost,
            Err(error) => error,
        };
        if !failed {
            worker.journal.tell(&format!(
                "task {}: its lease could not be extended: {error}",
                task.id
            ));
        }
        failed = true;
        // Several tries fit into what is left, and yet no tight loop.
        pause = (every / 4).clamp(Duration::from_millis(200), Duration::from_secs(5));
    }
}

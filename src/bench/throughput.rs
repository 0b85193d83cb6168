//! Closed loops: every connection sends its next request after the response to the last one.

use super::client::{Broken, Client};
use super::stage::Stage;
use super::tally::Tally;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a worker waits for a task if producers are separate. Short, so that it notices the end of the
/// run.
const WAIT_SECONDS: u64 = 1;

/// The work of the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loop {
    Enqueue,
    /// Leases tasks and leaves them leased.
    Lease,
    /// Leases and acks tasks until the queue is empty.
    Drain,
    /// Each connection enqueues, leases and acks in turn.
    Cycle,
    /// The first connections only enqueue, the others lease and ack.
    Apart {
        producers: usize,
    },
}

/// Runs all connections.
///
/// # Errors
/// A thread could not be created.
pub(super) fn run(
    what: Loop,
    stage: &Arc<Stage>,
    threads: usize,
    connections: usize,
    time_max: Duration,
) -> std::io::Result<Tally> {
    Client::run_all(
        stage,
        threads,
        connections,
        time_max,
        async move |client, connection| match what {
            Loop::Enqueue => enqueue(client, connection).await,
            Loop::Lease => lease(client, connection).await,
            Loop::Drain => drain(client, connection, 0).await,
            Loop::Cycle => cycle(client, connection).await,
            Loop::Apart { producers } if connection < producers => produce(client, connection).await,
            Loop::Apart { .. } => drain(client, connection, WAIT_SECONDS).await,
        },
    )
}

async fn enqueue(client: &mut Client, connection: usize) -> Result<(), Broken> {
    for turn in 0.. {
        let count = client.stage.take(client.stage.batch, client.window);
        if count == 0 {
            break;
        }
        let accepted = client.enqueue(connection, turn, count).await?;
        client.finished(accepted);
    }
    Ok(())
}

/// Enqueues only as far ahead of the workers as allowed, so that the backlog keeps its size.
async fn produce(client: &mut Client, connection: usize) -> Result<(), Broken> {
    for turn in 0.. {
        let count = client.stage.take(client.stage.batch, client.window);
        if count == 0 {
            break;
        }
        let stage = Arc::clone(&client.stage);
        let left = client.window.until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, stage.ahead.acquire_many(count as u32)).await {
            Ok(Ok(permits)) => permits.forget(),
            _ => break,
        }
        client.enqueue(connection, turn, count).await?;
    }
    Ok(())
}

async fn lease(client: &mut Client, connection: usize) -> Result<(), Broken> {
    let mut empty_in_a_row = 0;
    for turn in 0.. {
        let count = client.stage.take(client.stage.batch, client.window);
        if count == 0 || empty_in_a_row == client.stage.queues.len() {
            break;
        }
        let (leased, _) = client.lease(connection, turn, count, 0).await?;
        client.lease_ids.clear();
        client.finished(leased);
        empty_in_a_row = if leased == 0 { empty_in_a_row + 1 } else { 0 };
    }
    Ok(())
}

/// Leases and acks until time or tasks are used up. With `wait_seconds` 0 it also stops after every queue was
/// empty in a row.
async fn drain(client: &mut Client, connection: usize, wait_seconds: u64) -> Result<(), Broken> {
    let mut empty_in_a_row = 0;
    for turn in 0.. {
        // Separate producers count the tasks, so a worker does not.
        let count = match wait_seconds {
            0 => client.stage.take(client.stage.batch, client.window),
            _ if client.stage.is_exhausted() || Instant::now() >= client.window.until => 0,
            _ => client.stage.batch,
        };
        if count == 0 || (wait_seconds == 0 && empty_in_a_row == client.stage.queues.len()) {
            break;
        }
        let (leased, mut completed) = client.lease(connection, turn, count, wait_seconds).await?;
        empty_in_a_row = if leased == 0 { empty_in_a_row + 1 } else { 0 };
        if !client.stage.settle_in_lease {
            completed += client.ack().await?;
        }
        settled(client, completed);
    }
    let completed = client.ack().await?;
    settled(client, completed);
    Ok(())
}

fn settled(client: &mut Client, completed: u64) {
    client.finished(completed);
    client.stage.ahead.add_permits(completed as usize);
}

async fn cycle(client: &mut Client, connection: usize) -> Result<(), Broken> {
    for turn in 0.. {
        let count = client.stage.take(client.stage.batch, client.window);
        if count == 0 {
            break;
        }
        client.enqueue(connection, turn, count).await?;
        let (_, mut completed) = client.lease(connection, turn, count, 0).await?;
        if !client.stage.settle_in_lease {
            completed += client.ack().await?;
        }
        client.finished(completed);
    }
    let completed = client.ack().await?;
    client.finished(completed);
    Ok(())
}

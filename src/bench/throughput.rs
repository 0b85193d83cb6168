//! Closed loops: every connection sends its next request after the response to the last one.

use super::hand::{Broken, Hand};
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
    Hand::run_all(
        stage,
        threads,
        connections,
        time_max,
        async move |hand, connection| match what {
            Loop::Enqueue => enqueue(hand, connection).await,
            Loop::Lease => lease(hand, connection).await,
            Loop::Drain => drain(hand, connection, 0).await,
            Loop::Cycle => cycle(hand, connection).await,
            Loop::Apart { producers } if connection < producers => produce(hand, connection).await,
            Loop::Apart { .. } => drain(hand, connection, WAIT_SECONDS).await,
        },
    )
}

async fn enqueue(hand: &mut Hand, connection: usize) -> Result<(), Broken> {
    for turn in 0.. {
        let count = hand.stage.take(hand.stage.batch, hand.window);
        if count == 0 {
            break;
        }
        let accepted = hand.enqueue(connection, turn, count).await?;
        hand.finished(accepted);
    }
    Ok(())
}

/// Enqueues only as far ahead of the workers as allowed, so that the backlog keeps its size.
async fn produce(hand: &mut Hand, connection: usize) -> Result<(), Broken> {
    for turn in 0.. {
        let count = hand.stage.take(hand.stage.batch, hand.window);
        if count == 0 {
            break;
        }
        let stage = Arc::clone(&hand.stage);
        let left = hand.window.until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, stage.ahead.acquire_many(count as u32)).await {
            Ok(Ok(permits)) => permits.forget(),
            _ => break,
        }
        hand.enqueue(connection, turn, count).await?;
    }
    Ok(())
}

async fn lease(hand: &mut Hand, connection: usize) -> Result<(), Broken> {
    let mut empty_in_a_row = 0;
    for turn in 0.. {
        let count = hand.stage.take(hand.stage.batch, hand.window);
        if count == 0 || empty_in_a_row == hand.stage.queues.len() {
            break;
        }
        let (leased, _) = hand.lease(connection, turn, count, 0).await?;
        hand.lease_ids.clear();
        hand.finished(leased);
        empty_in_a_row = if leased == 0 { empty_in_a_row + 1 } else { 0 };
    }
    Ok(())
}

/// Leases and acks until time or tasks are used up. With `wait_seconds` 0 it also stops after every queue was
/// empty in a row.
async fn drain(hand: &mut Hand, connection: usize, wait_seconds: u64) -> Result<(), Broken> {
    let mut empty_in_a_row = 0;
    for turn in 0.. {
        // Separate producers count the tasks, so a worker does not.
        let count = match wait_seconds {
            0 => hand.stage.take(hand.stage.batch, hand.window),
            _ if hand.stage.is_exhausted() || Instant::now() >= hand.window.until => 0,
            _ => hand.stage.batch,
        };
        if count == 0 || (wait_seconds == 0 && empty_in_a_row == hand.stage.queues.len()) {
            break;
        }
        let (leased, mut completed) = hand.lease(connection, turn, count, wait_seconds).await?;
        empty_in_a_row = if leased == 0 { empty_in_a_row + 1 } else { 0 };
        if !hand.stage.settle_in_lease {
            completed += hand.ack().await?;
        }
        settled(hand, completed);
    }
    let completed = hand.ack().await?;
    settled(hand, completed);
    Ok(())
}

fn settled(hand: &mut Hand, completed: u64) {
    hand.finished(completed);
    hand.stage.ahead.add_permits(completed as usize);
}

async fn cycle(hand: &mut Hand, connection: usize) -> Result<(), Broken> {
    for turn in 0.. {
        let count = hand.stage.take(hand.stage.batch, hand.window);
        if count == 0 {
            break;
        }
        hand.enqueue(connection, turn, count).await?;
        let (_, mut completed) = hand.lease(connection, turn, count, 0).await?;
        if !hand.stage.settle_in_lease {
            completed += hand.ack().await?;
        }
        hand.finished(completed);
    }
    let completed = hand.ack().await?;
    hand.finished(completed);
    Ok(())
}

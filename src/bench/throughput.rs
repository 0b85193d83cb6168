//! Closed loops: every connection sends its next request when the last one was answered.

use super::hand::{Broken, Hand};
use super::stage::Stage;
use super::tally::Tally;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A worker beside producers waits so long for a task, so that it sees the end of the run.
const WAIT_SECONDS: u64 = 1;

/// What the connections do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loop {
    Enqueue,
    /// Lease and leave leased.
    Lease,
    /// Lease and ack until the queue is empty.
    Drain,
    /// Each connection enqueues, leases and acks in turn.
    Cycle,
    /// The first so many connections only enqueue, the others lease and ack.
    Apart {
        producers: usize,
    },
}

/// # Errors
/// When threads cannot be made.
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

/// Enqueues no further ahead of the workers than allowed, which keeps the backlog as it was laid.
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

/// Works until time or tasks are used up; without waiting (`wait_seconds` 0) also until every queue was empty in a row.
async fn drain(hand: &mut Hand, connection: usize, wait_seconds: u64) -> Result<(), Broken> {
    let mut empty_in_a_row = 0;
    for turn in 0.. {
        // Beside producers, they count the tasks: a worker takes no part of the number.
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

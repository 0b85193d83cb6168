//! An open loop: tasks are enqueued at fixed moments, even if responses are slow, and waiting workers lease
//! them.

use super::client::{Broken, Client};
use super::stage::Stage;
use super::tally::Tally;
use std::sync::Arc;
use std::time::{Duration, Instant};

const WAIT_SECONDS: u64 = 1;

/// The moments at which the producers send, in turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) tasks_per_second: f64,
    pub(super) producers: usize,
}

impl Schedule {
    /// Returns when the n-th task of a producer is due, counted from the start.
    fn due(self, producer: usize, n: u64) -> Duration {
        let number = producer as u64 + n * self.producers as u64;
        Duration::from_secs_f64(number as f64 / self.tasks_per_second)
    }
}

/// Runs all connections.
///
/// # Errors
/// A thread could not be created.
pub(super) fn run(
    schedule: Schedule,
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
        async move |client, connection| {
            if connection < schedule.producers {
                produce(client, connection, schedule).await
            } else {
                work(client, connection).await
            }
        },
    )
}

async fn produce(client: &mut Client, producer: usize, schedule: Schedule) -> Result<(), Broken> {
    let started = Instant::now();
    for n in 0.. {
        let due = started + schedule.due(producer, n);
        let late = Instant::now() >= due;
        if !late {
            tokio::time::sleep_until(due.into()).await;
        }
        if client.stage.take(1, client.window) == 0 {
            break;
        }
        // A producer that a slow response delayed counts from the moment when the task was due. A producer
        // that its own timer woke late, in steps of a millisecond, counts from now.
        let sent = if late { due } else { Instant::now() };
        let sent_ns = sent.saturating_duration_since(client.stage.epoch).as_nanos() as u64;
        client.enqueue_as_sent(producer, n as usize, 1, sent_ns).await?;
    }
    Ok(())
}

/// Leases and acks tasks, a little longer than the producers run, so that the last tasks are counted.
async fn work(client: &mut Client, connection: usize) -> Result<(), Broken> {
    client.times_delivery = true;
    let until = client.window.until + Duration::from_secs(WAIT_SECONDS);
    for turn in 0.. {
        if Instant::now() >= until || client.stage.is_exhausted() {
            break;
        }
        client.lease(connection, turn, 1, WAIT_SECONDS).await?;
        let completed = client.ack().await?;
        client.finished(completed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use std::time::Duration;

    #[test]
    fn the_producers_together_keep_the_rate() {
        let schedule = Schedule {
            tasks_per_second: 200.0,
            producers: 4,
        };
        let mut due: Vec<_> = (0..4)
            .flat_map(|p| (0..50).map(move |n| schedule.due(p, n)))
            .collect();
        due.sort_unstable();
        assert!(
            due.windows(2)
                .all(|two| two[1].abs_diff(two[0] + Duration::from_millis(5)) < Duration::from_micros(1))
        );
    }
}

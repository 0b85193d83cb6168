//! Reads many queues at once: totals over all of them, and the stats that metrics show.

use crate::domain::QueueName;
use crate::domain::pulse::Chart;
use crate::engine::queues::{RATES_ROWS, stats_of};
use crate::engine::{BadCursor, Engine, Failure, QueueStats};
use crate::store::ops::Op;
use crate::store::ops::overview::OverviewOp;
use crate::store::ops::pulse::PulseOp;
use crate::store::{Conn, QueueKeys};

/// Queues of one pipeline. Calls of others run between two pipelines.
const PIPELINE_QUEUES: usize = 32;
/// Queues that one part of the totals looks at, approximately.
const PART_QUEUES: usize = 1_000;

/// Sums over queues. Each queue is read in a snapshot of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// The number of queues in the sums.
    pub queues: u64,
    /// The sums. `oldest_ready_age_ms` is the largest, and `paused` is present if any queue is paused.
    pub stats: QueueStats,
    /// As in [`crate::domain::pulse::Rates`].
    pub throughput_per_second: [f64; 3],
    pub error_rate_per_minute: f64,
    /// The cursor of the next part, if there are more queues.
    pub next_cursor: Option<String>,
}

impl Engine {
    /// Returns totals over about a thousand queues, after those of an earlier part.
    ///
    /// # Errors
    /// As [`Failure`] lists. The inner error: a cursor that no such call wrote.
    pub async fn totals(&self, cursor: Option<&str>) -> Result<Result<Totals, BadCursor>, Failure> {
        let Some(mut at) = cursor.map_or(Some(0), |cursor| cursor.parse().ok()) else {
            return Ok(Err(BadCursor));
        };
        let mut conn = self.store().conn();
        let mut totals = Totals::default();
        let pulse = PulseOp {
            chart: Chart::Fine,
            rows: RATES_ROWS,
            latencies: false,
        };
        loop {
            let (next, queues) = conn.scan_queues(at, PIPELINE_QUEUES).await?;
            at = next;
            for some in queues.chunks(PIPELINE_QUEUES) {
                for stats in self.ask_all(&mut conn, some, &OverviewOp).await? {
                    // A queue that was deleted meanwhile has none.
                    let Ok(overview) = stats else { continue };
                    totals.queues += 1;
                    add(&mut totals.stats, stats_of(&overview));
                }
                for pulse in self.ask_all(&mut conn, some, &pulse).await?.into_iter().flatten() {
                    let rates = pulse.rates();
                    for (sum, rate) in totals
                        .throughput_per_second
                        .iter_mut()
                        .zip(rates.throughput_per_second)
                    {
                        *sum += rate;
                    }
                    totals.error_rate_per_minute += rates.error_rate_per_minute;
                }
            }
            if at == 0 || totals.queues >= PART_QUEUES as u64 {
                totals.next_cursor = (at != 0).then(|| at.to_string());
                return Ok(Ok(totals));
            }
        }
    }

    /// Returns the stats of up to `max` queues, in no order.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn some_queues(&self, max: usize) -> Result<Vec<(QueueName, QueueStats)>, Failure> {
        let mut conn = self.store().conn();
        let (mut at, mut found) = (0, Vec::new());
        while found.len() < max {
            let (next, mut queues) = conn.scan_queues(at, PIPELINE_QUEUES).await?;
            queues.truncate(max - found.len());
            for some in queues.chunks(PIPELINE_QUEUES) {
                let overviews = self.ask_all(&mut conn, some, &OverviewOp).await?;
                for (queue, overview) in some.iter().zip(overviews) {
                    found.extend(overview.ok().map(|overview| (queue.clone(), stats_of(&overview))));
                }
            }
            at = next;
            if at == 0 {
                break;
            }
        }
        Ok(found)
    }

    /// Sends one read to each of some queues, in one round trip.
    pub(super) async fn ask_all<O: Op>(
        &self,
        conn: &mut Conn,
        queues: &[QueueName],
        op: &O,
    ) -> Result<Vec<O::Outcome>, Failure> {
        let mut batch = self.store().batch();
        for queue in queues {
            batch.push(&QueueKeys::new(queue), op);
        }
        let answers = conn.send_unconfirmed(batch).await.into_iter();
        let read = |answer: Result<_, _>| {
            let outcome = op.outcome(answer.map_err(Failure::from)?);
            outcome.map_err(|bad| Failure::from(crate::store::conn::bad_reply(O::SCRIPT, &bad)))
        };
        answers.map(read).collect()
    }
}

fn add(sum: &mut QueueStats, more: QueueStats) {
    // Destructured without `..`, so that a new field of the stats does not compile until it is added here.
    let QueueStats {
        counts,
        oldest_ready_age_ms,
        workers_waiting,
        paused,
    } = more;
    sum.counts += counts;
    sum.oldest_ready_age_ms = sum.oldest_ready_age_ms.max(oldest_ready_age_ms);
    sum.workers_waiting += workers_waiting;
    sum.paused = sum.paused.take().or(paused);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::counts::Counts;

    #[test]
    fn totals_are_sums_except_the_age_which_is_the_largest() {
        let stats = |ready, oldest_ready_age_ms| QueueStats {
            counts: Counts {
                ready,
                accepted_total: ready * 2,
                ..Counts::default()
            },
            oldest_ready_age_ms,
            ..QueueStats::default()
        };
        let mut sum = QueueStats::default();
        for more in [stats(3, Some(500)), stats(0, None), stats(4, Some(200))] {
            add(&mut sum, more);
        }
        assert_eq!(sum, stats(7, Some(500)));
    }
}

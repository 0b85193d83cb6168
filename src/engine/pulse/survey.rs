//! Many queues at once: totals over all of them, and what metrics show of each.

use crate::domain::QueueName;
use crate::domain::pulse::Chart;
use crate::engine::queues::{RATES_ROWS, stats_of};
use crate::engine::{BadCursor, Engine, Failure, QueueStats};
use crate::store::ops::Op;
use crate::store::ops::overview::OverviewOp;
use crate::store::ops::pulse::PulseOp;
use crate::store::{Conn, QueueKeys};

/// Queues of one pipeline: others come between two.
const PIPELINE_QUEUES: usize = 32;
/// Queues that one part of the totals looks at, about.
const PART_QUEUES: usize = 1_000;

/// Sums over queues, each on a snapshot of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// How many queues are in them.
    pub queues: u64,
    /// Their sums; `oldest_ready_age_ms` is that of the oldest, `paused` whether any is.
    pub stats: QueueStats,
    /// As in [`crate::domain::pulse::Rates`].
    pub throughput_per_second: [f64; 3],
    pub error_rate_per_minute: f64,
    /// There are more queues: their totals are to be added.
    pub next_cursor: Option<String>,
}

impl Engine {
    /// Totals over about a thousand queues, from where an earlier part ended.
    ///
    /// # Errors
    /// As [`Failure`] says; inside, a cursor that no such call handed out.
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
                    // Deleted meanwhile it has none.
                    let Ok(overview) = stats else { continue };
                    totals.queues += 1;
                    add(&mut totals.stats, &stats_of(&overview));
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

    /// The stats of up to `max` queues, in no order.
    ///
    /// # Errors
    /// As [`Failure`] says.
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

    /// One reading operation on each of some queues, in one round trip.
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

fn add(sum: &mut QueueStats, more: &QueueStats) {
    // Taken apart whole, so that what stats come to know cannot be forgotten here.
    let QueueStats {
        ready,
        scheduled,
        leased,
        dead,
        held,
        breakers_open,
        breakers_half_open,
        paused,
        oldest_ready_age_ms,
        unfinished_bytes,
        workers_waiting,
        accepted_total,
        completed_total,
        cancelled_total,
        purged_total,
        dead_evicted_total,
        dead_aged_total,
        replayed_total,
        duplicates_total,
        leases_expired_total,
        idempotency_dropped_total,
    } = more;
    sum.ready += ready;
    sum.scheduled += scheduled;
    sum.leased += leased;
    sum.dead += dead;
    sum.held += held;
    sum.breakers_open += breakers_open;
    sum.breakers_half_open += breakers_half_open;
    sum.paused = sum.paused.take().or_else(|| paused.clone());
    sum.oldest_ready_age_ms = sum.oldest_ready_age_ms.max(*oldest_ready_age_ms);
    sum.unfinished_bytes += unfinished_bytes;
    sum.workers_waiting += workers_waiting;
    sum.accepted_total += accepted_total;
    sum.completed_total += completed_total;
    sum.cancelled_total += cancelled_total;
    sum.purged_total += purged_total;
    sum.dead_evicted_total += dead_evicted_total;
    sum.dead_aged_total += dead_aged_total;
    sum.replayed_total += replayed_total;
    sum.duplicates_total += duplicates_total;
    sum.leases_expired_total += leases_expired_total;
    sum.idempotency_dropped_total += idempotency_dropped_total;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_sums_but_for_the_oldest() {
        let stats = |ready, oldest_ready_age_ms| QueueStats {
            ready,
            oldest_ready_age_ms,
            accepted_total: ready * 2,
            ..QueueStats::default()
        };
        let mut sum = QueueStats::default();
        for more in [stats(3, Some(500)), stats(0, None), stats(4, Some(200))] {
            add(&mut sum, &more);
        }
        assert_eq!(sum, stats(7, Some(500)));
    }
}

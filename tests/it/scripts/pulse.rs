//! The observations of replicas on a queue, combined: rates, latencies, charts, waiters, workers.

use deadpool_redis::redis::cmd;
use leaseq::domain::Millis;
use leaseq::domain::latency::{Latencies, bucket_ms};
use leaseq::domain::pulse::{Chart, Pulse, WAITING_MS_MAX, WORKER_MS_MAX, WORKERS_MAX};
use leaseq::store::StoreError;
use leaseq::store::ops::Absent;
use leaseq::store::ops::beat::{BeatOp, Beaten};
use leaseq::store::ops::delete::{DeleteOp, What};
use leaseq::store::ops::pulse::PulseOp;

use crate::support::queue::{Queue, T0, delayed, grouped, rejection, task};

const A: &str = "aaaaaaaa,";
const B: &str = "bbbbbbbb,";
const NOBODY: &[String] = &[];

fn waits(ms: &[u64]) -> Latencies {
    let mut latencies = Latencies::default();
    ms.iter().for_each(|ms| latencies.wait.add(*ms));
    latencies
}

async fn beat(queue: &Queue, replica: &str, waiting: u32, latencies: &Latencies) -> Beaten {
    let op = BeatOp {
        replica,
        waiting,
        moved: true,
        latencies,
        workers: NOBODY,
    };
    queue.call(&op).await.expect("the queue exists")
}

async fn pulse(queue: &Queue, chart: Chart) -> Pulse {
    let rows = chart.rows_max() + 1;
    let op = PulseOp {
        chart,
        rows,
        latencies: true,
    };
    queue.call(&op).await.expect("the queue exists")
}

/// I24: replicas that each saw a part answer with the whole.
#[tokio::test]
async fn what_two_replicas_saw_adds_up() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task(), task()]).await;
    for lease in queue.lease(2).await {
        queue.ack(&lease.lease).await;
    }
    beat(&queue, A, 0, &waits(&[10, 10, 10])).await;
    queue.at(4_000);
    let beaten = beat(&queue, B, 0, &waits(&[1_000])).await;
    assert_eq!(
        beaten,
        Beaten {
            now: Millis::new(T0 + 4_000),
            ready: 1,
            scheduled: 0,
            leased: 0,
            dead: 0
        }
    );
    let pulse = pulse(&queue, Chart::Fine).await;
    let row = &pulse.rows[0];
    assert_eq!(pulse.rows.len(), 1);
    assert_eq!((row.accepted, row.completed, row.ready, row.leased), (3, 2, 1, 0));
    let rates = pulse.rates();
    let wait = rates.wait.unwrap();
    assert_eq!((wait.p50_ms, rates.run), (10, None));
    assert!((wait.mean_ms - 257.5).abs() < 1e-9 && wait.p99_ms.abs_diff(1_000) <= 50);
    assert!((rates.throughput_per_second[0] - 2.0 / 60.0).abs() < 1e-9);
}

/// I24: the counts of charts are those of the totals, whoever died before telling what it saw.
#[tokio::test]
async fn a_replica_that_dies_before_its_beat_takes_no_count_with_it() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task()]).await;
    beat(&queue, A, 0, &Latencies::default()).await;
    queue.at(20_000);
    queue.enqueue(&[task(), delayed(500)]).await;
    let held = queue.lease(3).await;
    queue.ack(&held[0].lease).await;
    queue.nack(&held[1].lease).await;
    queue.nack_with(&held[2].lease, rejection()).await;
    // A dies here. B knows nothing of all that.
    queue.at(21_000);
    beat(&queue, B, 0, &waits(&[1])).await;
    let pulse = pulse(&queue, Chart::Fine).await;
    let counts: Vec<_> = pulse
        .rows
        .iter()
        .map(|row| {
            (
                row.number % 100,
                row.accepted,
                row.completed,
                row.failed,
                row.died,
            )
        })
        .collect();
    assert_eq!(counts, [(0, 2, 0, 0, 0), (2, 2, 1, 2, 1)]);
    assert!((pulse.rates().error_rate_per_minute - 2.0).abs() < 1e-9);
}

/// Attempts fail by expiry, too, and the last one makes a dead letter.
#[tokio::test]
async fn a_lease_that_ran_out_is_a_failure_of_the_step_in_which_it_is_taken_back() {
    let queue = Queue::start().await;
    queue.enqueue(&[task()]).await;
    beat(&queue, A, 0, &Latencies::default()).await;
    queue.lease(1).await;
    queue.at(60_000);
    queue.sweep().await;
    beat(&queue, A, 0, &Latencies::default()).await;
    let rows = pulse(&queue, Chart::Fine).await.rows;
    assert_eq!((rows[1].failed, rows[1].died, rows[1].ready), (1, 0, 1));
}

#[tokio::test]
async fn a_step_that_is_over_has_its_percentiles_and_so_has_the_longer_one() {
    let queue = Queue::start().await;
    queue.enqueue(&[task()]).await;
    beat(&queue, A, 0, &waits(&[100, 100])).await;
    queue.at(10_000);
    beat(&queue, B, 0, &waits(&[700])).await;
    queue.at(70_000);
    beat(&queue, A, 0, &waits(&[800])).await;
    queue.at(300_000);
    beat(&queue, B, 0, &waits(&[900])).await;

    let fine = pulse(&queue, Chart::Fine).await;
    let p50: Vec<_> = fine
        .rows
        .iter()
        .map(|row| bucket_ms(row.latencies[0].p50))
        .collect();
    assert_eq!(p50.len(), 4);
    for (found, expected) in p50.iter().zip([Some(100_u64), Some(700), Some(800), None]) {
        assert_eq!(found.is_some(), expected.is_some(), "{p50:?}");
        assert!(
            found.unwrap_or(0).abs_diff(expected.unwrap_or(0)) <= 40,
            "{p50:?}"
        );
    }
    let (_, points) = fine.points(Chart::Fine, 1);
    assert!(points[0].latencies[0].is_some(), "what goes on is shown, too");

    let coarse = pulse(&queue, Chart::Coarse).await;
    assert_eq!(coarse.rows.len(), 2);
    let (p50, p95) = (coarse.rows[0].latencies[0].p50, coarse.rows[0].latencies[0].p95);
    assert!(bucket_ms(p50).unwrap().abs_diff(100) <= 5 && bucket_ms(p95).unwrap().abs_diff(800) <= 40);

    // After five minutes nothing of it counts any more.
    queue.at(661_000);
    assert_eq!(pulse(&queue, Chart::Fine).await.rates().wait, None);
}

/// I24.
#[tokio::test]
async fn waiting_calls_are_those_of_all_replicas_that_are_there() {
    let queue = Queue::start().await;
    let nothing = Latencies::default();
    beat(&queue, A, 3, &nothing).await;
    beat(&queue, B, 4, &nothing).await;
    beat(&queue, A, 2, &nothing).await;
    assert_eq!(queue.overview().await.waiting, 6);
    queue.at(WAITING_MS_MAX - 1);
    beat(&queue, B, 5, &nothing).await;
    assert_eq!(pulse(&queue, Chart::Fine).await.waiting, 7);
    queue.at(WAITING_MS_MAX);
    assert_eq!(queue.overview().await.waiting, 5);
    beat(&queue, B, 0, &nothing).await;
    assert_eq!(queue.overview().await.waiting, 0);
    // Nobody waits and nothing happened: nothing is kept.
    let kept: Vec<String> = queue.redis.command(cmd("KEYS").arg(queue.key("pulse*")));
    assert!(kept.is_empty(), "{kept:?}");
}

#[tokio::test]
async fn a_beat_without_news_leaves_no_row() {
    let queue = Queue::start().await;
    queue.enqueue(&[task()]).await;
    for ms in [0, 10_000, 20_000, 400_000] {
        queue.at(ms);
        beat(&queue, A, 1, &Latencies::default()).await;
    }
    let pulse = pulse(&queue, Chart::Fine).await;
    assert_eq!(pulse.rows.len(), 1);
    let (_, points) = pulse.points(Chart::Fine, 30);
    assert!(
        points
            .iter()
            .all(|point| point.ready == Some(1) && point.accepted == 0)
    );
}

/// Keys that live an hour are gone by then, and keys that live two days are not: Redis drops keys by its own
/// clock, so the test drops them here.
#[tokio::test]
async fn a_queue_that_rested_goes_on_where_it_was() {
    let queue = Queue::start().await;
    queue.enqueue(&[task()]).await;
    beat(&queue, A, 0, &waits(&[100])).await;
    let _: u64 = queue.redis.command(cmd("DEL").arg(queue.key("pulse_10s")));
    queue.at(7_200_000);
    queue.enqueue(&[task()]).await;
    beat(&queue, A, 0, &waits(&[700])).await;
    let fine = pulse(&queue, Chart::Fine).await;
    assert_eq!((fine.rows.len(), fine.rows[0].accepted), (1, 1));
    assert!(fine.rates().wait.unwrap().p50_ms.abs_diff(700) <= 35);
    let (_, points) = pulse(&queue, Chart::Coarse).await.points(Chart::Coarse, 25);
    let p50 = |point: usize| points[point].latencies[0].unwrap().0;
    assert!(p50(0).abs_diff(100) <= 5 && p50(24).abs_diff(700) <= 35);
    assert!(
        points[1..24]
            .iter()
            .all(|point| point.accepted == 0 && point.ready == Some(1))
    );
}

/// I28: about a dozen commands, however much there is.
#[tokio::test]
async fn a_beat_costs_the_same_whatever_waits() {
    let queue = Queue::start().await;
    let cost = async |at: u64| {
        queue.at(at);
        let before = super::cost::commands(&queue);
        beat(&queue, A, 1, &waits(&[1, 20, 300, 4_000])).await;
        super::cost::commands(&queue) - before
    };
    queue.enqueue(&[task()]).await;
    let first = cost(0).await;
    for _ in 0..20 {
        queue
            .enqueue(&(0..100).map(|n| grouped(&format!("g{n}"))).collect::<Vec<_>>())
            .await;
    }
    let (same_step, next_step, next_both) = (cost(1_000).await, cost(10_000).await, cost(300_000).await);
    assert!(
        first <= 24 && same_step <= first && next_step <= 24 && next_both <= 26,
        "{first} {same_step} {next_step} {next_both}"
    );
}

/// A clock that is set back must not put steps out of order.
#[tokio::test]
async fn a_clock_that_was_set_back_goes_on_with_the_last_step() {
    let queue = Queue::start().await;
    queue.at(400_000);
    queue.enqueue(&[task(), task()]).await;
    beat(&queue, A, 0, &waits(&[5])).await;
    queue.at(10_000);
    beat(&queue, A, 0, &waits(&[5])).await;
    for chart in Chart::ALL {
        let rows = pulse(&queue, chart).await.rows;
        assert_eq!((rows.len(), rows[0].accepted), (1, 2));
    }
    queue.at(400_000);
}

#[tokio::test]
async fn a_queue_that_is_made_anew_has_no_past() {
    let mut queue = Queue::start().await;
    queue.enqueue(&[task()]).await;
    beat(&queue, A, 2, &waits(&[5])).await;
    let op = DeleteOp {
        what: What::Filled,
        lanes: 100,
    };
    queue.call(&op).await;
    let late = BeatOp {
        replica: A,
        waiting: 1,
        moved: true,
        latencies: &waits(&[5]),
        workers: NOBODY,
    };
    assert_eq!(queue.call(&late).await, Err(Absent));
    queue.remake().await;
    let pulse = pulse(&queue, Chart::Coarse).await;
    assert!(pulse.rows.is_empty() && pulse.windows.is_empty() && pulse.waiting == 0);
}

/// I28: history for charts, and all that stats read beside it, at its largest.
#[tokio::test]
async fn charts_and_latencies_of_a_queue_stay_below_64_kib() {
    const KIB: u64 = 1024;
    let queue = Queue::start().await;
    let mut everything = Latencies::default();
    for kind in everything.kinds_mut() {
        for bucket in 0..255 {
            kind.add_counts(bucket, u32::MAX);
        }
        kind.sum_ms = u64::MAX;
    }
    let (coarse, fine) = (Chart::Coarse, Chart::Fine);
    let fine_begins = coarse.range_ms() + 10 * coarse.step_ms();
    let coarse_steps = (0..fine_begins / coarse.step_ms()).map(|n| n * coarse.step_ms());
    let fine_steps = (0..fine.rows_max() + 10).map(|n| fine_begins + n * fine.step_ms());
    for ms in coarse_steps.chain(fine_steps) {
        queue.at(ms);
        queue.enqueue(&[task()]).await;
        let seen = if ms < fine_begins {
            &Latencies::default()
        } else {
            &everything
        };
        beat(&queue, A, 1, seen).await;
    }
    let mut bytes = 0;
    for role in ["pulse", "pulse_10s", "pulse_5m"] {
        let used: u64 = queue.redis.command(
            cmd("MEMORY")
                .arg("USAGE")
                .arg(queue.key(role))
                .arg("SAMPLES")
                .arg(0),
        );
        bytes += used;
    }
    assert!(bytes <= 64 * KIB, "{bytes} bytes");
    assert!(bytes > 32 * KIB, "{bytes} bytes is not the largest");
    assert_eq!(pulse(&queue, fine).await.rows.len(), 360);
    assert_eq!(pulse(&queue, coarse).await.rows.len(), 576);
}

/// I28.
#[tokio::test]
async fn the_workers_that_are_kept_are_the_last_to_call_and_not_too_many() {
    let queue = Queue::start().await;
    let called = async |ms: u64, names: std::ops::Range<usize>| {
        queue.at(ms);
        let names: Vec<String> = names.map(|n| format!("w{n:04}")).collect();
        let op = BeatOp {
            replica: A,
            waiting: 0,
            moved: true,
            latencies: &Latencies::default(),
            workers: &names,
        };
        queue.call(&op).await.unwrap();
    };
    let kept = || -> Vec<String> {
        queue
            .redis
            .command(cmd("ZRANGE").arg(queue.key("workers")).arg(0).arg(-1))
    };
    called(0, 0..WORKERS_MAX).await;
    called(1_000, 900..WORKERS_MAX + 100).await;
    let names = kept();
    assert_eq!((names.len(), names[0].as_str()), (WORKERS_MAX, "w0100"));
    called(WORKER_MS_MAX + 500, 5..6).await;
    let names = kept();
    assert_eq!((names.len(), names[200].as_str()), (201, "w0005"));
}

/// A store that is full is not made fuller by numbers about it.
#[tokio::test]
async fn a_full_store_refuses_a_beat_and_writes_nothing_of_it() {
    let queue = Queue::start().await;
    queue.enqueue(&[task()]).await;
    beat(&queue, A, 1, &waits(&[5])).await;
    queue.at(10_000);
    let _: () = queue
        .redis
        .command(cmd("CONFIG").arg("SET").arg("maxmemory").arg(1));
    let before = queue.snapshot();
    for (waiting, latencies) in [
        (0, Latencies::default()),
        (0, waits(&[5])),
        (2, Latencies::default()),
    ] {
        let op = BeatOp {
            replica: A,
            waiting,
            moved: true,
            latencies: &latencies,
            workers: NOBODY,
        };
        assert_eq!(queue.try_call(&op).await, Err(StoreError::Full));
    }
    assert_eq!(queue.snapshot(), before);
}

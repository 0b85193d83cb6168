//! Extend: prolongs the current grant, and nothing else.

use bytes::Bytes;
use leaseq::domain::Millis;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::settle::Extend;
use leaseq::domain::task::Json;
use leaseq::store::ops::Answer;
use leaseq::store::ops::extend::{ExtendOp, Extended};
use leaseq::store::ops::lease::Wish;

use crate::support::queue::{Queue, T0, failure, one, task};

fn until(ms: u64) -> Answer<Extended> {
    Answer::Done(Extended {
        lease_expires_at: Millis::new(T0 + ms),
        cancel_requested: false,
    })
}

/// I11: what counts is the moment of the call; the length granted is the default.
#[tokio::test]
async fn an_extend_counts_from_now() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let held = queue.lease_one().await;
    queue.at(10_000);
    assert_eq!(queue.extend(&held.lease, None).await, until(40_000));
    assert_eq!(queue.extend(&held.lease, Some(90_000)).await, until(100_000));
    assert_eq!(
        queue.see(id).await.lease_expires_at,
        Some(Millis::new(T0 + 100_000))
    );
}

/// I11
#[tokio::test]
async fn an_extend_shortens_only_when_a_shorter_length_is_stated() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let held = queue.lease_one().await;
    assert_eq!(queue.extend(&held.lease, Some(90_000)).await, until(90_000));
    queue.at(1_000);
    assert_eq!(
        queue.extend(&held.lease, None).await,
        until(90_000),
        "30 s would be less"
    );
    assert_eq!(queue.extend(&held.lease, Some(5_000)).await, until(6_000));
}

/// I11: bounded by `max_lease_seconds` since the grant, however often it is asked for.
#[tokio::test]
async fn extends_end_at_the_longest_lease_since_the_grant() {
    let config = QueueConfig {
        max_lease_ms: Some(50_000),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    queue.put(task()).await;
    let held = queue.lease_one().await;
    for ms in [10_000, 30_000, 49_000] {
        queue.at(ms);
        let expected = until((ms + 30_000).min(50_000));
        assert_eq!(queue.extend(&held.lease, None).await, expected);
        assert_eq!(queue.extend(&held.lease, Some(600_000)).await, until(50_000));
    }
    queue.at(50_000);
    assert_eq!(queue.extend(&held.lease, None).await, Answer::Lost);
}

/// I11: the bound prolongs nothing, but it takes nothing away either, also when it was lowered meanwhile.
#[tokio::test]
async fn an_extend_never_cuts_a_lease_that_is_longer_than_the_bound() {
    let config = QueueConfig {
        max_lease_ms: Some(10_000),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    queue.put(task()).await;
    let held = queue.lease_one().await; // 30 s
    queue.at(15_000);
    assert_eq!(queue.extend(&held.lease, None).await, until(30_000));
    assert_eq!(queue.extend(&held.lease, Some(60_000)).await, until(30_000));
    assert_eq!(queue.extend(&held.lease, Some(2_000)).await, until(17_000));
}

/// I11: the length that a lease call asked for is what an extend without one prolongs by.
#[tokio::test]
async fn an_extend_without_a_length_repeats_that_of_the_lease_call() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let wish = Wish {
        tasks: 1,
        lease_ms: Some(5_000),
        ..Wish::default()
    };
    let held = queue.lease_as(wish, &[]).await.remove(0);
    queue.at(4_000);
    assert_eq!(queue.extend(&held.lease, None).await, until(9_000));
}

/// I6: an extended lease is not taken back at its old end.
#[tokio::test]
async fn a_sweep_goes_by_the_extended_end() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let held = queue.lease_one().await;
    queue.extend(&held.lease, Some(60_000)).await;
    queue.at(59_999);
    assert_eq!(queue.sweep().await.expired, 0);
    assert_eq!(queue.lease(1).await.len(), 0);
    queue.at(60_000);
    assert_eq!(queue.sweep().await.expired, 1);
}

/// I7: nothing changes for a lease that is not current.
#[tokio::test]
async fn an_extend_of_a_lease_that_ran_out_or_was_settled_is_lost() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let held = queue.lease_one().await;
    queue.at(30_000);
    assert_eq!(queue.extend(&held.lease, None).await, Answer::Lost, "run out");
    queue.sweep().await;
    assert_eq!(queue.extend(&held.lease, None).await, Answer::Lost, "swept");
    let again = queue.lease_one().await;
    assert_eq!(
        queue.extend(&held.lease, None).await,
        Answer::Lost,
        "granted again"
    );
    queue.nack_with(&again.lease, failure()).await;
    assert_eq!(queue.extend(&again.lease, None).await, Answer::Lost, "nacked");
    assert_eq!(queue.see(id).await.lease_expires_at, None);
}

/// I11
#[tokio::test]
async fn progress_is_readable_and_stays_with_the_task() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let held = queue.lease_one().await;
    let extend = |progress: Option<&'static [u8]>| Extend {
        lease_ms: None,
        progress: progress.map(|text| Json::from_checked(Bytes::from_static(text))),
    };
    for progress in [Some(&br#"{"done":[]}"#[..]), None] {
        let op = ExtendOp(vec![(held.lease.clone(), extend(progress))]);
        assert_eq!(one(queue.call(&op).await), until(30_000));
    }
    assert_eq!(queue.see(id).await.progress.unwrap().as_str(), r#"{"done":[]}"#);
    queue.nack_with(&held.lease, failure()).await;
    assert_eq!(queue.see(id).await.progress.unwrap().as_str(), r#"{"done":[]}"#);
}

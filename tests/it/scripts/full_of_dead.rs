//! `reject_enqueue` where enqueues may find that there is nothing to make: what makes no task needs no room.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use leaseq::domain::NewTask;
use leaseq::domain::full::Full;
use leaseq::domain::idempotency::Repeatable;
use leaseq::domain::queue::{OnFull, QueueConfig};
use leaseq::domain::task::{Made, NotEnqueued};
use leaseq::domain::unique::{OnDuplicate, UniqueScope};

use crate::support::queue::{Queue, or_else, rejection, task, unique};

const FINISHED: UniqueScope = UniqueScope::UntilFinished;

fn config(on_full: OnFull) -> QueueConfig {
    QueueConfig {
        dead_max_size: Some(1),
        dead_on_full: Some(on_full),
        ..QueueConfig::default()
    }
}

fn of_request(key: &str, task: NewTask) -> NewTask {
    NewTask {
        repeat_mark: Some(Repeatable::new("", key, "task", b"{}").mark()),
        ..task
    }
}

fn big() -> NewTask {
    let text = format!("\"{}\"", "x".repeat(3_000));
    NewTask {
        payload: leaseq::domain::task::Json::from_checked(text.into()),
        ..task()
    }
}

/// A queue with a task that holds "held", one that came with the request "known", and no room for dead
/// letters.
async fn full() -> Queue {
    let queue = Queue::with(config(OnFull::RejectEnqueue)).await;
    queue.put(task()).await;
    let dies = queue.lease_one().await;
    queue.put(unique("held", FINISHED)).await;
    queue.put(of_request("known", task())).await;
    queue.nack_with(&dies.lease, rejection()).await;
    queue
}

/// I16: no key, no mark, no payload; and what was refused is made once there is room.
#[tokio::test]
async fn what_is_refused_for_want_of_room_leaves_nothing() {
    let mut queue = full().await;
    let batch = [
        unique("new", FINISHED),
        of_request("new", task()),
        of_request("both", unique("both", UniqueScope::Ttl(1_000))),
        big(),
    ];
    let before = queue.snapshot();
    for all_or_none in [false, true] {
        let mut op = queue.enqueue_op(&batch, false);
        op.all_or_none = all_or_none;
        assert_eq!(
            queue.told(&op).await,
            vec![Err(NotEnqueued::Full(Full::DeadLetters)); 4]
        );
        assert_eq!(queue.snapshot(), before);
    }
    queue.configure(config(OnFull::EvictOldest)).await;
    let told = queue.told(&queue.enqueue_op(&batch, false)).await;
    assert!(
        told.iter().all(|told| told.as_ref().unwrap().is_new()),
        "{told:?}"
    );
}

/// I15 I29: each of a batch by itself.
#[tokio::test]
async fn what_makes_no_task_is_not_refused_for_want_of_room() {
    let queue = full().await;
    let batch = [
        unique("held", FINISHED),
        big(),
        NewTask {
            payload: big().payload,
            ..or_else(OnDuplicate::Replace, "held", FINISHED)
        },
        of_request("known", task()),
        unique("new", FINISHED),
    ];
    let accepted = queue.overview().await.counts.accepted_total;
    let told = queue.told(&queue.enqueue_op(&batch, false)).await;
    let made: Vec<_> = told
        .iter()
        .map(|told| told.as_ref().map(|told| (told.made, told.replayed)))
        .collect();
    assert_eq!(
        made,
        [
            Ok((Made::Duplicate, false)),
            Err(&NotEnqueued::Full(Full::DeadLetters)),
            Ok((Made::Replacement, false)),
            Ok((Made::Task, true)),
            Err(&NotEnqueued::Full(Full::DeadLetters)),
        ]
    );
    assert_eq!(queue.overview().await.counts.accepted_total, accepted);
    let payloads: usize = queue
        .redis
        .command(deadpool_redis::redis::cmd("HLEN").arg(queue.key("pay")));
    assert_eq!(payloads, 1, "that of the replacement");
}

/// I5 I16: one of an atomic batch that has no room is enough.
#[tokio::test]
async fn an_atomic_batch_of_which_one_has_no_room_is_refused_as_a_whole() {
    let queue = full().await;
    let batch = [or_else(OnDuplicate::Replace, "held", FINISHED), task()];
    let before = queue.snapshot();
    let mut op = queue.enqueue_op(&batch, false);
    op.all_or_none = true;
    let told = queue.told(&op).await;
    assert_eq!(told[1], Err(NotEnqueued::Full(Full::DeadLetters)));
    assert_eq!(queue.snapshot(), before);
}

//! How much a queue takes: no more unfinished tasks, and no more bytes of them, than its config says.

use leaseq::domain::change::Cancelled;
use leaseq::domain::full::Full;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::task::{Enqueued, Json, Made, NotEnqueued};
use leaseq::domain::unique::{OnDuplicate, UniqueScope};
use leaseq::domain::{NewTask, TaskId, TaskState};
use leaseq::store::ops::cancel::CancelOp;
use leaseq::store::ops::purge::PurgeOp;
use leaseq::store::ops::replay::Moved;

use crate::support::queue::{Queue, delayed, failure_after, grouped, or_else, rejection, task, unique};

fn tasks(max: u64) -> QueueConfig {
    QueueConfig {
        max_tasks: Some(max),
        ..QueueConfig::default()
    }
}

fn bytes(max: u64) -> QueueConfig {
    QueueConfig {
        max_bytes: Some(max),
        ..QueueConfig::default()
    }
}

fn sized(bytes: usize) -> NewTask {
    NewTask::new(Json::from_checked(
        format!("\"{}\"", "x".repeat(bytes - 2)).into(),
    ))
}

const FULL: Result<Enqueued, NotEnqueued> = Err(NotEnqueued::Full(Full::Tasks));
const HEAVY: Result<Enqueued, NotEnqueued> = Err(NotEnqueued::Full(Full::Bytes));

async fn told(queue: &Queue, tasks: &[NewTask]) -> Vec<Result<Enqueued, NotEnqueued>> {
    queue.told(&queue.enqueue_op(tasks, false)).await
}

async fn unfinished_bytes(queue: &Queue) -> u64 {
    queue.overview().await.counts.unfinished_bytes
}

/// The task beside its payload: the default name, no group, no options.
const BESIDE: u64 = 7 + 2 + 2 + 8;

async fn replay(queue: &Queue, id: TaskId) -> Moved {
    queue.replay(&queue.letters(Some(id)).await[0]).await.1
}

/// I28 I29: whatever state they are in, and each of a batch alone.
#[tokio::test]
async fn a_queue_takes_as_many_tasks_as_it_may() {
    let queue = Queue::with(tasks(3)).await;
    queue.enqueue(&[task(), delayed(500)]).await;
    queue.lease_one().await;
    let batch = [grouped("acme"), task(), delayed(500)];
    let answers = told(&queue, &batch).await;
    assert!(answers[0].is_ok());
    assert_eq!(answers[1..], [FULL, FULL]);
    assert_eq!(queue.put_none(task()).await, NotEnqueued::Full(Full::Tasks));
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.counts.ready,
            overview.counts.scheduled,
            overview.counts.leased
        ),
        (1, 1, 1)
    );
}

/// I16: nothing is left of what was refused.
#[tokio::test]
async fn what_a_full_queue_refuses_leaves_no_trace() {
    for config in [tasks(1), bytes(30)] {
        let queue = Queue::with(config).await;
        queue.put(task()).await;
        let before = queue.snapshot();
        told(
            &queue,
            &[
                task(),
                unique("k", UniqueScope::UntilFinished),
                delayed(500),
                sized(3_000),
            ],
        )
        .await;
        assert_eq!(queue.snapshot(), before);
    }
}

/// I5: where one of them finds no room, none is stored.
#[tokio::test]
async fn a_batch_of_all_or_none_fits_as_a_whole_or_not_at_all() {
    let queue = Queue::with(tasks(2)).await;
    queue.put(task()).await;
    let batch = [task(), task()];
    let before = queue.snapshot();
    let mut op = queue.enqueue_op(&batch, false);
    op.all_or_none = true;
    assert_eq!(queue.told(&op).await[1], FULL);
    assert_eq!(queue.snapshot(), before);
    op.tasks = batch[..1].to_vec();
    assert!(queue.told(&op).await[0].is_ok());
}

/// Every way out makes room, and at once.
#[tokio::test]
async fn there_is_room_again_when_a_task_ends_however_it_ends() {
    let queue = Queue::with(tasks(1)).await;
    for way in 0..7 {
        let id = queue.put(sized(2_000 + way * 100)).await;
        assert_eq!(queue.put_none(task()).await, NotEnqueued::Full(Full::Tasks));
        match way {
            0 => {
                let held = queue.lease_one().await;
                queue.ack_with(&held.lease, Some("1")).await;
            }
            1 => {
                let held = queue.lease_one().await;
                queue.nack_with(&held.lease, rejection()).await;
            }
            2 => {
                let held = queue.lease_one().await;
                cancel(&queue, id).await;
                queue.release(&held.lease, RetryAfter::None).await;
            }
            3 => cancel(&queue, id).await,
            4 => {
                let op = PurgeOp {
                    only: None,
                    ids: &[id],
                };
                assert_eq!(queue.call(&op).await.unwrap().purged, 1);
            }
            5 => {
                let held = queue.lease_one().await;
                queue.at(30_000);
                queue.sweep().await;
                queue.ack(&held.lease).await;
            }
            _ => {
                let held = queue.lease_one().await;
                queue.nack_with(&held.lease, failure_after(500)).await;
                cancel(&queue, id).await;
            }
        }
        assert_eq!(unfinished_bytes(&queue).await, 0, "{way}");
    }
    queue.put(task()).await;
}

async fn cancel(queue: &Queue, id: TaskId) {
    let op = CancelOp {
        only: None,
        ids: &[id],
    };
    let told = queue.call(&op).await.expect("the queue exists");
    assert!(matches!(told[..], [Ok(Cancelled::Done | Cancelled::Requested)]));
}

/// I1: a bound is for producers, never for what is in already.
#[tokio::test]
async fn tasks_come_back_into_a_full_queue() {
    let mut queue = Queue::with(tasks(4)).await;
    queue.enqueue(&[task(), task(), task(), delayed(500)]).await;
    let held = queue.lease(3).await;
    queue.configure(tasks(1)).await;
    queue.nack_with(&held[0].lease, failure_after(0)).await;
    queue.release(&held[1].lease, RetryAfter::Ms(500)).await;
    queue.at(30_000);
    let swept = queue.sweep().await;
    assert_eq!((swept.expired, swept.came_due), (1, 2));
    assert_eq!(queue.put_none(task()).await, NotEnqueued::Full(Full::Tasks));
    for held in queue.lease(9).await {
        assert_eq!(queue.put_none(task()).await, NotEnqueued::Full(Full::Tasks));
        queue.ack(&held.lease).await;
    }
    queue.put(task()).await;
    queue.configure(QueueConfig::default()).await;
    queue.enqueue(&[task(), task()]).await;
}

/// I28: to the byte, with what lies apart.
#[tokio::test]
async fn a_queue_takes_as_many_bytes_as_it_may() {
    let queue = Queue::with(bytes(10_000)).await;
    queue.put(sized(100)).await;
    assert_eq!(unfinished_bytes(&queue).await, 100 + BESIDE);
    let left = usize::try_from(10_000 - 2 * BESIDE - 100).unwrap();
    let answers = told(&queue, &[sized(left + 1), sized(left), sized(2)]).await;
    assert!(answers[1].is_ok());
    assert_eq!([&answers[0], &answers[2]], [&HEAVY, &HEAVY]);
    assert_eq!(unfinished_bytes(&queue).await, 10_000);
    let held = queue.lease(2).await;
    queue.ack(&held[0].lease).await;
    assert_eq!(unfinished_bytes(&queue).await, 10_000 - 100 - BESIDE);
    queue.put(sized(100)).await;
    queue.ack(&held[1].lease).await;
    assert_eq!(unfinished_bytes(&queue).await, 100 + BESIDE);
}

/// A task that is there is told, whether there is room for another or not.
#[tokio::test]
async fn a_full_queue_still_knows_what_it_has() {
    let queue = Queue::with(tasks(2)).await;
    let first = [task(), unique("k", UniqueScope::UntilFinished)];
    queue.enqueue(&first).await;
    let again = [first[0].clone(), unique("k", UniqueScope::UntilFinished), task()];
    let answers = queue.told(&queue.enqueue_op(&again, true)).await;
    assert_eq!(answers[0].as_ref().unwrap().id, first[0].id);
    assert_eq!(answers[1].as_ref().unwrap().made, Made::Duplicate);
    assert_eq!(answers[2], FULL);
}

/// I28: a payload that takes another's place counts as that one did, also where the place was made by the
/// same call.
#[tokio::test]
async fn a_replacement_takes_no_more_room_than_there_is() {
    let keyed = |bytes: usize| NewTask {
        payload: sized(bytes).payload,
        ..or_else(OnDuplicate::Replace, "k", UniqueScope::UntilFinished)
    };
    let mut queue = Queue::with(bytes(6_000)).await;
    let beside = BESIDE + 3;
    for (batch, expected) in [
        (vec![keyed(100)], Some(100)),
        (vec![keyed(5_000)], Some(5_000)),
        (vec![keyed(6_000)], None),
        (vec![keyed(50), keyed(3_000), keyed(70)], Some(70)),
        (vec![keyed(5_900), keyed(5_990)], None),
    ] {
        let before = unfinished_bytes(&queue).await;
        let answers = told(&queue, &batch).await;
        match expected {
            Some(bytes) => assert_eq!(unfinished_bytes(&queue).await, bytes + beside),
            None => {
                assert_eq!(answers.last(), Some(&HEAVY));
                if batch.len() == 1 {
                    assert_eq!(unfinished_bytes(&queue).await, before);
                }
            }
        }
    }
    assert_eq!(unfinished_bytes(&queue).await, 5_900 + beside);
    // Over the bound there is room for less, though not for more.
    queue.configure(bytes(1_000)).await;
    assert_eq!(told(&queue, &[keyed(5_901)]).await, [HEAVY]);
    assert_eq!(
        told(&queue, &[keyed(4_000)]).await[0].as_ref().unwrap().made,
        Made::Replacement
    );
    assert_eq!(unfinished_bytes(&queue).await, 4_000 + beside);
    queue.configure(QueueConfig::default()).await;
    // Made and replaced by one call.
    queue.ack(&queue.lease_one().await.lease).await;
    told(&queue, &[keyed(3_000), keyed(40)]).await;
    assert_eq!(unfinished_bytes(&queue).await, 40 + beside);
}

/// I14: it waits among the dead letters until there is room.
#[tokio::test]
async fn a_dead_letter_is_replayed_only_into_room() {
    let mut queue = Queue::with(tasks(1)).await;
    let id = queue.put(sized(3_000)).await;
    queue.nack_with(&queue.lease_one().await.lease, rejection()).await;
    let other = queue.put(task()).await;
    let before = queue.snapshot();
    assert_eq!(replay(&queue, id).await, Moved::Full(Full::Tasks));
    queue.configure(bytes(3_000)).await;
    assert_eq!(replay(&queue, id).await, Moved::Full(Full::Bytes));
    for role in ["rec", "dead", "pay"] {
        let key = queue.key(role);
        assert_eq!(queue.snapshot().get(&key), before.get(&key), "{role}");
    }
    assert_eq!(queue.list(TaskState::Dead, 9).await, [id]);
    queue.configure(bytes(6_000)).await;
    assert!(matches!(replay(&queue, id).await, Moved::Moved(None)));
    cancel(&queue, other).await;
    assert_eq!(
        unfinished_bytes(&queue).await,
        queue_size_of_the_only_task(&queue).await
    );
}

/// As the lease says, whose ack counts it off.
async fn queue_size_of_the_only_task(queue: &Queue) -> u64 {
    let held = queue.lease_one().await;
    queue.give_back(&held.lease).await;
    held.lease.size.into()
}

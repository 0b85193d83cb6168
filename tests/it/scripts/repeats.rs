//! Requests with an `Idempotency-Key`: the same body is answered with the same tasks, another changes
//! nothing.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use deadpool_redis::redis::cmd;
use leaseq::domain::idempotency::Repeatable;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::task::{Enqueued, Made, NotEnqueued};
use leaseq::domain::unique::{OnDuplicate, UniqueScope};
use leaseq::domain::{NewTask, TaskState};
use leaseq::store::ops::sweep::SweepOp;

use crate::support::queue::{Queue, REPLICA, or_else, task, unique};

const DAY: u64 = 86_400_000;

type Outcome = Result<Enqueued, NotEnqueued>;

fn request(key: &str, body: &str) -> Repeatable {
    Repeatable::new("", key, "batch", body.as_bytes())
}

/// New tasks, as the same request brings them each time it comes.
fn tasks_of(request: Repeatable, like: &[NewTask]) -> Vec<NewTask> {
    let bring = |(index, like): (u16, &NewTask)| NewTask {
        id: task().id,
        repeat_mark: Some(request.mark_of(index)),
        ..like.clone()
    };
    (0..).zip(like).map(bring).collect()
}

async fn send(queue: &Queue, request: Repeatable, like: &[NewTask]) -> Vec<Outcome> {
    queue
        .told(&queue.enqueue_op(&tasks_of(request, like), false))
        .await
}

/// As told to a repeat.
fn replayed(first: &[Outcome]) -> Vec<Outcome> {
    let again = |outcome: &Outcome| {
        outcome.clone().map(|told| Enqueued {
            replayed: true,
            ..told
        })
    };
    first.iter().map(again).collect()
}

/// I15.
#[tokio::test]
async fn a_repeat_is_answered_with_the_first_tasks_and_makes_none() {
    let queue = Queue::start().await;
    let batch = [task(), task(), task()];
    let first = send(&queue, request("r", "b"), &batch).await;
    assert!(first.iter().flatten().all(Enqueued::is_new));
    for _ in 0..3 {
        assert_eq!(send(&queue, request("r", "b"), &batch).await, replayed(&first));
    }
    let held = queue.lease_one().await;
    queue.ack(&held.lease).await;
    let later = send(&queue, request("r", "b"), &batch).await;
    let states: Vec<_> = later.iter().flatten().map(|told| told.state).collect();
    let ready = Some(TaskState::Ready);
    assert_eq!(
        states,
        [Some(TaskState::Completed), ready, ready],
        "as they are now"
    );
    assert_eq!(queue.overview().await.counts.accepted_total, 3);
    send(&queue, request("other", "b"), &batch).await;
    assert_eq!(queue.overview().await.counts.accepted_total, 6);
}

/// I15: also when more comes of it than came before.
#[tokio::test]
async fn another_body_is_refused_as_a_whole_and_changes_nothing() {
    let queue = Queue::start().await;
    send(&queue, request("r", "b"), &[task(), task()]).await;
    let before = queue.snapshot();
    let many = [task(), task(), task(), unique("k", UniqueScope::UntilFinished)];
    assert_eq!(
        send(&queue, request("r", "c"), &many).await,
        vec![Err(NotEnqueued::Mismatch); 4]
    );
    assert_eq!(queue.snapshot(), before);
    // Only what comes behind the first chunk: those have no marks of their own yet.
    let tail = &tasks_of(request("r", "c"), &many)[2..];
    let told = queue.told(&queue.enqueue_op(tail, false)).await;
    assert_eq!(told, vec![Err(NotEnqueued::Mismatch); 2]);
    assert_eq!(queue.snapshot(), before);
}

/// I1 I15.
#[tokio::test]
async fn a_repeat_of_a_batch_that_was_applied_in_part_completes_it() {
    let queue = Queue::start().await;
    let batch: Vec<_> = (0..6).map(|_| task()).collect();
    let whole = tasks_of(request("r", "b"), &batch);
    // The chunk in the middle got through.
    let middle = queue.told(&queue.enqueue_op(&whole[2..4], false)).await;
    let told = send(&queue, request("r", "b"), &batch).await;
    assert_eq!(told[2..4], replayed(&middle));
    let new: Vec<_> = told.iter().flatten().map(Enqueued::is_new).collect();
    assert_eq!(new, [true, true, false, false, true, true]);
    assert_eq!(
        send(&queue, request("r", "b"), &batch)
            .await
            .iter()
            .flatten()
            .filter(|told| told.replayed)
            .count(),
        6
    );
    assert_eq!(queue.overview().await.counts.accepted_total, 6);
}

/// I15: those who come at once find each other.
#[tokio::test]
async fn repeats_that_share_a_call_are_one() {
    let queue = Queue::start().await;
    let mut together = Vec::new();
    for body in ["b", "b", "c", "b"] {
        together.extend(tasks_of(request("r", body), &[task(), task()]));
    }
    let told = queue.told(&queue.enqueue_op(&together, false)).await;
    assert_eq!(told[2..4], replayed(&told[..2]));
    assert_eq!(
        told[4..6],
        [Err(NotEnqueued::Mismatch), Err(NotEnqueued::Mismatch)]
    );
    assert_eq!(told[6..8], replayed(&told[..2]));
    assert_eq!(queue.overview().await.counts.accepted_total, 2);
}

/// I16: what was refused may be tried again, and then be accepted.
#[tokio::test]
async fn a_refused_task_is_not_remembered() {
    let queue = Queue::start().await;
    queue.put(unique("k", UniqueScope::UntilFinished)).await;
    let reject = [or_else(OnDuplicate::Reject, "k", UniqueScope::UntilFinished)];
    let refused = send(&queue, request("r", "b"), &reject).await;
    assert!(matches!(refused[..], [Err(NotEnqueued::Duplicate { .. })]));
    let held = queue.lease_one().await;
    queue.ack(&held.lease).await;
    let accepted = send(&queue, request("r", "b"), &reject).await;
    assert!(accepted[0].as_ref().unwrap().is_new());
    assert_eq!(
        send(&queue, request("r", "b"), &reject).await,
        replayed(&accepted)
    );
}

/// I15: a repeat is told what the first was, duplicate or replacement, and replaces nothing again.
#[tokio::test]
async fn a_repeat_of_a_duplicate_is_told_of_the_same_task() {
    let queue = Queue::start().await;
    let id = queue.put(unique("k", UniqueScope::UntilFinished)).await;
    for (on_duplicate, made) in [
        (OnDuplicate::Return, Made::Duplicate),
        (OnDuplicate::Replace, Made::Replacement),
    ] {
        let like = [NewTask {
            max_attempts: Some(7),
            ..or_else(on_duplicate, "k", UniqueScope::UntilFinished)
        }];
        let request = request(&format!("{made:?}"), "b");
        let first = send(&queue, request, &like).await;
        let told = first[0].as_ref().unwrap();
        assert_eq!((told.id, told.made, told.replayed), (id, made, false));
        queue
            .told(&queue.enqueue_op(
                &[or_else(OnDuplicate::Replace, "k", UniqueScope::UntilFinished)],
                false,
            ))
            .await;
        assert_eq!(send(&queue, request, &like).await, replayed(&first));
        assert_eq!(queue.see(id).await.max_attempts, 5, "the later replacement stays");
    }
}

/// I15: for as long as the queue's config said when it came.
#[tokio::test]
async fn a_request_is_forgotten_when_its_time_is_over() {
    for (ms, config) in [(DAY, None), (1_000, Some(1_000))] {
        let queue = Queue::with(QueueConfig {
            idempotency_ms: config,
            ..QueueConfig::default()
        })
        .await;
        let first = send(&queue, request("r", "b"), &[task()]).await;
        queue.at(ms - 1);
        assert_eq!(send(&queue, request("r", "b"), &[task()]).await, replayed(&first));
        queue.at(ms);
        let second = send(&queue, request("r", "c"), &[task()]).await;
        assert!(second[0].as_ref().unwrap().is_new());
        assert_eq!(
            send(&queue, request("r", "c"), &[task()]).await,
            replayed(&second)
        );
    }
}

fn marks(queue: &Queue) -> (usize, usize) {
    let count =
        |command: &str, role: &str| -> usize { queue.redis.command(cmd(command).arg(queue.key(role))) };
    (count("HLEN", "idem"), count("LLEN", "idem_at"))
}

/// I28: the oldest go, and are counted.
#[tokio::test]
async fn no_more_requests_are_remembered_than_the_queue_may_have() {
    let queue = Queue::with(QueueConfig {
        idempotency_max: Some(300),
        ..QueueConfig::default()
    })
    .await;
    let batch: Vec<_> = (0..99).map(|_| task()).collect();
    let mut first = Vec::new();
    for n in 0..4 {
        let told = send(&queue, request(&format!("r{n}"), "b"), &batch).await;
        first.push(told);
    }
    // Three batches of 99, with one mark for each batch.
    assert_eq!(marks(&queue), (300, 300));
    assert_eq!(queue.overview().await.counts.idempotency_dropped_total, 100);
    for n in [1, 2, 3] {
        let again = send(&queue, request(&format!("r{n}"), "b"), &batch).await;
        assert_eq!(again, replayed(&first[n]));
    }
    let dropped = send(&queue, request("r0", "c"), &batch).await;
    assert!(
        dropped.iter().flatten().all(Enqueued::is_new),
        "it is not known any more"
    );
}

/// I28: what came again after its time is remembered once, and forgotten once.
#[tokio::test]
async fn old_marks_go_with_new_ones_and_with_sweeps() {
    let queue = Queue::with(QueueConfig {
        idempotency_ms: Some(1_000),
        ..QueueConfig::default()
    })
    .await;
    let batch: Vec<_> = (0..200).map(|_| task()).collect();
    for n in 0..4 {
        send(&queue, request(&format!("r{n}"), "b"), &batch).await;
    }
    assert_eq!(marks(&queue), (804, 804));
    queue.at(1_000);
    send(&queue, request("r3", "b"), &batch).await;
    let (kept, _) = marks(&queue);
    assert!(kept < 804 - 200, "{kept}");
    let sweep = SweepOp {
        replica: REPLICA.into(),
        limit: 100,
    };
    while queue.call(&sweep).await.unwrap().more_lapsed {}
    assert_eq!(marks(&queue), (201, 201));
    assert_eq!(
        queue.overview().await.counts.idempotency_dropped_total,
        0,
        "they had their time"
    );
    queue.at(2_000);
    while queue.call(&sweep).await.unwrap().more_lapsed {}
    assert_eq!(marks(&queue), (0, 0));
}

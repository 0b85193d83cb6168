//! `on_duplicate: replace`: another payload and other options for a task that nobody was granted yet.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use deadpool_redis::redis::cmd;
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::task::{Json, Made};
use leaseq::domain::unique::{OnDuplicate, UniqueScope};
use leaseq::domain::{Group, Millis, NewTask, Priority, Start, TaskId, TaskState};

use crate::support::queue::{Queue, T0, or_else, task, task_name, unique};

const FINISHED: UniqueScope = UniqueScope::UntilFinished;

fn payload(bytes: usize) -> Json {
    Json::from_checked(format!("\"{}\"", "x".repeat(bytes - 2)).into())
}

/// Whatever a producer can say, said otherwise than by default; but for the start, which is not replaced.
fn other(bytes: usize) -> NewTask {
    NewTask {
        name: task_name("report"),
        group: Some(Group::parse("acme").unwrap()),
        priority: Priority::new(50).unwrap(),
        max_attempts: Some(9),
        lease_ms: Some(90_000),
        payload: payload(bytes),
        start: Start::After(77_000),
        ..or_else(OnDuplicate::Replace, "k", UniqueScope::Ttl(1_000))
    }
}

async fn replace(queue: &Queue, with: &NewTask) -> (TaskId, Made, Option<TaskState>, Option<Millis>) {
    let told = queue
        .told(&queue.enqueue_op(std::slice::from_ref(with), false))
        .await
        .remove(0)
        .unwrap();
    (told.id, told.made, told.state, told.run_at)
}

/// That the task is what `with` says, and still holds its key until it is finished.
async fn assert_replaced(queue: &Queue, id: TaskId, with: &NewTask) {
    let shown = queue.see(id).await;
    assert_eq!((&shown.name, &shown.group), (&with.name, &with.group));
    assert_eq!(
        (shown.priority, shown.max_attempts, shown.lease_ms),
        (with.priority, 9, 90_000)
    );
    assert_eq!(shown.payload, with.payload);
    assert_eq!((shown.enqueued_at, shown.grant), (Millis::new(T0), 0));
    assert_eq!(shown.unique_key.unwrap().as_str(), "k");
    queue.at(60_000); // The scope of the replacement would be over.
    let told = queue
        .told(&queue.enqueue_op(&[unique("k", FINISHED)], false))
        .await;
    assert_eq!(told[0].as_ref().unwrap().id, id);
}

/// I15 I17: in a lane, on the schedule, or come due; payloads in their records and apart.
#[tokio::test]
async fn a_task_that_waits_gets_another_payload_and_other_options_and_keeps_its_place() {
    for (from, to) in [(2, 2), (2, 3_000), (3_000, 2), (3_000, 4_000)] {
        for (start, due) in [
            (Start::Now, None),
            (Start::After(500), Some(Millis::new(T0 + 500))),
        ] {
            for came_due in [false, true] {
                let queue = Queue::start().await;
                let first = NewTask {
                    payload: payload(from),
                    start,
                    ..unique("k", FINISHED)
                };
                let id = first.id;
                queue.enqueue(&[first]).await;
                if came_due {
                    queue.at(500);
                    queue.sweep().await;
                }
                let due = due.filter(|_| !came_due);
                let before = queue.see(id).await.ready_at;
                let with = other(to);
                let state = if due.is_some() {
                    TaskState::Scheduled
                } else {
                    TaskState::Ready
                };
                let told = replace(&queue, &with).await;
                assert_eq!(told, (id, Made::Replacement, Some(state), due));
                assert_eq!(queue.see(id).await.ready_at, before);
                assert_replaced(&queue, id, &with).await;
                queue.sweep().await;
                let held = queue.lease(9).await;
                assert_eq!((held.len(), held[0].task.id, held[0].task.attempt), (1, id, 1));
                assert_eq!(held[0].task.payload, with.payload);
                let apart: usize = queue.redis.command(cmd("HLEN").arg(queue.key("pay")));
                assert_eq!(apart, usize::from(to > 2_048));
            }
        }
    }
}

/// I17: it stands in its new lane where it became ready, before those that came later.
#[tokio::test]
async fn a_replaced_task_keeps_its_place_among_others() {
    let queue = Queue::start().await;
    let report = || NewTask {
        name: task_name("report"),
        ..task()
    };
    let first = queue.put(report()).await;
    let replaced = queue.put(unique("k", FINISHED)).await;
    let last = queue.put(report()).await;
    let with = NewTask {
        name: task_name("report"),
        ..or_else(OnDuplicate::Replace, "k", FINISHED)
    };
    assert_eq!(replace(&queue, &with).await.1, Made::Replacement);
    // There and back again, the same task.
    replace(&queue, &or_else(OnDuplicate::Replace, "k", FINISHED)).await;
    replace(&queue, &with).await;
    let order: Vec<_> = queue
        .lease_names(9, &["report"])
        .await
        .iter()
        .map(|held| held.task.id)
        .collect();
    assert_eq!(order, [first, replaced, last]);
    assert_eq!(
        queue.lease(9).await.len(),
        0,
        "nothing of it is left in its old lane"
    );
}

/// I2: what a worker has seen is not changed behind its back.
#[tokio::test]
async fn a_task_that_was_granted_once_is_not_replaced() {
    for back in [false, true] {
        let queue = Queue::start().await;
        let id = queue.put(unique("k", FINISHED)).await;
        let held = queue.lease_one().await;
        let state = if back {
            queue.release(&held.lease, RetryAfter::None).await;
            TaskState::Ready
        } else {
            TaskState::Leased
        };
        let told = replace(&queue, &other(3_000)).await;
        assert_eq!(told, (id, Made::Duplicate, Some(state), None));
        assert_eq!(queue.see(id).await.payload.as_str(), "{}");
        let apart: usize = queue.redis.command(cmd("HLEN").arg(queue.key("pay")));
        assert_eq!(apart, 0);
    }
}

/// I15: two that share a call, as two producers or one batch can, end as if they had come one after the
/// other.
#[tokio::test]
async fn a_task_made_by_the_same_call_is_replaced_too() {
    for start in [Start::Now, Start::After(500)] {
        for (one, two) in [(2, 3_000), (3_000, 2), (3_000, 4_000)] {
            let queue = Queue::start().await;
            let first = NewTask {
                start,
                payload: payload(10),
                ..unique("k", FINISHED)
            };
            let id = first.id;
            let report = NewTask {
                name: task_name("report"),
                group: Some(Group::parse("acme").unwrap()),
                priority: Priority::new(50).unwrap(),
                ..task()
            };
            let later = NewTask {
                id: task().id,
                ..report.clone()
            };
            let batch = [
                task(),
                first,
                report.clone(),
                other(one),
                task(),
                later.clone(),
                other(two),
            ];
            let told = queue.told(&queue.enqueue_op(&batch, false)).await;
            assert!(told.iter().all(Result::is_ok), "{told:?}");
            assert_eq!(queue.overview().await.counts.accepted_total, 5);
            assert_replaced(&queue, id, &batch[6]).await;
            queue.at(500);
            queue.sweep().await;
            let order: Vec<_> = queue
                .lease_names(9, &["report"])
                .await
                .iter()
                .map(|held| held.task.id)
                .collect();
            let expected = match start {
                Start::Now => [id, report.id, later.id],
                _ => [report.id, later.id, id],
            };
            assert_eq!(order, expected);
            assert_eq!(queue.lease(9).await.len(), 2);
        }
    }
}

/// I4: as of a cancelled task, so that a list whose tasks are replaced over and over does not grow.
#[tokio::test]
async fn what_a_replaced_task_leaves_in_a_long_lane_is_counted() {
    let queue = Queue::start().await;
    let id = queue.put(unique("k", FINISHED)).await;
    for _ in 0..2 {
        let many: Vec<NewTask> = (0..500).map(|_| task()).collect();
        queue.enqueue(&many).await;
    }
    replace(&queue, &other(2)).await;
    let stale: Option<u32> = queue
        .redis
        .command(cmd("HGET").arg(queue.key("stale")).arg("10/default/"));
    assert_eq!(stale, Some(1));
    let held = queue.lease(1_000).await;
    let once = held.iter().filter(|held| held.task.id == id).count();
    assert_eq!(once, 1);
}

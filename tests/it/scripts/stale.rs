//! Entries and flags that operators' work leaves behind: a lane's entry whose task was purged or moved,
//! and a leased task whose cancellation was asked for. Made by hand, so that it is known where they lie.

use deadpool_redis::redis::{cmd, pipe};
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::{Millis, NewTask, TaskId, TaskState};
use leaseq::store::ops::Answer;
use leaseq::store::ops::ack::Acked;
use leaseq::store::ops::lease::{Grants, LeaseReply, Wish};
use leaseq::store::ops::nack::Nacked;
use leaseq::store::ops::release::Released;

use crate::support::queue::{Held, Queue, T0, failure, grouped, named, task};

/// As a purge would: the record goes, its entry in the lane stays.
fn purge(queue: &Queue, ids: &[TaskId]) {
    let record = |id: &TaskId| -> f64 {
        queue
            .redis
            .command(cmd("HSTRLEN").arg(queue.key("rec")).arg(id.as_bytes()))
    };
    let bytes: f64 = ids.iter().map(record).sum();
    let mut purge = pipe();
    for id in ids {
        purge.cmd("HDEL").arg(queue.key("rec")).arg(id.as_bytes());
    }
    let count = i32::try_from(ids.len()).expect("a few tasks");
    purge
        .cmd("HINCRBY")
        .arg(queue.key("q"))
        .arg("purged_total")
        .arg(count);
    let _: () = queue.redis.pipeline(&purge);
    queue.redis.add_to_state("emails", "ready", -f64::from(count));
    queue.redis.add_to_state("emails", "unfinished_bytes", -bytes);
}

async fn put(queue: &Queue, tasks: usize, like: impl Fn() -> NewTask) -> Vec<TaskId> {
    let tasks: Vec<_> = (0..tasks).map(|_| like()).collect();
    for batch in tasks.chunks(250) {
        queue.enqueue(batch).await;
    }
    tasks.iter().map(|task| task.id).collect()
}

/// I4: stale entries are never granted and never counted.
#[tokio::test]
async fn an_entry_whose_task_is_gone_is_never_granted() {
    let queue = Queue::start().await;
    let ids = put(&queue, 10, task).await;
    purge(&queue, &ids[..7]);
    assert_eq!(queue.overview().await.counts.ready, 3);
    let granted: Vec<_> = queue.lease(5).await.iter().map(|held| held.task.id).collect();
    assert_eq!(granted, ids[7..]);
}

/// As a changed priority would: the task moves to another lane, and its entry stays where it was accepted.
fn move_to_priority_50(queue: &Queue, id: TaskId) {
    let key = |role: &str| queue.key(role);
    let record: Vec<u8> = queue
        .redis
        .command(cmd("HGET").arg(key("rec")).arg(id.as_bytes()));
    let tick = record[..7]
        .iter()
        .fold(0u64, |tick, byte| tick << 8 | u64::from(*byte));
    let mut mutable = vec![0; 9]; // No grant yet, nothing failed, no flags.
    mutable.extend_from_slice(&50u16.to_be_bytes());
    mutable.extend_from_slice(&record[..7]);
    mutable.extend_from_slice(&[0; 10]);
    let mut entry = record[..7].to_vec();
    entry.extend_from_slice(id.as_bytes());
    let score = tick - 50 * 6_000 * 2_048; // Aged, by six seconds a point.
    let mut moved = pipe();
    moved.cmd("HSET").arg(key("mut")).arg(id.as_bytes()).arg(mutable);
    moved
        .cmd("ZADD")
        .arg(key("back:50/default/"))
        .arg(tick)
        .arg(entry);
    moved
        .cmd("ZADD")
        .arg(key("heads:"))
        .arg("LT")
        .arg(score)
        .arg("50/default");
    moved.cmd("ZADD").arg(key("names:default")).arg(1).arg("50/");
    let _: () = queue.redis.pipeline(&moved);
}

/// I4 I6: a task that moved is granted once, where it stands now.
#[tokio::test]
async fn an_entry_whose_task_moved_is_not_granted_a_second_time() {
    let queue = Queue::start().await;
    let ids = put(&queue, 5, task).await;
    move_to_priority_50(&queue, ids[3]);
    let first = queue.lease_one().await;
    assert_eq!(
        (first.task.id, first.task.grant, first.task.attempt),
        (ids[3], 1, 1)
    );
    let rest: Vec<_> = queue.lease(10).await.iter().map(|held| held.task.id).collect();
    assert_eq!(rest, [ids[0], ids[1], ids[2], ids[4]]);
}

/// I28: at most 1,000 stale entries are met in one call, and then the answer says `again`, never "empty".
#[tokio::test]
async fn a_call_that_meets_only_stale_entries_asks_for_another() {
    let queue = Queue::start().await;
    let ids = put(&queue, 3_001, task).await;
    purge(&queue, &ids[..3_000]);
    let wishes = [Wish {
        tasks: 1,
        ..Wish::default()
    }];
    for calls in 1.. {
        let LeaseReply::Tasks(Grants { grants, again, .. }) = queue.call(&queue.lease_op(&[], &wishes)).await
        else {
            panic!("absent")
        };
        assert_eq!(again, grants.is_empty());
        if let [grant] = &grants[..] {
            assert_eq!((grant.id, calls), (ids[3_000], 3));
            break;
        }
        assert!(calls < 10, "three times a thousand");
    }
}

/// I18: a group pays for what it was granted, not for what was stale.
#[tokio::test]
async fn stale_entries_cost_their_group_no_turn() {
    let queue = Queue::start().await;
    let a = put(&queue, 6, || grouped("a")).await;
    put(&queue, 6, || grouped("b")).await;
    purge(&queue, &a[..4]);
    let granted = queue.lease(4).await;
    let of_a = granted.iter().filter(|held| a.contains(&held.task.id)).count();
    assert!((1..=2).contains(&of_a), "{of_a} of 4");
    assert_eq!(queue.lease(10).await.len(), 4);
}

async fn leased_with_cancel(queue: &Queue) -> Held {
    queue.put(named("mail")).await;
    let wish = Wish {
        tasks: 1,
        worker: Some("w".to_owned()), // A name makes a mutable part, where the flag lies.
        ..Wish::default()
    };
    let held = queue.lease_as(wish, &[]).await.remove(0);
    let (key, id) = (queue.key("mut"), held.task.id);
    let mut mutable: Vec<u8> = queue.redis.command(cmd("HGET").arg(&key).arg(id.as_bytes()));
    mutable[8] |= 1;
    let _: () = queue
        .redis
        .command(cmd("HSET").arg(&key).arg(id.as_bytes()).arg(mutable));
    held
}

/// I23: the worker sees it, and may finish what it began.
#[tokio::test]
async fn a_cancel_is_told_on_extend_and_an_ack_still_completes() {
    let queue = Queue::start().await;
    let held = leased_with_cancel(&queue).await;
    assert!(queue.see(held.task.id).await.cancel_requested);
    let Answer::Done(extended) = queue.extend(&held.lease, None).await else {
        panic!("it is current")
    };
    assert!(extended.cancel_requested);
    assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Done));
    assert_eq!(queue.see(held.task.id).await.state, TaskState::Completed);
}

/// I23: everything else that ends the grant ends the task: it is granted never again.
#[tokio::test]
async fn a_cancelled_task_ends_with_its_grant() {
    let queue = Queue::start().await;
    let mut ids = Vec::new();
    let cancelled = TaskState::Cancelled;
    let held = leased_with_cancel(&queue).await;
    let told = queue.nack(&held.lease).await;
    assert!(
        matches!(told, Answer::Done(Nacked { state, .. }) if state == cancelled),
        "{told:?}"
    );
    let told = queue.nack_with(&held.lease, failure()).await;
    assert!(matches!(told, Answer::Done(Nacked { already: true, state, .. }) if state == cancelled));
    ids.insert(0, held.task.id);
    for retry_after in [RetryAfter::None, RetryAfter::Ms(0), RetryAfter::Ms(5_000)] {
        let held = leased_with_cancel(&queue).await;
        let told = queue.release(&held.lease, retry_after).await;
        let expected = Released {
            already: false,
            state: cancelled,
            run_at: None,
            expires_at: None,
        };
        assert_eq!(told, Answer::Done(expected));
        ids.insert(0, held.task.id);
    }
    let held = leased_with_cancel(&queue).await;
    queue.give_back(&held.lease).await;
    ids.insert(0, held.task.id);
    let held = leased_with_cancel(&queue).await;
    ids.insert(0, held.task.id);
    queue.at(30_000);
    // I8: from its end on it counts as cancelled, whether or not a sweep came by.
    assert_eq!(queue.ack(&held.lease).await, Answer::Lost);
    queue.sweep().await;
    assert_eq!(queue.ack(&held.lease).await, Answer::Lost);
    assert_eq!(queue.list(cancelled, 2).await, ids);
    assert_eq!(queue.lease(10).await.len(), 0);
}

/// I6: who does not wait for the answer any more could not work on the tasks.
#[tokio::test]
async fn a_lease_call_that_comes_too_late_is_granted_nothing() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let before = queue.snapshot();
    let wishes = [Wish {
        tasks: 1,
        ..Wish::default()
    }];
    let mut op = queue.lease_op(&[], &wishes);
    op.not_after = Some(Millis::new(T0 - 1));
    assert!(matches!(queue.call(&op).await, LeaseReply::Late));
    assert_eq!(queue.snapshot(), before);
    op.not_after = Some(Millis::new(T0));
    let LeaseReply::Tasks(Grants { grants, .. }) = queue.call(&op).await else {
        panic!("a lease's reply")
    };
    assert_eq!(grants.len(), 1);
}

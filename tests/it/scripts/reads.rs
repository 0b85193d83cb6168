//! Show, list and overview: what was written is what is read (I24), page by page (I28).

use std::collections::BTreeSet;

use leaseq::domain::settle::Ack;
use leaseq::domain::{TaskId, TaskState};
use leaseq::store::ops::ack::{AckOp, Acked};
use leaseq::store::ops::list::ListOp;
use leaseq::store::ops::{Absent, Answer};

use crate::support::queue::{Held, Queue, delayed, rejection, task};
use crate::support::redis::queue as other_queue;

fn ids(held: &[Held]) -> Vec<TaskId> {
    held.iter().map(|held| held.task.id).collect()
}

async fn ack_all(queue: &Queue, held: &[Held]) {
    let items: Vec<_> = held
        .iter()
        .map(|held| (held.lease.clone(), Ack::default()))
        .collect();
    queue.call(&AckOp(items)).await.expect("the queue exists");
}

async fn put_many(queue: &Queue, tasks: usize) {
    let tasks: Vec<_> = (0..tasks).map(|_| task()).collect();
    queue.enqueue(&tasks).await;
}

async fn page(queue: &Queue, state: TaskState, limit: usize, cursor: &[u8]) -> (Vec<TaskId>, Vec<u8>) {
    let op = ListOp { state, limit, cursor };
    let listed = queue.call(&op).await.expect("the queue exists");
    (listed.ids, listed.cursor)
}

/// I24: pages give each task once, newest first, also those that finished in one millisecond.
#[tokio::test]
async fn finished_tasks_of_one_millisecond_are_all_listed_page_by_page() {
    let queue = Queue::start().await;
    put_many(&queue, 10).await;
    let held = queue.lease(10).await;
    ack_all(&queue, &held).await;
    let mut expected = ids(&held);
    expected.reverse();
    for limit in [1, 3, 10, 500] {
        assert_eq!(
            queue.list(TaskState::Completed, limit).await,
            expected,
            "{limit} a page"
        );
    }
}

/// I24: what finishes between two pages moves nothing out of sight and nothing in twice.
#[tokio::test]
async fn a_list_of_finished_tasks_goes_on_where_it_was_while_more_finish() {
    let queue = Queue::start().await;
    put_many(&queue, 12).await;
    let held = queue.lease(12).await;
    ack_all(&queue, &held[..6]).await;
    let (mut listed, cursor) = page(&queue, TaskState::Completed, 2, b"").await;
    ack_all(&queue, &held[6..]).await;
    let (rest, cursor) = page(&queue, TaskState::Completed, 500, &cursor).await;
    listed.extend(rest);
    let mut expected = ids(&held[..6]);
    expected.reverse();
    assert_eq!((listed, cursor), (expected, Vec::new()));
}

/// I24: a task that stays ready is listed, whatever becomes of the others between two pages.
#[tokio::test]
async fn a_list_of_ready_tasks_misses_none_that_stay_while_others_are_leased() {
    let queue = Queue::start().await;
    put_many(&queue, 20).await;
    let mut listed = BTreeSet::new();
    let mut leased = BTreeSet::new();
    let mut cursor = Vec::new();
    loop {
        let (ids, next) = page(&queue, TaskState::Ready, 2, &cursor).await;
        listed.extend(ids);
        leased.insert(queue.lease_one().await.task.id);
        cursor = next;
        if cursor.is_empty() {
            break;
        }
    }
    let stayed: BTreeSet<_> = queue.list(TaskState::Ready, 500).await.into_iter().collect();
    assert!(
        stayed.is_subset(&listed),
        "missed {:?}",
        stayed.difference(&listed)
    );
}

/// I24: every state lists its own, in its own order.
#[tokio::test]
async fn lists_follow_due_time_expiry_and_death() {
    let queue = Queue::start().await;
    let due = [delayed(3_000), delayed(1_000), delayed(2_000)];
    queue.enqueue(&due).await;
    put_many(&queue, 4).await;
    let held = queue.lease(4).await;
    queue.extend(&held[1].lease, Some(1_000)).await;
    queue.extend(&held[0].lease, Some(2_000)).await;
    let mut died = Vec::new();
    for held in &held[2..] {
        queue.at(died.len() as u64 + 1);
        queue.nack_with(&held.lease, rejection()).await;
        died.insert(0, held.task.id);
    }
    for limit in [1, 2, 500] {
        let scheduled = queue.list(TaskState::Scheduled, limit).await;
        assert_eq!(scheduled, [due[1].id, due[2].id, due[0].id]);
        let leased = queue.list(TaskState::Leased, limit).await;
        assert_eq!(leased, [held[1].task.id, held[0].task.id]);
        assert_eq!(queue.list(TaskState::Dead, limit).await, died);
        assert_eq!(queue.list(TaskState::Cancelled, limit).await, []);
    }
}

/// I24: the attempt shown is the number of grants that counted, also where a late ack saved one.
#[tokio::test]
async fn a_late_ack_shows_the_attempt_that_it_completed() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let held = queue.lease_one().await;
    queue.at(30_000);
    queue.sweep().await;
    assert_eq!(queue.see(id).await.attempt, 1, "one failed attempt");
    assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Late));
    let shown = queue.see(id).await;
    assert_eq!((shown.attempt, shown.grant, shown.attempts.len()), (1, 1, 1));
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_absent_to_every_reader() {
    let queue = Queue::start().await;
    let (_, keys) = other_queue("nobody");
    let list = ListOp {
        state: TaskState::Ready,
        limit: 1,
        cursor: b"",
    };
    assert_eq!(queue.store.call(&keys, &list).await.unwrap(), Err(Absent));
    let overview = leaseq::store::ops::overview::OverviewOp;
    assert_eq!(queue.store.call(&keys, &overview).await.unwrap(), Err(Absent));
    let show = leaseq::store::ops::show::ShowOp(&[]);
    assert!(queue.store.call(&keys, &show).await.unwrap().is_err());
}

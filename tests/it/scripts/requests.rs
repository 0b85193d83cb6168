//! A lease call that names itself and is repeated gets the same grants.

use leaseq::domain::TaskId;
use leaseq::store::ops::Answer;
use leaseq::store::ops::lease::{Grants, LeaseReply, Wish};
use leaseq::store::ops::recall::RecallOp;

use crate::support::queue::{Held, Queue, task};

fn request(key: &str, tasks: usize) -> Wish {
    Wish {
        tasks,
        request_key: Some(key.to_owned()),
        ..Wish::default()
    }
}

fn ids(held: &[Held]) -> Vec<(TaskId, String)> {
    held.iter()
        .map(|held| (held.task.id, held.task.lease_id.clone()))
        .collect()
}

async fn recall(queue: &Queue, key: &str) -> Vec<Held> {
    let granted = queue.call(&RecallOp(key.to_owned())).await;
    queue.open(granted)
}

/// I6: a caller who lost the answer holds the leases that he would have got, and no more.
#[tokio::test]
async fn a_repeated_request_gets_the_same_grants_and_no_others() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task(), task()]).await;
    let first = queue.lease_as(request("k/r1", 2), &[]).await;
    assert_eq!(first.len(), 2);
    let wishes = [request("k/r1", 2), request("k/r2", 1)];
    let op = queue.lease_op(&[], &wishes);
    let granted = queue.call(&op).await;
    let LeaseReply::Tasks(Grants { recalled, .. }) = &granted else {
        panic!("absent")
    };
    assert_eq!(*recalled, [0]);
    let others = queue.open(granted);
    assert_eq!(
        (others.len(), others[0].task.attempt),
        (1, 1),
        "the other wish of the call is served"
    );
    assert_eq!(ids(&recall(&queue, "k/r1").await), ids(&first));
}

/// I7: what was settled meanwhile is not handed out again.
#[tokio::test]
async fn a_recall_leaves_out_what_is_no_longer_leased() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task(), task()]).await;
    let held = queue.lease_as(request("k/r1", 3), &[]).await;
    queue.ack(&held[0].lease).await;
    queue.give_back(&held[1].lease).await;
    let again = queue.lease_one().await;
    assert_eq!(again.task.id, held[1].task.id, "granted to somebody else");
    assert_eq!(ids(&recall(&queue, "k/r1").await), ids(&held[2..]));
    queue.at(30_000);
    assert_eq!(ids(&recall(&queue, "k/r1").await), []);
}

/// I6 I7: what a repeat was answered with is its caller's, whatever becomes of the first one, even where that
/// is found out late.
#[tokio::test]
async fn what_was_handed_out_again_is_not_given_back_for_the_first_caller() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task()]).await;
    let held = queue.lease_as(request("k/r1", 1), &[]).await;
    let other = queue.lease_as(request("k/r2", 1), &[]).await;
    for _ in 0..2 {
        assert_eq!(ids(&recall(&queue, "k/r1").await), ids(&held));
        assert_eq!(queue.give_back_of(&held[0].lease, "k/r1").await, Answer::Lost);
    }
    assert!(queue.lease(1).await.is_empty());
    assert!(matches!(
        queue.give_back_of(&other[0].lease, "k/r2").await,
        Answer::Done(_)
    ));
    assert_eq!(queue.lease_one().await.task.id, other[0].task.id);
    assert!(matches!(queue.ack(&held[0].lease).await, Answer::Done(_)));
    assert!(recall(&queue, "k/r1").await.is_empty());
}

/// I28: a request is remembered for its lease time and no longer.
#[tokio::test]
async fn a_request_repeated_after_its_lease_time_is_a_new_one() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    queue.lease_as(request("k/r1", 1), &[]).await;
    queue.at(30_000);
    queue.sweep().await;
    let again = queue.lease_as(request("k/r1", 1), &[]).await;
    assert_eq!((again.len(), again[0].task.id, again[0].task.grant), (1, id, 2));
    assert_eq!(ids(&recall(&queue, "k/r1").await), ids(&again));
}

/// I28: requests whose leases have ended go away while new ones come.
#[tokio::test]
async fn old_requests_make_room_for_new_ones() {
    let queue = Queue::start().await;
    for n in 0..40 {
        queue.at(n * 30_000);
        queue.put(task()).await;
        let held = queue.lease_as(request(&format!("k/{n}"), 1), &[]).await;
        queue.ack(&held[0].lease).await;
    }
    let kept: usize = queue
        .redis
        .command(deadpool_redis::redis::cmd("HLEN").arg("lq:1:{emails}:req"));
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn an_empty_answer_leaves_no_mark() {
    let queue = Queue::start().await;
    assert_eq!(queue.lease_as(request("k/r1", 1), &[]).await.len(), 0);
    queue.put(task()).await;
    assert_eq!(queue.lease_as(request("k/r1", 1), &[]).await.len(), 1);
}

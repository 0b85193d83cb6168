//! How many names the tasks of a queue may have.

use leaseq::domain::full::Full;
use leaseq::domain::limits::NAMES_MAX;
use leaseq::domain::task::{Enqueued, NotEnqueued};
use leaseq::domain::unique::{OnDuplicate, UniqueScope};
use leaseq::domain::{NewTask, Start};
use leaseq::store::ops::enqueue::Accepted;
use leaseq::store::ops::replay::Moved;

use crate::support::queue::{Queue, named, or_else, rejection, task, task_name, unique};

const DAY: u64 = 86_400_000;
const REFUSED: Result<Enqueued, NotEnqueued> = Err(NotEnqueued::Full(Full::Names));

fn nth(n: usize) -> NewTask {
    named(&format!("n{n}"))
}

/// A queue with tasks of as many names as it may have, each as `like` makes it.
async fn full(like: impl Fn(usize) -> NewTask) -> Queue {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..NAMES_MAX).map(like).collect();
    for batch in tasks.chunks(250) {
        queue.enqueue(batch).await;
    }
    queue
}

async fn told(queue: &Queue, tasks: &[NewTask]) -> Vec<Result<Enqueued, NotEnqueued>> {
    queue.told(&queue.enqueue_op(tasks, false)).await
}

/// The epoch of an enqueue by a sender who knows names of an earlier one, and asks for none.
async fn trusting(queue: &Queue, epoch: u64, task: NewTask) -> (u64, Result<Enqueued, NotEnqueued>) {
    let tasks = [task];
    let mut op = queue.enqueue_op(&tasks, false);
    op.names_epoch = epoch;
    let Accepted::Tasks {
        names_epoch,
        mut outcomes,
        ..
    } = queue.call(&op).await
    else {
        panic!("not accepted")
    };
    (names_epoch, outcomes.remove(0))
}

/// Ends all tasks of a name.
async fn finish(queue: &Queue, name: &str) {
    for held in queue.lease_names(9, &[name]).await {
        queue.ack(&held.lease).await;
    }
}

/// I28 I29: another name is refused alone, and leaves no trace.
#[tokio::test]
async fn a_queue_takes_tasks_of_as_many_names_as_it_may_have() {
    let queue = full(nth).await;
    let answers = told(&queue, &[nth(3), named("other"), nth(999), named("another")]).await;
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!([&answers[1], &answers[3]], [&REFUSED, &REFUSED]);
    let before = queue.snapshot();
    told(&queue, &[named("other"), named("another")]).await;
    assert_eq!(queue.snapshot(), before);
    assert_eq!(queue.overview().await.counts.ready, NAMES_MAX as u64 + 2);
}

/// Only what is neither ready nor was enqueued for a day makes room; what is scheduled keeps its name.
#[tokio::test]
async fn a_name_that_nobody_uses_makes_room_for_another() {
    let queue = full(|n| match n {
        0..10 => NewTask {
            start: Start::After(3 * DAY),
            ..nth(n)
        },
        n => nth(n),
    })
    .await;
    finish(&queue, "n500").await;
    queue.at(DAY - 1);
    assert_eq!(told(&queue, &[named("other")]).await, [REFUSED]);
    queue.at(DAY);
    let answers = told(&queue, &[named("other"), nth(500)]).await;
    assert!(answers[0].is_ok(), "in the place of n500");
    assert_eq!(answers[1], REFUSED, "all others are in use");
    queue.at(3 * DAY);
    queue.sweep().await;
    assert_eq!(told(&queue, &[nth(500)]).await, [REFUSED]);
    finish(&queue, "n700").await;
    assert!(told(&queue, &[nth(500)]).await[0].is_ok());
}

/// A task that is scheduled far ahead keeps its name known, without a request of its sender.
#[tokio::test]
async fn a_known_name_of_a_task_far_ahead_makes_no_room() {
    let queue = full(nth).await;
    let (epoch, _) = trusting(&queue, 0, nth(7)).await;
    finish(&queue, "n7").await;
    let later = NewTask {
        start: Start::After(3 * DAY),
        ..nth(7)
    };
    assert!(trusting(&queue, epoch, later).await.1.is_ok());
    queue.at(DAY);
    assert_eq!(told(&queue, &[named("other")]).await, [REFUSED]);
    queue.at(4 * DAY);
    queue.sweep().await;
    finish(&queue, "n7").await;
    assert!(told(&queue, &[named("other")]).await[0].is_ok());
}

/// A sender need not ask for names that it knows, until one of them may have left.
#[tokio::test]
async fn what_a_sender_knows_of_names_holds_until_one_leaves() {
    let queue = full(nth).await;
    let (epoch, answer) = trusting(&queue, 0, nth(0)).await;
    assert!(answer.is_ok());
    assert_eq!(trusting(&queue, 0, named("other")).await.1, REFUSED);
    let (same, answer) = trusting(&queue, epoch, nth(1)).await;
    assert!(answer.is_ok());
    assert_eq!(same, epoch);

    finish(&queue, "n7").await;
    queue.at(DAY);
    let (next, answer) = trusting(&queue, 0, named("other")).await;
    assert!(answer.is_ok() && next > epoch);
    assert_eq!(
        trusting(&queue, epoch, nth(7)).await.1,
        REFUSED,
        "it is not known any more"
    );
    let again = trusting(&queue, epoch, nth(1)).await;
    assert!(again.1.is_ok());
    assert_eq!(again.0, next);
}

/// A queue that is deleted and made anew knows nothing, whatever somebody remembers.
#[tokio::test]
async fn what_was_known_of_a_deleted_queue_does_not_hold_for_the_new_one() {
    let mut queue = Queue::start().await;
    let (epoch, _) = trusting(&queue, 0, task()).await;
    queue.at(5);
    let delete = leaseq::store::ops::delete::DeleteOp {
        what: leaseq::store::ops::delete::What::Filled,
        lanes: 10,
    };
    queue.call(&delete).await;
    queue.remake().await;
    let (next, answer) = trusting(&queue, epoch, task()).await;
    assert!(answer.is_ok());
    assert_ne!(next, epoch);
}

/// I14 I28: neither a replay nor a replacement brings in what an enqueue may not.
#[tokio::test]
async fn no_other_way_in_brings_another_name() {
    let queue = Queue::start().await;
    let dead = queue.put(named("gone")).await;
    queue.nack_with(&queue.lease_one().await.lease, rejection()).await;
    queue.put(unique("k", UniqueScope::UntilFinished)).await;
    queue.at(DAY);
    let tasks: Vec<_> = (0..NAMES_MAX - 1).map(nth).collect();
    for batch in tasks.chunks(250) {
        queue.enqueue(batch).await;
    }
    let with = NewTask {
        name: task_name("other"),
        ..or_else(OnDuplicate::Replace, "k", UniqueScope::UntilFinished)
    };
    assert_eq!(told(&queue, &[with]).await, [REFUSED]);

    let (_, moved) = queue.replay(&queue.letters(Some(dead)).await[0]).await;
    assert_eq!(moved, Moved::Full(Full::Names));
    let renamed = NewTask {
        name: task_name("n5"),
        ..or_else(OnDuplicate::Replace, "k", UniqueScope::UntilFinished)
    };
    assert!(told(&queue, &[renamed]).await[0].is_ok(), "a name that is there");
}

//! Unique keys and what operators do: a cancel and a purge free them, a replay takes them along.

use leaseq::domain::change::Cancelled;
use leaseq::domain::dead::Replay;
use leaseq::domain::task::Made;
use leaseq::domain::unique::UniqueScope;
use leaseq::domain::{Millis, NewTask, Start, TaskId};
use leaseq::store::ops::cancel::CancelOp;
use leaseq::store::ops::purge::PurgeOp;
use leaseq::store::ops::replay::{Item, Moved, ReplayOp};

use crate::support::queue::{Queue, REPLICA, T0, rejection, unique};

const TTL: UniqueScope = UniqueScope::Ttl(10_000);
const LEASED: UniqueScope = UniqueScope::UntilLeased;
const FINISHED: UniqueScope = UniqueScope::UntilFinished;

/// The response to an enqueue with the key "k": the task, and whether it is new.
async fn ask(queue: &Queue, scope: UniqueScope) -> (TaskId, Made) {
    let told = queue.told(&queue.enqueue_op(&[unique("k", scope)], false)).await;
    let told = told[0].as_ref().expect("no refusal was asked for");
    (told.id, told.made)
}

/// A dead letter whose task had the key "k".
async fn died(queue: &Queue, scope: UniqueScope) -> TaskId {
    let (id, made) = ask(queue, scope).await;
    assert_eq!(made, Made::Task);
    let held = queue.lease_one().await;
    assert_eq!(held.task.id, id);
    queue.nack_with(&held.lease, rejection()).await;
    id
}

/// All dead letters at once, oldest first: the ids of the new tasks, and what became of each.
async fn replay(queue: &Queue) -> Vec<(TaskId, Moved)> {
    let letters = queue.letters(None).await;
    let anew = Replay::default();
    let item = |letter| {
        let id = TaskId::new(Millis::new(T0));
        Item::new(letter, id, Start::Now, &anew).expect("a record")
    };
    let items: Vec<Item> = letters.iter().map(item).collect();
    let op = ReplayOp {
        replica: REPLICA,
        again: false,
        replay: &anew,
        items: &items,
    };
    let moved = queue.call(&op).await.expect("the queue exists").items;
    items.iter().map(Item::id).zip(moved).collect()
}

/// I15
#[tokio::test]
async fn a_cancelled_or_purged_task_frees_its_key_but_not_one_that_time_frees() {
    for start in [Start::Now, Start::After(1_000)] {
        for (scope, frees) in [(LEASED, true), (FINISHED, true), (TTL, false)] {
            for purge in [false, true] {
                let queue = Queue::start().await;
                let first = NewTask {
                    start,
                    ..unique("k", scope)
                };
                let id = queue.put(first).await;
                assert_eq!(ask(&queue, scope).await, (id, Made::Duplicate));
                if purge {
                    let op = PurgeOp {
                        only: None,
                        ids: &[id],
                    };
                    assert_eq!(queue.call(&op).await.expect("the queue exists").purged, 1);
                } else {
                    let op = CancelOp {
                        only: None,
                        ids: &[id],
                    };
                    let told = queue.call(&op).await.expect("the queue exists");
                    assert_eq!(told, [Ok(Cancelled::Done)]);
                }
                let (now, made) = ask(&queue, scope).await;
                assert_eq!(
                    (now != id, made == Made::Task),
                    (frees, frees),
                    "{scope:?}, {start:?}, purge: {purge}"
                );
            }
        }
    }
}

/// I15
#[tokio::test]
async fn a_replayed_task_holds_the_key_until_its_own_end() {
    for scope in [LEASED, FINISHED] {
        let queue = Queue::start().await;
        died(&queue, scope).await;
        let (id, moved) = replay(&queue).await.remove(0);
        assert_eq!(moved, Moved::Moved(None));
        assert_eq!(ask(&queue, scope).await, (id, Made::Duplicate));
        let held = queue.lease_one().await;
        assert_eq!(held.task.id, id);
        if scope == FINISHED {
            assert_eq!(ask(&queue, scope).await, (id, Made::Duplicate));
            queue.ack(&held.lease).await;
        }
        assert_eq!(ask(&queue, scope).await.1, Made::Task);
    }
}

/// I15: of two dead letters with one key the older is replayed, and of one whose key is held none.
#[tokio::test]
async fn a_dead_letter_whose_key_another_task_holds_stays() {
    let queue = Queue::start().await;
    died(&queue, FINISHED).await;
    died(&queue, FINISHED).await;
    let told = replay(&queue).await;
    assert_eq!(
        [told[0].1, told[1].1],
        [Moved::Moved(None), Moved::Taken(told[0].0)]
    );
    let (_, moved) = replay(&queue).await.remove(0);
    assert_eq!(moved, Moved::Taken(told[0].0));
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.counts.ready,
            overview.counts.dead,
            overview.counts.replayed_total
        ),
        (1, 1, 1)
    );
    let held = queue.lease_one().await;
    queue.ack(&held.lease).await;
    assert_eq!(replay(&queue).await.remove(0).1, Moved::Moved(None));
}

/// I15: from acceptance, whatever becomes of the task.
#[tokio::test]
async fn a_replayed_task_has_what_is_left_of_its_keys_time() {
    let queue = Queue::start().await;
    died(&queue, TTL).await;
    queue.at(6_000);
    let (id, moved) = replay(&queue).await.remove(0);
    assert_eq!(moved, Moved::Moved(None));
    queue.at(9_999);
    assert_eq!(ask(&queue, TTL).await, (id, Made::Duplicate));
    queue.at(10_000);
    assert_eq!(ask(&queue, TTL).await.1, Made::Task);
    // Once its time is over a dead letter's key is nobody's business.
    let queue = Queue::start().await;
    died(&queue, TTL).await;
    queue.at(10_000);
    assert_eq!(replay(&queue).await.remove(0).1, Moved::Moved(None));
    assert_eq!(ask(&queue, TTL).await.1, Made::Task);
}

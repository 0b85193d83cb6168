//! A Redis at `maxmemory`: nothing new comes in, and everything that brings work to its end still works.

use deadpool_redis::redis::cmd;
use leaseq::domain::Priority;
use leaseq::domain::change::{Cancelled, Change, When};
use leaseq::domain::pause::Pause;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::settle::RetryAfter;
use leaseq::store::StoreError;
use leaseq::store::ops::Answer;
use leaseq::store::ops::ack::Acked;
use leaseq::store::ops::cancel::CancelOp;
use leaseq::store::ops::configure::ConfigureOp;
use leaseq::store::ops::delete::{DeleteOp, What};
use leaseq::store::ops::discard::DiscardOp;
use leaseq::store::ops::patch::PatchOp;
use leaseq::store::ops::pause::PauseOp;
use leaseq::store::ops::purge::PurgeOp;

use crate::support::queue::{Queue, REPLICA, delayed, failure_after, grouped, rejection, task};

/// One byte may be used, so none is free; 0 is no bound.
fn bound_memory(queue: &Queue, bytes: u64) {
    let _: () = queue
        .redis
        .command(cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes));
}

fn fill(queue: &Queue) {
    bound_memory(queue, 1);
}

/// I5: refused as full, with nothing written.
#[tokio::test]
async fn a_full_store_refuses_an_enqueue_and_writes_nothing_of_it() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    fill(&queue);
    let before = queue.snapshot();
    for tasks in [vec![task()], vec![delayed(500)], vec![grouped("acme"), task()]] {
        for again in [false, true] {
            let refused = queue.try_call(&queue.enqueue_op(&tasks, again)).await;
            assert_eq!(refused, Err(StoreError::Full));
        }
    }
    let configure = ConfigureOp {
        expected: None,
        create: true,
        config: &QueueConfig::default(),
    };
    assert_eq!(queue.try_call(&configure).await, Err(StoreError::Full));
    assert_eq!(queue.snapshot(), before);
}

/// I1: what is in goes on and gets out.
#[tokio::test]
async fn a_full_store_still_leases_extends_settles_and_sweeps() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..8).map(|_| task()).collect();
    queue.enqueue(&tasks).await;
    queue.enqueue(&[delayed(1_000), grouped("acme")]).await;
    fill(&queue);
    let held = queue.lease(9).await;
    assert_eq!(held.len(), 9);
    assert_eq!(queue.lease(1).await.len(), 0, "an empty answer is one too");
    assert!(matches!(
        queue.extend(&held[0].lease, Some(60_000)).await,
        Answer::Done(_)
    ));
    assert_eq!(
        queue.ack_with(&held[0].lease, Some("1")).await,
        Answer::Done(Acked::Done)
    );
    assert_eq!(queue.ack(&held[0].lease).await, Answer::Done(Acked::Already));
    for nack in [failure_after(0), failure_after(500), rejection()] {
        let held = &held[nack.delay_ms.map_or(3, |ms| 1 + usize::from(ms > 0))];
        assert!(matches!(
            queue.nack_with(&held.lease, nack).await,
            Answer::Done(_)
        ));
    }
    assert!(matches!(
        queue.release(&held[4].lease, RetryAfter::None).await,
        Answer::Done(_)
    ));
    assert!(matches!(
        queue.release(&held[5].lease, RetryAfter::Ms(500)).await,
        Answer::Done(_)
    ));
    assert!(matches!(queue.give_back(&held[6].lease).await, Answer::Done(_)));
    bound_memory(&queue, 0);
    queue.at(30_000); // The test's clock is a key.
    fill(&queue);
    let swept = queue.sweep().await;
    assert_eq!((swept.expired, swept.came_due), (2, 3));
    assert_eq!(queue.ack(&held[7].lease).await, Answer::Done(Acked::Late));
    assert_eq!(queue.lease(10).await.len(), 7);
}

/// Room is made by what takes tasks away, and what only changes them is refused whole.
#[tokio::test]
async fn a_full_store_still_cancels_purges_and_deletes() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..4).map(|_| task()).collect();
    queue.enqueue(&tasks).await;
    fill(&queue);
    let cancel = CancelOp {
        only: None,
        ids: &[tasks[0].id],
    };
    assert_eq!(queue.call(&cancel).await, Ok(vec![Ok(Cancelled::Done)]));
    let before = queue.snapshot();
    let patch = PatchOp {
        replica: REPLICA,
        id: tasks[1].id,
        change: Change {
            priority: Priority::new(50),
            when: When::AsItWas,
        },
    };
    assert_eq!(queue.try_call(&patch).await, Err(StoreError::Full));
    assert_eq!(queue.snapshot(), before);
    let purge = PurgeOp {
        only: None,
        ids: &[tasks[1].id, tasks[2].id],
    };
    assert_eq!(queue.call(&purge).await.unwrap().purged, 2);
    let discard = DiscardOp {
        only: None,
        skip: 0,
        limit: 10,
    };
    assert_eq!(queue.call(&discard).await.unwrap().purged, 1);
    for what in [What::Filled, What::Rest] {
        queue.call(&DeleteOp { what, lanes: 10 }).await;
    }
    bound_memory(&queue, 0);
    queue.clear();
}

/// I23: whoever must stop a queue whose store is full can, and can let it go on.
#[tokio::test]
async fn a_full_store_is_still_paused_and_resumed() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    fill(&queue);
    let said = Pause {
        reason: Some("it is full".to_owned()),
        ..Pause::default()
    };
    for pause in [Some(&said), None] {
        let op = PauseOp {
            replica: REPLICA,
            pause,
        };
        queue.call(&op).await.expect("the queue exists");
        assert_eq!(queue.overview().await.paused.is_some(), pause.is_some());
    }
    assert_eq!(queue.lease(1).await.len(), 1);
}

/// I1: a waiting replica is noted on a full store too.
#[tokio::test]
async fn a_full_store_still_notes_who_waits() {
    let queue = Queue::start().await;
    fill(&queue);
    let wishes = [leaseq::store::ops::lease::Wish {
        tasks: 1,
        ..Default::default()
    }];
    let mut op = queue.lease_op(&[], &wishes);
    op.tell_me = true;
    queue.call(&op).await;
    let (_, hungry) = queue.redis.state("emails").unwrap();
    assert_eq!(hungry, *op.replica);
}

/// I1: scripts that Redis forgot can be loaded again while it is full.
#[tokio::test]
async fn a_full_store_takes_the_scripts_again() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    fill(&queue);
    let _: () = queue.redis.command(cmd("SCRIPT").arg("FLUSH"));
    assert_eq!(queue.lease(1).await.len(), 1);
}

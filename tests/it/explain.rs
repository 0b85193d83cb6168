//! Every waiting task says why it does not run, and what is ahead of it.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use deadpool_redis::redis::cmd;
use std::time::Duration;

use leaseq::domain::explain::{Ahead, WaitReason, Waiting};
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::{Group, Millis, NewTask, Priority, TaskId};
use leaseq::engine::{Engine, EngineSettings, LeaseFrom, LeaseRequest};

use crate::support::queue::{
    Queue, T0, delayed, failure_after, grouped, named, prioritised, task, task_name,
};

async fn engine(queue: &Queue) -> Engine {
    Engine::start(queue.redis.store_on_set_clock(), EngineSettings::default())
        .await
        .expect("redis-server runs")
}

async fn explained(queue: &Queue, id: TaskId) -> Option<Waiting> {
    let engine = engine(queue).await;
    let name = queue.see(id).await.name;
    let waiting = engine.explain(&queue.name, id, &name).await.unwrap();
    engine.stop().await;
    waiting
}

async fn reasons(queue: &Queue, id: TaskId) -> Vec<WaitReason> {
    explained(queue, id).await.expect("it waits").reasons
}

fn exactly(tasks: u64) -> Option<Ahead> {
    Some(Ahead {
        tasks,
        at_least: false,
    })
}

async fn put_all(queue: &Queue, tasks: &[NewTask]) {
    for tasks in tasks.chunks(256) {
        queue.enqueue(tasks).await;
    }
}

#[tokio::test]
async fn a_scheduled_task_says_until_when_and_why() {
    let queue = Queue::start().await;
    let until = |ms| Millis::new(T0 + ms);
    let id = queue.put(delayed(60_000)).await;
    let waiting = explained(&queue, id).await.unwrap();
    assert_eq!(
        waiting,
        Waiting {
            reasons: vec![WaitReason::Scheduled { until: until(60_000) }],
            ahead: None
        }
    );

    let id = queue.put(task()).await;
    let held = queue.lease_one().await;
    queue.nack_with(&held.lease, failure_after(5_000)).await;
    assert_eq!(
        reasons(&queue, id).await,
        [WaitReason::RetryBackoff { until: until(5_000) }]
    );
    queue.at(6_000);
    queue.sweep().await;
    let held = queue.lease_one().await;
    queue.release(&held.lease, RetryAfter::Ms(7_000)).await;
    assert_eq!(
        reasons(&queue, id).await,
        [WaitReason::Deferred { until: until(13_000) }]
    );
    queue.at(14_000);
    queue.sweep().await;
    let held = queue.lease_one().await;
    assert_eq!(
        explained(&queue, id).await,
        None,
        "a leased task waits for nothing"
    );
    queue.nack_with(&held.lease, failure_after(1_000)).await;
    assert_eq!(
        reasons(&queue, id).await,
        [WaitReason::RetryBackoff { until: until(15_000) }]
    );
}

#[tokio::test]
async fn what_is_ahead_in_the_lane_is_counted_without_what_is_stale() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..6).map(|_| task()).collect();
    put_all(&queue, &tasks).await;
    let ahead = async |n: usize| explained(&queue, tasks[n].id).await.unwrap().ahead;
    assert_eq!((ahead(0).await, ahead(5).await), (exactly(0), exactly(5)));
    // Two come back to their old places, and one of them is completed after all.
    let held = queue.lease(3).await;
    queue.give_back(&held[0].lease).await;
    queue.give_back(&held[1].lease).await;
    assert_eq!(ahead(0).await, exactly(0));
    assert_eq!(ahead(1).await, exactly(1));
    assert_eq!(ahead(5).await, exactly(4));
    // The record goes, its entry in the list stays.
    let _: () = queue
        .redis
        .command(cmd("HDEL").arg(queue.key("rec")).arg(tasks[3].id.as_bytes()));
    let _: () = queue
        .redis
        .command(cmd("HINCRBY").arg(queue.key("q")).arg("purged_total").arg(1));
    queue.redis.add_to_state("emails", "ready", -1.0);
    queue.redis.add_to_state("emails", "unfinished_bytes", -21.0);
    assert_eq!(ahead(5).await, exactly(3));
    // Another priority, name or group means another lane.
    for other in [prioritised(11), named("other"), grouped("acme")] {
        let id = queue.put(other).await;
        assert_eq!(explained(&queue, id).await.unwrap().ahead, exactly(0));
    }
}

/// I28.
#[tokio::test]
async fn a_thousand_ahead_are_counted_exactly_and_more_are_at_least_a_thousand() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..1300).map(|_| task()).collect();
    put_all(&queue, &tasks).await;
    for (n, tasks_ahead, at_least) in [
        (999, 999, false),
        (1000, 1000, false),
        (1001, 1000, true),
        (1299, 1000, true),
    ] {
        let expected = Ahead {
            tasks: tasks_ahead,
            at_least,
        };
        assert_eq!(
            explained(&queue, tasks[n].id).await.unwrap().ahead,
            Some(expected),
            "{n}"
        );
    }
}

#[tokio::test]
async fn a_ready_task_tells_whose_turn_is_first() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let worked_on = queue.lease_one().await;
    let first = queue.put(grouped("a")).await;
    assert_eq!(reasons(&queue, first).await, [WaitReason::Next]);
    let second = queue.put(grouped("b")).await;
    assert_eq!(reasons(&queue, second).await, [WaitReason::Turn { groups: 1 }]);
    let urgent = NewTask {
        priority: Priority::new(50).unwrap(),
        group: Some(Group::parse("a").unwrap()),
        ..task()
    };
    queue.put(urgent).await;
    assert_eq!(reasons(&queue, first).await, [WaitReason::Order { lanes: 1 }]);
    let third = queue.put(grouped("b")).await;
    assert_eq!(
        reasons(&queue, third).await,
        [WaitReason::Turn { groups: 1 }, WaitReason::Order { lanes: 0 }]
    );
    queue.ack(&worked_on.lease).await;
}

#[tokio::test]
async fn a_task_that_nobody_asks_for_says_so() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let nobody = WaitReason::NoWorker;
    assert_eq!(reasons(&queue, id).await, [nobody]);
    // Somebody works: he will come back.
    queue.put(task()).await;
    let held = queue.lease_one().await;
    let left = queue.put(task()).await;
    assert!(!reasons(&queue, left).await.contains(&nobody));
    queue.ack(&held.lease).await;
    queue.at(60_000);
    assert!(
        !reasons(&queue, left).await.contains(&nobody),
        "he may still be waiting elsewhere"
    );
    queue.at(60_001);
    assert_eq!(
        reasons(&queue, left).await,
        [nobody, WaitReason::Order { lanes: 0 }]
    );
}

#[tokio::test]
async fn a_worker_who_waits_for_others_is_none_for_this_task() {
    let queue = Queue::start().await;
    let engine = engine(&queue).await;
    let waits = LeaseRequest {
        queues: LeaseFrom::One(queue.name.clone()),
        max_tasks: 1,
        wait: Duration::from_secs(30),
        lease_ms: None,
        worker: None,
        names: vec![task_name("other")],
        request_id: None,
    };
    let waiter = tokio::spawn({
        let engine = engine.clone();
        async move { engine.lease(waits).await }
    });
    while engine.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let id = queue.put(task()).await;
    let mut asked = Vec::new();
    for name in ["default", "other"] {
        let waiting = engine.explain(&queue.name, id, &task_name(name)).await.unwrap();
        asked.push(waiting.unwrap().reasons);
    }
    assert_eq!(asked, [[WaitReason::NoWorker], [WaitReason::Next]]);
    engine.stop().await;
    waiter.await.unwrap().unwrap();
}

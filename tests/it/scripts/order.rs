//! Order inside a group.

use leaseq::domain::queue::{Order, QueueConfig};
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::{NewTask, Priority, TaskId};

use crate::support::queue::{Held, Queue, delayed, failure_after, grouped, named, prioritised, task};

fn ids(held: &[Held]) -> Vec<TaskId> {
    held.iter().map(|held| held.task.id).collect()
}

fn ids_of(tasks: &[NewTask]) -> Vec<TaskId> {
    tasks.iter().map(|task| task.id).collect()
}

async fn ordered(order: Order) -> Queue {
    Queue::with(QueueConfig {
        order: Some(order),
        ..QueueConfig::default()
    })
    .await
}

fn with_priority(name: &str, priority: u64) -> NewTask {
    NewTask {
        priority: Priority::new(priority).expect("valid"),
        ..named(name)
    }
}

/// I17: ties go by acceptance, inside a batch, across batches of one millisecond, and across names.
#[tokio::test]
async fn tasks_of_one_millisecond_are_granted_in_order_of_acceptance() {
    let queue = Queue::start().await;
    let mut accepted = Vec::new();
    for batch in 0..3 {
        let names = [["b", "a", "c"], ["c", "b", "a"], ["a", "c", "b"]][batch];
        let tasks: Vec<_> = (0..9).map(|n| named(names[n % 3])).collect();
        queue.enqueue(&tasks).await;
        accepted.extend(ids_of(&tasks));
    }
    let mut granted = ids(&queue.lease(5).await);
    granted.extend(ids(&queue.lease(1).await));
    granted.extend(ids(&queue.lease(50).await));
    assert_eq!(granted, accepted);
}

/// I17: more tasks than a millisecond has places run on into the next ones, and keep their order.
#[tokio::test]
async fn a_millisecond_that_overflows_keeps_the_order_of_acceptance() {
    let queue = Queue::start().await;
    let mut accepted = Vec::new();
    for _ in 0..9 {
        let tasks: Vec<_> = (0..256).map(|_| task()).collect();
        queue.enqueue(&tasks).await;
        accepted.extend(ids_of(&tasks));
    }
    queue.at(1);
    let late = named("other");
    accepted.push(late.id);
    queue.put(late).await;
    let mut granted = Vec::new();
    for _ in 0..10 {
        granted.extend(ids(&queue.lease(256).await));
    }
    assert_eq!(granted, accepted);
}

/// I17: a retry in the millisecond of its acceptance comes back behind those accepted before it.
#[tokio::test]
async fn a_retry_without_delay_does_not_overtake_an_older_task_of_the_same_millisecond() {
    let mut queue = Queue::start().await;
    let (older, younger) = (with_priority("a", 10), with_priority("b", 11));
    let ids_in_order = ids_of(&[older.clone(), younger.clone()]);
    queue.enqueue(&[older, younger]).await;
    let held = queue.lease_one().await;
    assert_eq!(held.task.id, ids_in_order[1], "the higher priority");
    queue.nack_with(&held.lease, failure_after(0)).await;
    queue
        .configure(QueueConfig {
            order: Some(Order::Fifo),
            ..QueueConfig::default()
        })
        .await;
    assert_eq!(ids(&queue.lease(2).await), ids_in_order);
}

/// I17: one point of priority is worth `aging_seconds` of waiting, to the millisecond.
#[tokio::test]
async fn aged_order_lets_a_task_be_overtaken_only_within_the_gap_times_aging() {
    let queue = Queue::start().await; // aging 6 s
    let waiting = prioritised(10);
    queue.put(waiting.clone()).await;
    queue.at(11_999);
    let overtaking = prioritised(12);
    queue.put(overtaking.clone()).await;
    queue.at(12_001);
    let too_late = prioritised(12);
    queue.put(too_late.clone()).await;
    assert_eq!(
        ids(&queue.lease(3).await),
        ids_of(&[overtaking, waiting, too_late])
    );
}

/// I17: whatever is noted of the lanes, which may be older than they are; in one group and beside another.
#[tokio::test]
async fn one_task_of_many_lanes_is_the_best_of_all() {
    for (order, expected) in [
        (Order::Aged, [2, 1, 4, 3, 5, 6]),
        (Order::Strict, [2, 4, 1, 3, 5, 6]),
        (Order::Fifo, [1, 2, 3, 4, 5, 6]),
    ] {
        for beside in [false, true] {
            let queue = ordered(order).await; // aging 6 s
            if beside {
                let others: Vec<_> = (0..9).map(|_| grouped("other")).collect();
                queue.enqueue(&others).await;
            }
            let late = |priority| with_priority("b", priority);
            let tasks = [
                with_priority("a", 1),
                with_priority("a", 1),
                late(2),
                with_priority("a", 1),
                late(2),
                with_priority("c", 1),
                with_priority("a", 0),
            ];
            let mut granted = Vec::new();
            for (n, at) in [0, 5_000, 10_000, 14_500, 20_000, 20_001, 20_002]
                .into_iter()
                .enumerate()
            {
                queue.at(at);
                queue.put(tasks[n].clone()).await;
                // The lane is alone, and nobody notes what is first in it.
                if n == 1 {
                    while !granted.contains(&tasks[0].id) {
                        granted.extend(ids(&queue.lease(1).await));
                    }
                }
            }
            while granted.len() < if beside { 16 } else { 7 } {
                let one = ids(&queue.lease(1).await);
                assert_eq!(one.len(), 1, "{order:?}: after {}", granted.len());
                granted.extend(one);
            }
            let granted: Vec<_> = granted
                .iter()
                .filter_map(|id| tasks.iter().position(|task| task.id == *id))
                .collect();
            assert_eq!(granted[1..], expected, "{order:?} beside: {beside}");
            assert_eq!(queue.lease(1).await.len(), 0);
        }
    }
}

/// I17: what came back to some of many lanes is at its old place in each of them.
#[tokio::test]
async fn returned_and_fresh_tasks_of_many_lanes_merge_by_ready_at() {
    for spread in [
        |n: usize| named(["a", "b", "c"][n % 3]),
        |n: usize| grouped(["a", "b", "c"][n % 3]),
    ] {
        let queue = Queue::start().await;
        let tasks: Vec<_> = (0..9).map(spread).collect();
        queue.enqueue(&tasks).await;
        for held in queue.lease(4).await {
            queue.give_back(&held.lease).await;
        }
        let granted = ids(&queue.lease(9).await);
        assert_eq!(granted.len(), 9);
        for lane in 0..3 {
            let of_lane: Vec<_> = ids_of(&tasks).into_iter().skip(lane).step_by(3).collect();
            let as_granted: Vec<_> = granted
                .iter()
                .filter(|id| of_lane.contains(id))
                .copied()
                .collect();
            assert_eq!(as_granted, of_lane);
        }
    }
}

/// I17: equal in `ready_at - priority * aging`, tasks go by acceptance, not by when they came due.
#[tokio::test]
async fn an_exact_tie_between_priorities_goes_by_acceptance() {
    let high = || NewTask {
        start: delayed(7_000).start,
        ..prioritised(11)
    };
    let low = || NewTask {
        start: delayed(1_000).start,
        ..prioritised(10)
    };
    // Whichever lane is looked at first.
    for tasks in [[high(), low()], [low(), high()]] {
        let queue = Queue::start().await;
        queue.enqueue(&tasks).await;
        queue.at(7_000);
        queue.sweep().await;
        assert_eq!(ids(&queue.lease(2).await), ids_of(&tasks));
    }
}

/// I17
#[tokio::test]
async fn strict_order_ignores_waiting_time_and_fifo_ignores_priority() {
    for (order, expected) in [(Order::Strict, [2, 1, 0, 3]), (Order::Fifo, [0, 1, 2, 3])] {
        let queue = ordered(order).await;
        let tasks = [prioritised(1), prioritised(10), prioritised(11), prioritised(0)];
        for (n, task) in tasks.iter().enumerate() {
            queue.at(n as u64 * 3_600_000);
            queue.put(task.clone()).await;
        }
        let expected: Vec<_> = expected.iter().map(|n: &usize| tasks[*n].id).collect();
        assert_eq!(ids(&queue.lease(4).await), expected, "{order:?}");
    }
}

/// I17: whatever way a task became ready, it stands where `ready_at` says.
#[tokio::test]
async fn returned_and_fresh_tasks_merge_by_ready_at() {
    let queue = ordered(Order::Fifo).await;
    let scheduled = delayed(500);
    queue.put(scheduled.clone()).await;
    queue.at(100);
    let released = task();
    queue.put(released.clone()).await;
    let held = queue.lease_one().await;
    queue.at(499);
    let before = task();
    queue.put(before.clone()).await;
    queue.at(500);
    let after = task();
    queue.put(after.clone()).await;
    queue.sweep().await;
    queue.release(&held.lease, RetryAfter::None).await;
    let expected = ids_of(&[released, before, scheduled, after]);
    assert_eq!(ids(&queue.lease(4).await), expected);
}

/// I17: however many lanes a group has, and how many groups there are.
#[tokio::test]
async fn a_changed_order_holds_for_every_lane_of_large_and_many_groups() {
    let mut queue = ordered(Order::Strict).await;
    let in_group = |group: &str, name: String, priority| NewTask {
        group: grouped(group).group,
        ..with_priority(&name, priority)
    };
    // Low priorities last in strict order, first in fifo order.
    let mut tasks: Vec<_> = (0..2_500)
        .map(|n| in_group("large", format!("n{}", n % 500), n / 250))
        .collect();
    tasks.extend((0..300).map(|n| in_group(&format!("g{n}"), "mail".to_owned(), 10)));
    for (ms, batch) in tasks.chunks(250).enumerate() {
        queue.at(ms as u64);
        queue.enqueue(batch).await;
    }
    let fifo = QueueConfig {
        order: Some(Order::Fifo),
        ..QueueConfig::default()
    };
    queue.configure(fifo).await;
    let mut granted = Vec::new();
    while granted.len() < 2_500 {
        let held = queue.lease(250).await;
        let large = |held: &&Held| {
            held.task
                .group
                .as_ref()
                .is_some_and(|group| group.as_str() == "large")
        };
        granted.extend(held.iter().filter(large).map(|held| held.task.id));
    }
    assert_eq!(granted, ids_of(&tasks[..2_500]));
}

/// I17: a changed order holds from the answer on, for tasks that were there before.
#[tokio::test]
async fn a_changed_order_holds_for_tasks_that_wait_already() {
    let mut queue = ordered(Order::Fifo).await;
    let tasks = [
        with_priority("a", 1),
        with_priority("b", 10),
        with_priority("a", 1000),
        with_priority("c", 20),
    ];
    for (n, task) in tasks.iter().enumerate() {
        queue.at(n as u64);
        queue.put(task.clone()).await;
    }
    for (order, aging_ms, next) in [
        (Order::Strict, 0, 2),
        (Order::Fifo, 0, 0),
        (Order::Aged, 1, 3),
        (Order::Strict, 0, 1),
    ] {
        let config = QueueConfig {
            order: Some(order),
            aging_ms: Some(aging_ms),
            ..QueueConfig::default()
        };
        queue.configure(config).await;
        assert_eq!(queue.lease_one().await.task.id, tasks[next].id, "{order:?}");
    }
}

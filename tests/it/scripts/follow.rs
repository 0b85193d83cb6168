//! Callers that wait for the end of a task: they are noted, informed, and get a task that nothing else keeps.

use deadpool_redis::redis::cmd;
use leaseq::domain::limits::FOLLOWED_MAX;
use leaseq::domain::queue::{Keep, QueueConfig};
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::task::DeadReason;
use leaseq::domain::{Expiry, NewTask, TaskId, TaskState};
use leaseq::store::ops::follow::{FollowOp, Followed};
use leaseq::store::ops::purge::{PurgeOp, Purged};
use leaseq::store::ops::purge_dead::PurgeDeadOp;

use crate::support::queue::{Queue, delayed, rejection, task};

async fn follow(queue: &Queue, id: TaskId, ms: u64) -> Followed {
    queue
        .call(&FollowOp(&[(id, ms)]))
        .await
        .expect("the queue exists")
        .tasks
        .remove(0)
}

fn keeping(keep: Keep, completed_max: Option<u64>, dead_max_size: Option<u64>) -> QueueConfig {
    QueueConfig {
        keep: Some(keep),
        completed_max,
        dead_max_size,
        ..QueueConfig::default()
    }
}

#[tokio::test]
async fn a_follow_says_what_is_over_already() {
    let queue = Queue::start().await;
    let ids = [task(), task(), task()].map(|task| task.id);
    assert_eq!(follow(&queue, ids[0], 1_000).await, Followed::Gone);
    let waiting = queue.put(task()).await;
    assert_eq!(follow(&queue, waiting, 1_000).await, Followed::Waiting);
    let held = queue.lease_one().await;
    assert_eq!(follow(&queue, waiting, 1_000).await, Followed::Waiting);
    queue.ack(&held.lease).await;
    assert_eq!(follow(&queue, waiting, 1_000).await, Followed::Ended);
    let dead = queue.put(task()).await;
    let held = queue.lease_one().await;
    queue.nack_with(&held.lease, rejection()).await;
    assert_eq!(follow(&queue, dead, 1_000).await, Followed::Ended);
}

/// I25, whatever the retention: what somebody waits for stays until the wait is over, and not longer.
#[tokio::test]
async fn an_awaited_end_is_shown_until_the_wait_is_over() {
    for config in [
        keeping(Keep::None, None, Some(0)),
        keeping(Keep::All, Some(0), Some(0)),
        keeping(Keep::Results, Some(0), Some(0)),
    ] {
        let queue = Queue::with(config).await;
        let (completed, dead) = (queue.put(task()).await, queue.put(task()).await);
        for id in [completed, dead] {
            follow(&queue, id, 10_000).await;
        }
        let held = queue.lease(2).await;
        queue.ack_with(&held[0].lease, Some("7")).await;
        queue.at(1);
        queue.nack_with(&held[1].lease, rejection()).await;
        for at in [1, 9_999] {
            queue.at(at);
            queue.sweep().await;
            let seen = queue.see(completed).await;
            assert_eq!(seen.state, TaskState::Completed);
            assert_eq!(seen.result.unwrap().as_str(), "7");
            let seen = queue.see(dead).await;
            assert_eq!(
                (seen.state, seen.reason),
                (TaskState::Dead, Some(DeadReason::Rejected))
            );
            assert_eq!(seen.attempts.len(), 1);
        }
        let overview = queue.overview().await;
        assert_eq!(
            (
                overview.kept,
                overview.counts.dead,
                overview.counts.dead_evicted_total
            ),
            (0, 0, 1)
        );
        for state in TaskState::ALL {
            assert_eq!(queue.list(state, 10).await, [], "{state:?}");
        }
        // A little longer than the wait, for the last look.
        queue.at(12_001);
        queue.sweep().await;
        assert!(queue.show(completed).await.is_none() && queue.show(dead).await.is_none());
    }
}

/// I3 I14: it has left already, so nobody who empties the queue may count it again.
#[tokio::test]
async fn what_only_lingers_is_not_purged_again() {
    let queue = Queue::with(keeping(Keep::None, None, Some(0))).await;
    let dead = queue.put(task()).await;
    follow(&queue, dead, 10_000).await;
    let held = queue.lease_one().await;
    queue.nack_with(&held.lease, rejection()).await;
    for only in [None, Some(TaskState::Dead)] {
        let op = PurgeOp { only, ids: &[dead] };
        let nothing = Purged {
            purged: 0,
            cancel_requested: 0,
        };
        assert_eq!(queue.call(&op).await, Ok(nothing));
    }
    assert_eq!(queue.call(&PurgeDeadOp(&[dead])).await, Ok(0));
    assert_eq!(queue.see(dead).await.state, TaskState::Dead);
    let overview = queue.overview().await;
    assert_eq!(
        (overview.counts.purged_total, overview.counts.dead_evicted_total),
        (0, 1)
    );
}

/// Also when others push it out before the one who waits could look.
#[tokio::test]
async fn an_awaited_end_stays_when_later_ones_take_its_place() {
    let queue = Queue::with(keeping(Keep::All, Some(1), Some(1))).await;
    let mut firsts = Vec::new();
    for n in 0..3 {
        queue.at(n);
        let (completed, dead) = (queue.put(task()).await, queue.put(task()).await);
        if n == 0 {
            follow(&queue, completed, 10_000).await;
            follow(&queue, dead, 10_000).await;
            firsts = vec![completed, dead];
        }
        let held = queue.lease(2).await;
        queue.ack(&held[0].lease).await;
        queue.nack_with(&held[1].lease, rejection()).await;
    }
    assert_eq!(queue.see(firsts[0]).await.state, TaskState::Completed);
    assert_eq!(queue.see(firsts[1]).await.state, TaskState::Dead);
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.kept,
            overview.counts.dead,
            overview.counts.dead_evicted_total
        ),
        (1, 1, 2)
    );
}

/// A wait that is over keeps nothing, and one that was noted before costs no write.
#[tokio::test]
async fn a_wait_is_noted_once_and_ends_by_itself() {
    let queue = Queue::with(keeping(Keep::None, None, None)).await;
    let id = queue.put(task()).await;
    follow(&queue, id, 10_000).await;
    let before = queue.snapshot();
    queue.at(1_000);
    assert_eq!(follow(&queue, id, 9_000).await, Followed::Waiting);
    let after = queue.snapshot();
    // The clock is a key, too.
    let changed: Vec<_> = after
        .keys()
        .filter(|key| before.get(*key) != after.get(*key))
        .collect();
    assert_eq!(changed, ["lq:1:clock"]);
    queue.at(20_000);
    let held = queue.lease_one().await;
    queue.ack(&held.lease).await;
    assert!(queue.show(id).await.is_none());
}

/// The end is told once, to whoever listens, and only while somebody waits.
#[tokio::test]
async fn ends_are_told_only_of_tasks_that_somebody_waits_for() {
    let queue = Queue::start().await;
    let published = || -> u64 {
        let stats: String = queue.redis.command(cmd("INFO").arg("commandstats"));
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_publish:calls="));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    };
    let ids = [
        queue.put(task()).await,
        queue.put(task()).await,
        queue.put(task()).await,
    ];
    let held = queue.lease(3).await;
    queue.ack(&held[0].lease).await;
    assert_eq!(published(), 0);
    follow(&queue, ids[2], 5_000).await;
    queue.ack(&held[1].lease).await;
    assert_eq!(published(), 0);
    queue.ack(&held[2].lease).await;
    queue.ack(&held[2].lease).await;
    assert_eq!(published(), 1);
    // A task that is retried has not ended.
    let id = queue.put(task()).await;
    follow(&queue, id, 5_000).await;
    let held = queue.lease_one().await;
    queue.release(&held.lease, RetryAfter::None).await;
    assert_eq!(published(), 1);
    let held = queue.lease_one().await;
    queue.nack_with(&held.lease, rejection()).await;
    assert_eq!(published(), 2);
}

/// I19: who waits for an end looks each second, and so does what leads to it.
#[tokio::test]
async fn a_follow_says_when_a_sweep_is_due() {
    let queue = Queue::start().await;
    let id = queue.put(delayed(1_000)).await;
    for (at, due) in [(999, false), (1_000, true)] {
        queue.at(at);
        let told = queue
            .call(&FollowOp(&[(id, 5_000)]))
            .await
            .expect("the queue exists");
        assert_eq!(
            (told.sweep_is_due, &told.tasks[..]),
            (due, &[Followed::Waiting][..])
        );
    }
    queue.sweep().await;
    let held = queue.lease_one().await;
    for (at, due) in [(30_999, false), (31_000, true)] {
        queue.at(at);
        let told = queue.call(&FollowOp(&[(held.task.id, 5_000)])).await;
        assert_eq!(told.expect("the queue exists").sweep_is_due, due);
    }
    queue.sweep().await;
    let expires = NewTask {
        expiry: Some(Expiry::After(1_000)),
        ..task()
    };
    let id = queue.put(expires).await;
    for (at, due) in [(31_999, false), (32_000, true)] {
        queue.at(at);
        let told = queue.call(&FollowOp(&[(id, 5_000)])).await;
        assert_eq!(told.expect("the queue exists").sweep_is_due, due);
    }
    queue.sweep().await;
    assert_eq!(follow(&queue, id, 5_000).await, Followed::Ended);
}

/// I28: who comes on top is served by looking each second.
#[tokio::test]
async fn no_more_waits_are_noted_than_a_queue_may_have() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..FOLLOWED_MAX + 5).map(|_| task()).collect();
    for tasks in tasks.chunks(256) {
        queue.enqueue(tasks).await;
        let items: Vec<_> = tasks.iter().map(|task| (task.id, 5_000)).collect();
        let told = queue.call(&FollowOp(&items)).await.expect("the queue exists");
        assert!(told.tasks.iter().all(|task| *task == Followed::Waiting));
    }
    let noted: usize = queue.redis.command(cmd("ZCARD").arg(queue.key("followed")));
    assert_eq!(noted, FOLLOWED_MAX);
    queue.at(10_000);
    follow(&queue, tasks[FOLLOWED_MAX].id, 5_000).await;
    let noted: usize = queue.redis.command(cmd("ZCARD").arg(queue.key("followed")));
    assert!(noted < FOLLOWED_MAX, "those whose time is over make room");
}

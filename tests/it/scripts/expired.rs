//! Operations on tasks that expire: nothing of them stays in the index of expiry times, and after their
//! expiry they count as dead.

use deadpool_redis::redis::cmd;
use leaseq::domain::change::{Cancelled, Change, NotChanged, When};
use leaseq::domain::task::DeadReason;
use leaseq::domain::{Expiry, Millis, NewTask, Priority, RetryPolicy, TaskId, TaskState};
use leaseq::store::ops::Answer;
use leaseq::store::ops::ack::Acked;
use leaseq::store::ops::cancel::CancelOp;
use leaseq::store::ops::explain::{ExplainOp, Explained};
use leaseq::store::ops::patch::PatchOp;
use leaseq::store::ops::purge::{PurgeOp, Purged};
use leaseq::store::ops::replay::Moved;
use leaseq::store::ops::verify_tasks::VerifyTasksOp;

use crate::support::audit::assert_sound;
use crate::support::queue::{Queue, REPLICA, T0, delayed, task};

fn expiring(ms: u64, task: NewTask) -> NewTask {
    NewTask {
        expiry: Some(Expiry::After(ms)),
        ..task
    }
}

/// Ids in the index of what expires.
fn indexed(queue: &Queue) -> usize {
    queue.redis.command(cmd("ZCARD").arg(queue.key("expiry")))
}

async fn cancel(queue: &Queue, id: TaskId) -> Result<Cancelled, NotChanged> {
    let op = CancelOp {
        only: None,
        ids: &[id],
    };
    queue.call(&op).await.expect("the queue exists").remove(0)
}

async fn purge(queue: &Queue, only: Option<TaskState>, id: TaskId) -> Purged {
    let op = PurgeOp { only, ids: &[id] };
    queue.call(&op).await.expect("the queue exists")
}

async fn change(queue: &Queue, id: TaskId, change: Change) -> Result<TaskState, NotChanged> {
    let op = PatchOp {
        replica: REPLICA,
        id,
        change,
    };
    queue.call(&op).await.map(|changed| changed.state)
}

/// One that is ready, one that is scheduled, one that was met by a lease past its expiry.
async fn overdue(queue: &Queue) -> [TaskId; 3] {
    let tasks = [expiring(1_000, task()), expiring(1_000, delayed(5_000))];
    let ids = [tasks[0].id, tasks[1].id];
    queue.at(0);
    queue.enqueue(&[expiring(1_000, task())]).await;
    let met = queue.list(TaskState::Ready, 1).await[0];
    queue.at(1_000);
    assert!(queue.lease(1).await.is_empty());
    queue.at(0);
    queue.enqueue(&tasks).await;
    queue.at(1_000);
    [ids[0], ids[1], met]
}

/// I4
#[tokio::test]
async fn what_is_cancelled_or_purged_while_it_waits_does_not_expire_any_more() {
    let queue = Queue::start().await;
    for like in [task, || delayed(5_000)] {
        let (cancelled, purged) = (expiring(1_000, like()), expiring(1_000, like()));
        let ids = (cancelled.id, purged.id);
        queue.enqueue(&[cancelled, purged]).await;
        assert_eq!(cancel(&queue, ids.0).await, Ok(Cancelled::Done));
        assert_eq!(indexed(&queue), 1);
        assert_eq!(purge(&queue, None, ids.1).await.purged, 1);
        assert_eq!(indexed(&queue), 0);
        assert_sound(&queue.redis, "emails");
    }
}

/// I4
#[tokio::test]
async fn a_changed_task_expires_as_it_would_have() {
    let queue = Queue::start().await;
    let to_priority = Change {
        priority: Priority::new(50),
        when: When::AsItWas,
    };
    let put_off = Change {
        priority: None,
        when: When::At(Millis::new(T0 + 60_000)),
    };
    for change_to in [to_priority, put_off] {
        queue.at(0);
        let id = queue.put(expiring(1_000, task())).await;
        change(&queue, id, change_to).await.expect("it waits");
        assert_eq!(indexed(&queue), 1);
        queue.at(1_000);
        queue.sweep().await;
        assert_eq!(queue.see(id).await.reason, Some(DeadReason::Expired));
        assert_sound(&queue.redis, "emails");
    }
}

/// I4. Whether or not a sweep came by makes no difference.
#[tokio::test]
async fn past_its_expiry_a_task_counts_as_dead_for_whoever_would_cancel_or_change_it() {
    let queue = Queue::start().await;
    for id in overdue(&queue).await {
        let dead = NotChanged::State(TaskState::Dead);
        let run_now = Change {
            priority: Priority::new(50),
            when: When::Now,
        };
        assert_eq!(cancel(&queue, id).await, Err(dead));
        assert_eq!(change(&queue, id, run_now).await, Err(dead));
        assert_eq!(purge(&queue, Some(TaskState::Ready), id).await.purged, 0);
        assert_eq!(queue.call(&ExplainOp(id)).await.unwrap(), Explained::Other);
        assert_sound(&queue.redis, "emails");
    }
    queue.sweep().await;
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.counts.ready,
            overview.counts.scheduled,
            overview.counts.dead
        ),
        (0, 0, 3)
    );
}

/// I4
#[tokio::test]
async fn an_audit_does_not_miss_in_its_lane_what_a_lease_met_past_its_expiry() {
    let queue = Queue::start().await;
    let overdue = overdue(&queue).await;
    for ids in overdue.chunks(1) {
        let tasks = queue.call(&VerifyTasksOp::These(ids)).await.unwrap();
        assert_eq!(tasks.page.problems, []);
    }
    // The one that was met is in no lane, and so nobody's claim; nor are the others, which can be looked up.
    let all = queue.call(&VerifyTasksOp::These(&overdue)).await.unwrap();
    assert!(all.claims.is_empty(), "{:?}", all.claims);
}

/// I3 I4
#[tokio::test]
async fn a_purge_of_everything_takes_what_has_expired_wherever_it_lies() {
    let queue = Queue::start().await;
    for id in overdue(&queue).await {
        assert_eq!(purge(&queue, None, id).await.purged, 1);
        assert_sound(&queue.redis, "emails");
    }
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.counts.ready,
            overview.counts.scheduled,
            overview.counts.dead
        ),
        (0, 0, 0)
    );
    assert_eq!(indexed(&queue), 0);
}

/// I8
#[tokio::test]
async fn a_late_ack_of_a_task_that_was_put_off_counts_until_it_expires() {
    for (ms, late) in [(4_999, true), (5_000, false)] {
        let queue = Queue::start().await;
        let id = queue
            .put(NewTask {
                lease_ms: Some(1_000),
                ..expiring(5_000, task())
            })
            .await;
        let lease = queue.lease_one().await.lease;
        queue.at(1_000);
        queue.sweep().await;
        let put_off = Change {
            priority: None,
            when: When::At(Millis::new(T0 + 60_000)),
        };
        assert_eq!(change(&queue, id, put_off).await, Ok(TaskState::Scheduled));
        queue.at(ms);
        let told = queue.ack(&lease).await;
        let expected = if late {
            Answer::Done(Acked::Late)
        } else {
            Answer::Lost
        };
        assert_eq!(told, expected);
        assert_eq!(indexed(&queue), usize::from(!late));
        assert_sound(&queue.redis, "emails");
    }
}

/// I16
#[tokio::test]
async fn a_replayed_task_does_not_expire_again_and_keeps_its_retry_policy() {
    let queue = Queue::start().await;
    let policy = RetryPolicy {
        base_ms: 7_000,
        ..RetryPolicy::DEFAULT
    };
    queue
        .put(NewTask {
            retry: Some(policy),
            ..expiring(1_000, task())
        })
        .await;
    queue.at(1_000);
    queue.sweep().await;
    let (id, moved) = queue.replay(&queue.letters(None).await[0]).await;
    assert_eq!(moved, Moved::Moved(None));
    queue.at(100_000);
    queue.sweep().await;
    let seen = queue.see(id).await;
    assert_eq!(
        (seen.state, seen.expires_at, seen.retry),
        (TaskState::Ready, None, policy)
    );
    assert_sound(&queue.redis, "emails");
}

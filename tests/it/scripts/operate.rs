//! Cancel, patch, purge and delete: what leaves its place leaves nothing wrong behind, however long its lane
//! is.

use leaseq::domain::change::{Cancelled, Change, Changed, NotChanged, When};
use leaseq::domain::queue::{Keep, QueueConfig};
use leaseq::domain::{Millis, NewTask, Priority, TaskId, TaskState};
use leaseq::store::ops::ack::Acked;
use leaseq::store::ops::cancel::CancelOp;
use leaseq::store::ops::configure::{ConfigureOp, Configured};
use leaseq::store::ops::delete::{DeleteOp, DeleteStep, Deleted, What};
use leaseq::store::ops::discard::DiscardOp;
use leaseq::store::ops::lease::{Grants, LeaseReply};
use leaseq::store::ops::patch::PatchOp;
use leaseq::store::ops::purge::{PurgeOp, Purged};
use leaseq::store::ops::select::{SelectOp, States};
use leaseq::store::ops::{Absent, Answer};

use crate::support::audit::assert_sound;
use crate::support::queue::{Queue, REPLICA, T0, delayed, grouped, rejection, task};

/// More than a list is searched for.
const LONG: usize = 3_000;

async fn put(queue: &Queue, tasks: usize, like: impl Fn() -> NewTask) -> Vec<TaskId> {
    let tasks: Vec<_> = (0..tasks).map(|_| like()).collect();
    for batch in tasks.chunks(250) {
        queue.enqueue(batch).await;
    }
    tasks.iter().map(|task| task.id).collect()
}

async fn cancel(queue: &Queue, ids: &[TaskId]) -> Vec<Result<Cancelled, NotChanged>> {
    queue
        .call(&CancelOp { only: None, ids })
        .await
        .expect("the queue exists")
}

async fn change(queue: &Queue, id: TaskId, change: Change) -> Result<Changed, NotChanged> {
    let op = PatchOp {
        replica: REPLICA,
        id,
        change,
    };
    queue.call(&op).await
}

fn to_priority(priority: u64) -> Change {
    Change {
        priority: Priority::new(priority),
        when: When::AsItWas,
    }
}

fn at(when: When) -> Change {
    Change { priority: None, when }
}

/// Leases everything, also where calls meet stale entries only, and says in which order.
async fn drain(queue: &Queue) -> Vec<TaskId> {
    let mut ids = Vec::new();
    loop {
        let wishes = [leaseq::store::ops::lease::Wish {
            tasks: 100,
            ..Default::default()
        }];
        let granted = queue.call(&queue.lease_op(&[], &wishes)).await;
        let LeaseReply::Tasks(Grants { again, .. }) = &granted else {
            panic!("absent")
        };
        let again = *again;
        let held = queue.open(granted);
        if held.is_empty() && !again {
            return ids;
        }
        ids.extend(held.iter().map(|held| held.task.id));
    }
}

fn without(ids: &[TaskId], gone: impl Fn(usize) -> bool) -> Vec<TaskId> {
    let kept = ids.iter().enumerate().filter(|(index, _)| !gone(*index));
    kept.map(|(_, id)| *id).collect()
}

/// I4: the rest of a lane is granted in its order, wherever in it others were cancelled.
#[tokio::test]
async fn what_is_cancelled_in_a_long_lane_is_never_granted_and_changes_no_order() {
    let queue = Queue::start().await;
    let ids = put(&queue, LONG, task).await;
    let gone = |index: usize| index % 3 == 1;
    let cancelled: Vec<_> = (0..LONG)
        .filter(|index| gone(*index))
        .map(|index| ids[index])
        .collect();
    for batch in cancelled.chunks(250) {
        cancel(&queue, batch).await;
        assert_sound(&queue.redis, "emails");
    }
    assert_eq!(queue.overview().await.counts.ready, 2_000);
    assert_eq!(drain(&queue).await, without(&ids, gone));
}

/// I4 I28: a lane that is more than half stale is compacted, so that what is left behind is bounded by what
/// lives.
#[tokio::test]
async fn a_lane_of_cancelled_tasks_does_not_grow() {
    let queue = Queue::start().await;
    let ids = put(&queue, LONG, task).await;
    let length = || -> usize {
        queue
            .redis
            .command(deadpool_redis::redis::cmd("LLEN").arg(queue.key("fresh:10/default/")))
    };
    let gone = |index: usize| index % 10 != 9;
    let cancelled: Vec<_> = (0..LONG)
        .filter(|index| gone(*index))
        .map(|index| ids[index])
        .collect();
    for batch in cancelled.chunks(100) {
        cancel(&queue, batch).await;
        assert_sound(&queue.redis, "emails");
    }
    let live = LONG / 10;
    assert!(length() <= 2 * live, "{} entries for {live} tasks", length());
    assert_eq!(drain(&queue).await, without(&ids, gone));
    assert_eq!(length(), 0);
}

/// I4: a lane that holds nothing any more leaves the rotation at once.
#[tokio::test]
async fn a_lane_whose_last_task_is_cancelled_leaves_no_trace() {
    let queue = Queue::start().await;
    let ids = put(&queue, 3, || grouped("acme")).await;
    cancel(&queue, &ids).await;
    for key in [
        "turn",
        "heads:acme",
        "names:default",
        "fresh:10/default/acme",
        "stale",
    ] {
        let there: bool = queue
            .redis
            .command(deadpool_redis::redis::cmd("EXISTS").arg(queue.key(key)));
        assert!(!there, "{key}");
    }
}

/// I3 I16: neither is the task made anew, nor is what lies in the list still taken for it.
#[tokio::test]
async fn an_enqueue_repeated_after_its_task_was_cancelled_or_purged_makes_none() {
    let forgetting = QueueConfig {
        keep: Some(Keep::None),
        ..QueueConfig::default()
    };
    let queue = Queue::with(forgetting).await;
    put(&queue, 1_500, task).await;
    let (a, b) = (task(), task());
    queue.enqueue(&[a.clone(), b.clone()]).await;
    put(&queue, 1_500, task).await;
    cancel(&queue, &[a.id]).await;
    let purged = queue
        .call(&PurgeOp {
            only: None,
            ids: &[b.id],
        })
        .await;
    assert_eq!(purged.map(|purged| purged.purged), Ok(1));
    assert!(queue.show(a.id).await.is_none() && queue.show(b.id).await.is_none());
    queue.call(&queue.enqueue_op(&[a.clone(), b.clone()], true)).await;
    assert!(queue.show(a.id).await.is_none() && queue.show(b.id).await.is_none());
    assert_eq!(drain(&queue).await.len(), 3_000);
}

/// I17: its place is what it was, its priority another.
#[tokio::test]
async fn a_changed_priority_keeps_ready_at() {
    let queue = Queue::start().await;
    let ids = put(&queue, LONG, task).await;
    queue.at(5_000);
    for (index, priority) in [(1_500, 11), (1_600, 1), (1_700, 11)] {
        let changed = change(&queue, ids[index], to_priority(priority)).await.unwrap();
        assert_eq!(
            (changed.state, changed.ready_at, u64::from(changed.priority.get())),
            (TaskState::Ready, Millis::new(T0), priority)
        );
        assert_sound(&queue.redis, "emails");
    }
    let order = drain(&queue).await;
    assert_eq!(order[..2], [ids[1_500], ids[1_700]]);
    assert_eq!(order[LONG - 1], ids[1_600]);
    assert_eq!(order.len(), LONG);
}

/// I19: never early, and from then on as if it had been scheduled so.
#[tokio::test]
async fn a_changed_time_moves_a_task_between_scheduled_and_ready() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let later = Millis::new(T0 + 10_000);
    let changed = change(&queue, id, at(When::At(later))).await.unwrap();
    assert_eq!((changed.state, changed.ready_at), (TaskState::Scheduled, later));
    queue.at(9_999);
    queue.sweep().await;
    assert_eq!(queue.lease(1).await.len(), 0);
    for _ in 0..2 {
        let now = change(&queue, id, at(When::Now)).await.unwrap();
        assert_eq!(
            (now.state, now.ready_at),
            (TaskState::Ready, Millis::new(T0 + 9_999))
        );
        queue.at(10_500);
    }
    assert_eq!(queue.lease_one().await.task.id, id);
    assert_eq!(
        change(&queue, id, at(When::Now)).await,
        Err(NotChanged::State(TaskState::Leased))
    );
}

/// I8: what became of its task since was decided by an operator, not by a grant.
#[tokio::test]
async fn a_late_ack_completes_a_task_that_was_put_off_since_and_none_that_was_cancelled() {
    let queue = Queue::start().await;
    put(&queue, 2, task).await;
    let held = queue.lease(2).await;
    queue.at(30_000);
    queue.sweep().await;
    let later = at(When::At(Millis::new(T0 + 60_000)));
    change(&queue, held[0].task.id, later).await.unwrap();
    cancel(&queue, &[held[1].task.id]).await;
    assert_eq!(queue.ack(&held[0].lease).await, Answer::Done(Acked::Late));
    assert_eq!(queue.ack(&held[1].lease).await, Answer::Lost);
    queue.at(60_000);
    queue.sweep().await;
    assert_eq!(queue.lease(2).await.len(), 0);
}

/// I23: a worker that holds it finishes it or nobody does.
#[tokio::test]
async fn a_leased_task_is_asked_to_end_whoever_asks() {
    let queue = Queue::start().await;
    let ids = put(&queue, 2, task).await;
    let held = queue.lease(2).await;
    assert_eq!(cancel(&queue, &ids[..1]).await, [Ok(Cancelled::Requested)]);
    let purged = queue
        .call(&PurgeOp {
            only: None,
            ids: &ids[1..],
        })
        .await;
    let expected = Purged {
        purged: 0,
        cancel_requested: 1,
    };
    assert_eq!(purged, Ok(expected));
    for held in &held {
        let Answer::Done(extended) = queue.extend(&held.lease, None).await else {
            panic!("it is current")
        };
        assert!(extended.cancel_requested);
        queue.nack(&held.lease).await;
        assert_eq!(queue.see(held.task.id).await.state, TaskState::Cancelled);
    }
    queue.at(600_000);
    queue.sweep().await;
    assert_eq!(queue.lease(2).await.len(), 0);
}

/// I5: each is told what became of it, and in which state it was left alone.
#[tokio::test]
async fn a_cancel_leaves_alone_what_is_over_and_what_was_not_meant() {
    let queue = Queue::start().await;
    let ids = put(&queue, 4, task).await;
    let held = queue.lease(3).await;
    queue.ack(&held[0].lease).await;
    queue.nack_with(&held[1].lease, rejection()).await;
    let nobody = task().id;
    let only_ready = CancelOp {
        only: Some(TaskState::Ready),
        ids: &ids,
    };
    let told = queue.call(&only_ready).await.unwrap();
    let refused = |state| Err(NotChanged::State(state));
    let (completed, dead) = (refused(TaskState::Completed), refused(TaskState::Dead));
    let expected = [completed, dead, refused(TaskState::Leased), Ok(Cancelled::Done)];
    assert_eq!(told, expected);
    let told = cancel(&queue, &[ids[0], ids[1], ids[2], ids[3], nobody]).await;
    let expected = [
        completed,
        dead,
        Ok(Cancelled::Requested),
        Ok(Cancelled::Done),
        Err(NotChanged::Unknown),
    ];
    assert_eq!(told, expected);
}

async fn select(queue: &Queue, states: States, group: Option<&str>, deletes: bool) -> Vec<TaskId> {
    let (mut ids, mut cursor) = (Vec::new(), Vec::new());
    loop {
        let op = SelectOp {
            states,
            name: None,
            group,
            deletes,
            limit: 20,
            cursor: &cursor,
        };
        let listed = queue.call(&op).await.expect("the queue exists");
        if deletes {
            let op = PurgeOp {
                only: None,
                ids: &listed.ids,
            };
            queue.call(&op).await.expect("the queue exists");
        }
        ids.extend(listed.ids);
        cursor = listed.cursor;
        if cursor.is_empty() {
            ids.sort();
            return ids;
        }
    }
}

/// I28: pages look at so many entries, and find what is rare nevertheless.
#[tokio::test]
async fn a_filter_finds_each_match_once_among_many_others() {
    let queue = Queue::start().await;
    put(&queue, LONG, task).await;
    let mut rare = put(&queue, 30, || grouped("acme")).await;
    rare.sort();
    let mut scheduled = put(&queue, 150, || delayed(5_000)).await;
    scheduled.sort();
    let ready = States::One(TaskState::Ready);
    assert_eq!(select(&queue, ready, Some("acme"), false).await, rare);
    assert_eq!(
        select(&queue, States::Unfinished, Some("acme"), false).await,
        rare
    );
    let due = States::One(TaskState::Scheduled);
    assert_eq!(select(&queue, due, None, false).await, scheduled);
    assert_eq!(select(&queue, due, Some("acme"), false).await, []);
    assert_eq!(select(&queue, States::Live, None, false).await.len(), LONG + 180);
}

/// I3 I14: what is deleted while it is looked for is looked for once, and all of it.
#[tokio::test]
async fn a_purge_of_everything_misses_nothing_and_counts_nothing_twice() {
    for tasks in [50, 200, LONG] {
        let queue = Queue::start().await;
        let mut ids = put(&queue, tasks, task).await;
        ids.extend(put(&queue, 20, || delayed(5_000)).await);
        let dead = queue.lease_one().await;
        queue.nack_with(&dead.lease, rejection()).await;
        ids.sort();
        assert_eq!(select(&queue, States::Live, None, true).await, ids);
        let counts = queue.overview().await.counts;
        let left = (counts.ready, counts.scheduled, counts.dead, counts.purged_total);
        assert_eq!(left, (0, 0, 0, ids.len() as u64));
    }
}

/// I25: one kind of what is kept goes, the other stays as it was.
#[tokio::test]
async fn finished_tasks_of_one_state_are_discarded_among_those_of_the_other() {
    let queue = Queue::start().await;
    let ids = put(&queue, 20, task).await;
    for pair in ids.chunks(2) {
        cancel(&queue, &pair[..1]).await;
        let held = queue.lease_one().await;
        queue.ack(&held.lease).await;
    }
    let (mut purged, mut skip) = (0, Some(0));
    while let Some(from) = skip {
        let op = DiscardOp {
            only: Some(TaskState::Completed),
            skip: from,
            limit: 3,
        };
        let discarded = queue.call(&op).await.unwrap();
        purged += discarded.purged;
        skip = discarded.skip;
        assert_sound(&queue.redis, "emails");
    }
    assert_eq!(purged, 10);
    assert_eq!(queue.list(TaskState::Completed, 10).await, []);
    assert_eq!(queue.list(TaskState::Cancelled, 3).await.len(), 10);
    let counts = queue.overview().await.counts;
    assert_eq!(
        (
            counts.completed_total,
            counts.cancelled_total,
            counts.purged_total
        ),
        (10, 10, 0)
    );
}

async fn delete(queue: &Queue, what: What, lanes: usize) -> DeleteStep {
    queue.call(&DeleteOp { what, lanes }).await
}

/// I1: nobody loses tasks by a slip.
#[tokio::test]
async fn a_queue_with_tasks_is_deleted_only_on_purpose() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let before = queue.snapshot();
    let step = delete(&queue, What::Empty, 10).await;
    assert_eq!(step.deleted, Deleted::Filled { tasks: 1 });
    assert_eq!(queue.snapshot(), before);
    assert_eq!(delete(&queue, What::Rest, 10).await.deleted, Deleted::Absent);
    assert_eq!(queue.snapshot(), before, "the rest is not the queue");
    let step = delete(&queue, What::Filled, 10).await;
    let expected = DeleteStep {
        deleted: Deleted::Done { tasks: 1 },
        again: true,
    };
    assert_eq!(step, expected);
    let expected = DeleteStep {
        deleted: Deleted::Absent,
        again: false,
    };
    assert_eq!(delete(&queue, What::Rest, 10).await, expected);
    assert_eq!(delete(&queue, What::Filled, 10).await, expected);
}

/// I5 I28: it is absent from the first step on, and nothing is left after the last, however many lanes it
/// had.
#[tokio::test]
async fn a_deleted_queue_is_gone_at_once_and_its_lanes_in_steps() {
    let queue = Queue::start().await;
    for group in 0..25 {
        put(&queue, 3, || grouped(&format!("g{group}"))).await;
    }
    let held = queue.lease(4).await;
    queue.ack(&held[0].lease).await;
    queue.nack(&held[1].lease).await;
    queue
        .release(&held[2].lease, leaseq::domain::settle::RetryAfter::None)
        .await;
    let mut step = delete(&queue, What::Filled, 5).await;
    assert_eq!(step.deleted, Deleted::Done { tasks: 74 });
    let mut steps = 1;
    while step.again {
        assert_eq!(
            queue.call(&leaseq::store::ops::overview::OverviewOp).await,
            Err(Absent)
        );
        step = delete(&queue, What::Rest, 5).await;
        steps += 1;
    }
    assert!((4..=12).contains(&steps), "{steps}");
    let left: Vec<String> = queue
        .redis
        .command(deadpool_redis::redis::cmd("KEYS").arg(queue.key("*")));
    assert!(left.is_empty(), "{left:?}");
}

/// I5 I24: a new queue of that name has nothing of the old one: no task, no lease, no version.
#[tokio::test]
async fn a_queue_made_anew_while_the_old_one_is_cleared_begins_empty() {
    let mut queue = Queue::start().await;
    for group in 0..600 {
        queue.put(grouped(&format!("g{group}"))).await;
    }
    let held = queue.lease_one().await;
    queue.configure(QueueConfig::default()).await;
    assert!(delete(&queue, What::Filled, 1).await.again);
    let config = QueueConfig::default();
    let op = ConfigureOp {
        expected: Some(0),
        create: true,
        config: &config,
    };
    assert_eq!(queue.call(&op).await, Configured::Clearing);
    queue.at(1_000);
    let mut made = queue.call(&op).await;
    while made == Configured::Clearing {
        made = queue.call(&op).await;
    }
    let expected = Configured::Done {
        version: T0 + 1_000,
        created: true,
        reorder: false,
    };
    assert_eq!(made, expected);
    assert_sound(&queue.redis, "emails");
    assert_eq!(queue.overview().await.counts.accepted_total, 0);
    assert_eq!(queue.ack(&held.lease).await, Answer::Unknown);
    assert_eq!(queue.lease(10).await.len(), 0);
}

/// I1 I28: a deletion that was interrupted is finished by whoever sweeps.
#[tokio::test]
async fn a_sweep_clears_what_an_interrupted_deletion_left() {
    let queue = Queue::start().await;
    for group in 0..10 {
        queue.put(grouped(&format!("g{group}"))).await;
    }
    assert!(delete(&queue, What::Filled, 1).await.again);
    let op = leaseq::store::ops::sweep::SweepOp {
        replica: REPLICA.into(),
        limit: 10,
    };
    assert_eq!(queue.call(&op).await, Err(Absent));
    let left: Vec<String> = queue
        .redis
        .command(deadpool_redis::redis::cmd("KEYS").arg(queue.key("*")));
    assert!(left.is_empty(), "{left:?}");
}

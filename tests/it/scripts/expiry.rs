//! Expiry: nobody is granted a task from its `expires_at` on; it becomes a dead letter, exactly once.

use deadpool_redis::redis::cmd;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::task::{AttemptOutcome, DeadReason};
use leaseq::domain::{Expiry, Lease, Millis, NewTask, Start, TaskId, TaskState};
use leaseq::store::ops::Answer;
use leaseq::store::ops::ack::Acked;
use leaseq::store::ops::lease::{Grants, LeaseReply, Wish};
use leaseq::store::ops::sweep::SweepOp;

use crate::support::queue::{
    Held, Queue, REPLICA, T0, delayed, failure, failure_after, grouped, named, rejection, task,
};

fn at(ms: u64) -> Option<Millis> {
    Some(Millis::new(T0 + ms))
}

/// Expires so long after acceptance.
fn expiring(ms: u64) -> NewTask {
    NewTask {
        expiry: Some(Expiry::After(ms)),
        ..task()
    }
}

fn ids(held: &[Held]) -> Vec<TaskId> {
    held.iter().map(|held| held.task.id).collect()
}

/// The task is a dead letter for having expired, after so many failed attempts.
async fn assert_expired(queue: &Queue, id: TaskId, attempts: u16) {
    let seen = queue.see(id).await;
    assert_eq!(
        (seen.state, seen.reason, seen.attempt),
        (TaskState::Dead, Some(DeadReason::Expired), attempts)
    );
    assert_eq!(queue.list(TaskState::Dead, 10).await, [id]);
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.counts.ready,
            overview.counts.scheduled,
            overview.counts.leased,
            overview.counts.dead
        ),
        (0, 0, 0, 1)
    );
}

/// Ids in the index of what expires.
fn indexed(queue: &Queue) -> usize {
    queue.redis.command(cmd("ZCARD").arg(queue.key("expiry")))
}

#[tokio::test]
async fn a_task_is_granted_until_it_expires_and_not_from_then_on() {
    for (ms, granted) in [(4_999, 1), (5_000, 0), (5_001, 0)] {
        let queue = Queue::start().await;
        let id = queue.put(expiring(5_000)).await;
        assert_eq!(queue.see(id).await.expires_at, at(5_000));
        queue.at(ms);
        let held = queue.lease(1).await;
        assert_eq!(held.len(), granted, "after {ms} ms");
        if let [held] = &held[..] {
            assert_eq!(held.task.expires_at, at(5_000), "the worker can see it");
            continue;
        }
        queue.sweep().await;
        assert_expired(&queue, id, 0).await;
    }
}

#[tokio::test]
async fn a_task_expires_at_an_instant_and_while_it_is_scheduled() {
    let queue = Queue::start().await;
    let id = queue
        .put(NewTask {
            expiry: Some(Expiry::At(Millis::new(T0 + 3_000))),
            ..delayed(60_000)
        })
        .await;
    queue.at(2_999);
    queue.sweep().await;
    assert_eq!(queue.see(id).await.state, TaskState::Scheduled);
    queue.at(3_000);
    queue.sweep().await;
    assert_expired(&queue, id, 0).await;
}

/// It was late on its way: that is for an operator to see, not for the producer to be refused.
#[tokio::test]
async fn a_task_that_has_expired_when_it_is_accepted_becomes_a_dead_letter() {
    let queue = Queue::start().await;
    let past = NewTask {
        expiry: Some(Expiry::At(Millis::new(T0 - 1))),
        ..task()
    };
    let id = queue.put(past).await;
    assert!(queue.lease(1).await.is_empty());
    queue.sweep().await;
    assert_expired(&queue, id, 0).await;
}

#[tokio::test]
async fn a_task_that_is_due_and_expired_at_once_is_never_ready() {
    let queue = Queue::start().await;
    let id = queue
        .put(NewTask {
            start: Start::After(1_000),
            ..expiring(2_000)
        })
        .await;
    queue.at(2_000);
    assert_eq!(queue.sweep().await.came_due, 0);
    assert_expired(&queue, id, 0).await;
}

/// I19, from the other side: whatever a sweep is too busy to bury does not become ready on the way.
#[tokio::test]
async fn a_sweep_makes_nothing_ready_that_has_expired_already() {
    let queue = Queue::start().await;
    let scheduled = NewTask {
        start: Start::After(1_000),
        ..expiring(2_000)
    };
    let id = scheduled.id;
    queue.enqueue(&[expiring(1_500), scheduled]).await;
    queue.at(2_000);
    let op = SweepOp {
        replica: REPLICA.into(),
        limit: 1,
    };
    assert_eq!(queue.call(&op).await.unwrap().came_due, 0);
    assert_eq!(queue.see(id).await.reason, Some(DeadReason::Expired));
    assert_eq!(queue.overview().await.counts.dead, 2);
}

/// Those that have expired are in nobody's way, though no sweep came by.
#[tokio::test]
async fn expired_tasks_do_not_hold_up_those_behind_them() {
    let queue = Queue::start().await;
    let old: Vec<_> = (0..200).map(|_| expiring(1_000)).collect();
    let (other_lane, other_group) = (named("report"), grouped("acme"));
    let live = [task(), other_lane, other_group];
    queue.enqueue(&old).await;
    queue.enqueue(&live).await;
    queue.at(1_000);
    let mut granted = Vec::new();
    for _ in 0..3 {
        granted.extend(ids(&queue.lease(1).await));
    }
    granted.sort();
    let mut expected: Vec<_> = live.iter().map(|task| task.id).collect();
    expected.sort();
    assert_eq!(granted, expected);
    assert!(queue.lease(10).await.is_empty());
    while queue
        .sweep()
        .await
        .next_at
        .is_some_and(|at| at.get() <= T0 + 1_000)
    {}
    assert_eq!(queue.overview().await.counts.dead, 200);
}

/// I28: a call looks at a bounded number of them, and says that another is due.
#[tokio::test]
async fn a_lease_that_meets_too_many_expired_tasks_asks_for_another_call() {
    let queue = Queue::start().await;
    for _ in 0..6 {
        let old: Vec<_> = (0..256).map(|_| expiring(1_000)).collect();
        queue.enqueue(&old).await;
    }
    let live = queue.put(task()).await;
    queue.at(1_000);
    let wishes = [Wish {
        tasks: 1,
        ..Wish::default()
    }];
    let mut calls = 0;
    let granted = loop {
        calls += 1;
        let granted = queue.call(&queue.lease_op(&[], &wishes)).await;
        let LeaseReply::Tasks(Grants { again, grants, .. }) = &granted else {
            panic!("{granted:?}")
        };
        if !grants.is_empty() {
            break queue.open(granted);
        }
        assert!(again, "there is more behind");
    };
    assert_eq!((ids(&granted), calls), (vec![live], 2));
    for _ in 0..6 {
        queue.sweep().await;
    }
    assert_eq!(queue.overview().await.counts.dead, 1536);
}

/// Those who wait are told when to look; a sweep moves so many, the longest expired first.
#[tokio::test]
async fn a_sweep_buries_a_bounded_number_and_says_when_to_look_again() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = [3_000, 1_000, 2_000].map(expiring).into();
    queue.enqueue(&tasks).await;
    assert_eq!(queue.sweep().await.next_at, at(1_000));
    let wishes = [Wish::default()];
    let LeaseReply::Tasks(Grants { next_at, .. }) = queue.call(&queue.lease_op(&[], &wishes)).await else {
        panic!("absent")
    };
    assert_eq!(next_at, at(1_000));

    queue.at(2_500);
    let op = SweepOp {
        replica: REPLICA.into(),
        limit: 1,
    };
    for (next_at, buried) in [(at(2_000), 1), (at(3_000), 2), (at(3_000), 0)] {
        assert_eq!(queue.call(&op).await.unwrap().next_at, next_at);
        if buried > 0 {
            assert_eq!(queue.see(tasks[buried].id).await.state, TaskState::Dead);
        }
    }
    assert_eq!(queue.see(tasks[0].id).await.state, TaskState::Ready);
}

/// I12: what is leased is its worker's until the lease ends, and then it does not come back.
#[tokio::test]
async fn a_running_lease_may_be_acked_and_extended_past_the_expiry() {
    let queue = Queue::start().await;
    queue.put(expiring(1_000)).await;
    let held = queue.lease_one().await;
    queue.at(20_000);
    queue.sweep().await;
    assert!(matches!(queue.extend(&held.lease, None).await, Answer::Done(_)));
    queue.at(45_000);
    assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Done));
}

#[tokio::test]
async fn a_task_past_its_expiry_does_not_come_back_from_a_worker() {
    enum End {
        Nack,
        NackAfter,
        Release,
        Defer,
        GiveBack,
        RunOut,
    }
    for (end, attempts) in [
        (End::Nack, 1),
        (End::NackAfter, 1),
        (End::Release, 0),
        (End::Defer, 0),
        (End::GiveBack, 0),
        (End::RunOut, 1),
    ] {
        let queue = Queue::start().await;
        let id = queue.put(expiring(1_000)).await;
        let lease = &queue.lease_one().await.lease;
        queue.at(1_000);
        match end {
            End::Nack => assert_dead(queue.nack(lease).await, |done| done.state),
            End::NackAfter => assert_dead(queue.nack_with(lease, failure_after(0)).await, |done| done.state),
            End::Release => assert_dead(queue.release(lease, RetryAfter::None).await, |done| done.state),
            End::Defer => assert_dead(queue.release(lease, RetryAfter::Ms(9)).await, |done| done.state),
            End::GiveBack => assert_dead(queue.give_back(lease).await, |done| done.state),
            End::RunOut => {
                queue.at(30_000);
                queue.sweep().await;
                let attempt = queue.see(id).await.attempts.remove(0);
                assert_eq!(attempt.outcome, AttemptOutcome::LeaseExpired);
            }
        }
        assert_expired(&queue, id, attempts).await;
        // Nobody ever had the one that was given back.
        let expected = match end {
            End::GiveBack => Answer::Unknown,
            _ => Answer::Lost,
        };
        assert_eq!(queue.ack(lease).await, expected);
    }
}

#[track_caller]
fn assert_dead<T: std::fmt::Debug>(answer: Answer<T>, state: impl Fn(&T) -> TaskState) {
    match &answer {
        Answer::Done(done) if state(done) == TaskState::Dead => {}
        other => panic!("{other:?}"),
    }
}

/// The reason is the event that ended the task, not the one that would have come next.
#[tokio::test]
async fn a_rejected_or_exhausted_task_is_not_called_expired() {
    for (max_attempts, nack, reason) in [
        (1, failure(), DeadReason::AttemptsExhausted),
        (5, rejection(), DeadReason::Rejected),
    ] {
        let queue = Queue::start().await;
        let id = queue
            .put(NewTask {
                max_attempts: Some(max_attempts),
                ..expiring(1_000)
            })
            .await;
        let held = queue.lease_one().await;
        queue.at(1_000);
        queue.nack_with(&held.lease, nack).await;
        assert_eq!(queue.see(id).await.reason, Some(reason));
    }
}

/// A task that failed in time waits for its next attempt, and may expire meanwhile.
#[tokio::test]
async fn a_task_that_comes_back_in_time_may_still_expire() {
    for by_lease in [false, true] {
        let queue = Queue::start().await;
        let id = queue.put(expiring(40_000)).await;
        assert_eq!(indexed(&queue), 1);
        let held = queue.lease_one().await;
        assert_eq!(indexed(&queue), 0, "what is leased does not expire");
        if by_lease {
            queue.at(30_000);
            queue.sweep().await;
        } else {
            queue.nack_with(&held.lease, failure_after(60_000)).await;
        }
        assert_eq!(indexed(&queue), 1);
        queue.at(40_000);
        queue.sweep().await;
        assert_expired(&queue, id, 1).await;
    }
}

/// I8: decided by data, not by the sweeper's timing.
#[tokio::test]
async fn a_late_ack_of_an_expired_task_is_lost_before_and_after_the_sweep() {
    for (swept_at, acked_at, expected) in [
        (None, 39_999, Answer::Done(Acked::Late)),
        (None, 40_000, Answer::Lost),
        (Some(30_000), 39_999, Answer::Done(Acked::Late)),
        (Some(30_000), 40_000, Answer::Lost),
        (Some(40_000), 40_000, Answer::Lost),
    ] {
        let queue = Queue::start().await;
        let id = queue.put(expiring(40_000)).await;
        let lease: Lease = queue.lease_one().await.lease;
        if let Some(ms) = swept_at {
            queue.at(ms);
            queue.sweep().await;
        }
        queue.at(acked_at);
        assert_eq!(queue.ack(&lease).await, expected, "{swept_at:?} {acked_at}");
        queue.sweep().await;
        let state = queue.see(id).await.state;
        let dead = expected == Answer::Lost;
        assert_eq!(
            state == TaskState::Dead,
            dead,
            "{swept_at:?} {acked_at}: {state:?}"
        );
        assert_eq!(indexed(&queue), 0, "nothing is left in the index");
    }
}

/// An index entry alone decides nothing.
#[tokio::test]
async fn an_entry_of_the_index_that_outlived_its_task_moves_nothing() {
    let queue = Queue::start().await;
    let leased = queue.put(task()).await;
    let held = queue.lease_one().await;
    let done = queue.put(task()).await;
    queue.ack(&queue.lease_one().await.lease).await;
    let gone = task().id;
    for id in [leased, done, gone] {
        let _: u64 = queue
            .redis
            .command(cmd("ZADD").arg(queue.key("expiry")).arg(T0).arg(id.as_bytes()));
    }
    queue.at(1);
    queue.sweep().await;
    assert_eq!(indexed(&queue), 0);
    assert_eq!(queue.overview().await.counts.dead, 0);
    assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Done));
}

/// I14
#[tokio::test]
async fn dead_letters_keep_within_their_bound_when_many_expire() {
    let queue = Queue::with(QueueConfig {
        dead_max_size: Some(2),
        ..QueueConfig::default()
    })
    .await;
    let tasks: Vec<_> = (1..=5).map(|n| expiring(n * 1_000)).collect();
    queue.enqueue(&tasks).await;
    for n in 1..=5 {
        queue.at(n * 1_000);
        queue.sweep().await;
    }
    let overview = queue.overview().await;
    assert_eq!((overview.counts.dead, overview.counts.dead_evicted_total), (2, 3));
    assert_eq!(queue.list(TaskState::Dead, 10).await, [tasks[4].id, tasks[3].id]);
}

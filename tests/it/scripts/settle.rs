//! Ack, nack, release and give-back: one grant, one end.

use leaseq::domain::queue::QueueConfig;
use leaseq::domain::settle::{Ack, RetryAfter};
use leaseq::domain::task::{AttemptOutcome, DeadReason};
use leaseq::domain::{Lease, Millis, NewTask, TaskState};
use leaseq::store::ops::ack::{AckOp, Acked};
use leaseq::store::ops::nack::{NackOp, Nacked};
use leaseq::store::ops::release::Released;
use leaseq::store::ops::{Absent, Answer};

use crate::support::queue::{
    HALF, Queue, REPLICA, T0, delayed, failure, failure_after, one, rejection, task,
};
use crate::support::redis::queue as other_queue;

fn at(ms: u64) -> Option<Millis> {
    Some(Millis::new(T0 + ms))
}

fn attempts(max_attempts: u16) -> NewTask {
    NewTask {
        max_attempts: Some(max_attempts),
        ..task()
    }
}

fn nacked(state: TaskState, attempt: u16, attempts_left: u16, next_at: Option<Millis>) -> Answer<Nacked> {
    Answer::Done(Nacked {
        already: false,
        state,
        attempt,
        attempts_left,
        next_at,
        expires_at: None,
    })
}

fn released(state: TaskState, run_at: Option<Millis>) -> Answer<Released> {
    Answer::Done(Released {
        already: false,
        state,
        run_at,
        expires_at: None,
    })
}

/// I10: an acked task is granted to nobody again, whatever time does.
#[tokio::test]
async fn an_acked_task_is_never_granted_again() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let held = queue.lease_one().await;
    assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Done));
    for ms in [0, 30_000, 60_000] {
        queue.at(ms);
        queue.sweep().await;
        assert_eq!(queue.lease(10).await.len(), 0);
    }
}

/// I10: a sweep that begins before an ack and runs behind it moves nothing.
#[tokio::test]
async fn a_sweep_looks_again_at_what_it_moves() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let held = queue.lease_one().await;
    queue.at(30_000);
    assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Late));
    let swept = queue.sweep().await;
    assert_eq!((swept.expired, swept.next_at), (0, None));
}

/// I8: late is accepted until somebody else was granted the task, and a sweep makes no difference.
#[tokio::test]
async fn a_late_ack_completes_a_task_that_nobody_was_granted_since() {
    for sweep in [false, true] {
        let queue = Queue::start().await;
        let id = queue.put(task()).await;
        let held = queue.lease_one().await;
        queue.at(3_600_000);
        if sweep {
            queue.sweep().await;
        }
        let told = queue.ack_with(&held.lease, Some("1")).await;
        assert_eq!(told, Answer::Done(Acked::Late), "swept: {sweep}");
        assert_eq!(queue.see(id).await.state, TaskState::Completed);
        assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Already));
        assert_eq!(queue.lease(1).await.len(), 0);
    }
}

/// I8
#[tokio::test]
async fn a_late_ack_is_refused_once_the_task_was_granted_again() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let first = queue.lease_one().await;
    queue.at(30_000);
    queue.sweep().await;
    let second = queue.lease_one().await;
    assert_eq!(queue.ack(&first.lease).await, Answer::Lost);
    queue.at(60_000);
    assert_eq!(queue.ack(&first.lease).await, Answer::Lost, "both have run out");
    queue.sweep().await;
    assert_eq!(queue.ack(&first.lease).await, Answer::Lost);
    let by_chance = Lease {
        nonce: second.lease.nonce,
        ..first.lease
    };
    assert_eq!(
        queue.ack(&by_chance).await,
        Answer::Lost,
        "nonces may repeat, grants do not"
    );
    assert_eq!(queue.ack(&second.lease).await, Answer::Done(Acked::Late));
    assert_eq!(queue.see(id).await.grant, 2);
}

/// I8: from its end on, a lease of the last attempt is over.
#[tokio::test]
async fn a_late_ack_of_the_last_attempt_is_lost_before_and_after_the_sweep() {
    let queue = Queue::start().await;
    let id = queue.put(attempts(1)).await;
    let held = queue.lease_one().await;
    queue.at(30_000);
    assert_eq!(queue.ack(&held.lease).await, Answer::Lost);
    queue.sweep().await;
    assert_eq!(queue.ack(&held.lease).await, Answer::Lost);
    assert_eq!(queue.see(id).await.reason, Some(DeadReason::AttemptsExhausted));
}

/// I8: in time is in time to the millisecond.
#[tokio::test]
async fn an_ack_in_the_last_millisecond_is_not_late() {
    let queue = Queue::start().await;
    queue.put(attempts(1)).await;
    let held = queue.lease_one().await;
    queue.at(29_999);
    assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Done));
}

/// I7: a genuine lease of an older grant changes nothing; neither does the same grant with another nonce.
#[tokio::test]
async fn only_the_current_grant_settles() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let older = queue.lease_one().await.lease;
    queue.nack_with(&older, failure_after(0)).await;
    let current = queue.lease_one().await.lease;
    let forged = Lease {
        nonce: current.nonce ^ 1,
        ..current.clone()
    };
    let ahead = Lease {
        grant: 3,
        ..current.clone()
    };
    let before = queue.snapshot();
    for other in [&older, &forged, &ahead] {
        assert_eq!(queue.ack(other).await, Answer::Lost);
        assert_eq!(queue.extend(other, Some(60_000)).await, Answer::Lost);
        assert_eq!(queue.release(other, RetryAfter::None).await, Answer::Lost);
        assert_eq!(queue.give_back(other).await, Answer::Lost);
    }
    assert_eq!(queue.nack(&forged).await, Answer::Lost);
    assert_eq!(queue.nack(&ahead).await, Answer::Lost);
    assert!(matches!(
        queue.nack(&older).await,
        Answer::Done(Nacked { already: true, .. })
    ));
    assert_eq!(queue.snapshot(), before);
    assert_eq!(queue.ack(&current).await, Answer::Done(Acked::Done));
    assert_eq!(queue.see(id).await.grant, 2);
}

/// I7: the same for a first grant, which leaves no mutable part.
#[tokio::test]
async fn a_first_grant_is_proven_by_its_nonce_too() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let current = queue.lease_one().await.lease;
    let forged = Lease {
        nonce: current.nonce ^ 1,
        ..current.clone()
    };
    let ahead = Lease {
        grant: 2,
        ..current.clone()
    };
    for other in [&forged, &ahead] {
        assert_eq!(queue.ack(other).await, Answer::Lost);
        assert_eq!(queue.nack(other).await, Answer::Lost);
        assert_eq!(queue.extend(other, None).await, Answer::Lost);
        assert_eq!(queue.give_back(other).await, Answer::Lost);
    }
    assert_eq!(queue.ack(&current).await, Answer::Done(Acked::Done));
}

/// I7: of a queue or task that is not there.
#[tokio::test]
async fn a_lease_of_nothing_is_unknown() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let held = queue.lease_one().await;
    let stranger = Lease {
        task: task().id,
        ..held.lease.clone()
    };
    assert_eq!(queue.ack(&stranger).await, Answer::Unknown);
    assert_eq!(queue.nack(&stranger).await, Answer::Unknown);
    assert_eq!(queue.extend(&stranger, None).await, Answer::Unknown);
    assert_eq!(queue.release(&stranger, RetryAfter::None).await, Answer::Unknown);
    let (_, nowhere) = other_queue("nobody");
    let op = AckOp(vec![(held.lease.clone(), Ack::default())]);
    assert_eq!(queue.store.call(&nowhere, &op).await.unwrap(), Err(Absent));
}

/// I29: each item of a call gets its own answer.
#[tokio::test]
async fn a_bad_item_of_a_batch_fails_alone() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task(), task()]).await;
    let held = queue.lease(3).await;
    queue.nack(&held[1].lease).await;
    let stranger = Lease {
        task: task().id,
        ..held[0].lease.clone()
    };
    let items: Vec<_> = [&held[0].lease, &held[1].lease, &stranger, &held[2].lease]
        .into_iter()
        .map(|lease| (lease.clone(), Ack::default()))
        .collect();
    assert_eq!(
        queue.call(&AckOp(items)).await.unwrap().answers,
        [
            Answer::Done(Acked::Done),
            Answer::Lost,
            Answer::Unknown,
            Answer::Done(Acked::Done)
        ]
    );
}

/// I12: a task is tried `max_attempts` times and no more, however the attempts fail.
#[tokio::test]
async fn the_last_failed_attempt_makes_exactly_one_dead_letter() {
    let queue = Queue::start().await;
    let id = queue.put(attempts(3)).await;
    let first = queue.lease_one().await;
    assert_eq!(first.task.attempt, 1);
    let told = queue.nack_with(&first.lease, failure_after(0)).await;
    assert_eq!(told, nacked(TaskState::Ready, 1, 2, at(0)));
    let second = queue.lease_one().await;
    assert_eq!(
        (second.task.attempt, second.task.last_error.unwrap().kind),
        (2, "error".to_owned())
    );
    queue.at(30_000);
    queue.sweep().await;
    let third = queue.lease_one().await;
    let error = third.task.last_error.unwrap();
    assert_eq!((third.task.attempt, error.kind), (3, "lease_expired".to_owned()));
    assert_eq!(
        queue.nack(&third.lease).await,
        nacked(TaskState::Dead, 3, 0, None)
    );
    let shown = queue.see(id).await;
    assert_eq!((shown.attempt, shown.grant), (3, 3));
    assert_eq!(shown.reason, Some(DeadReason::AttemptsExhausted));
    let outcomes: Vec<_> = shown.attempts.iter().map(|attempt| attempt.outcome).collect();
    let (n, e) = (AttemptOutcome::Nacked, AttemptOutcome::LeaseExpired);
    assert_eq!(outcomes, [n, e, n]);
    queue.at(3_600_000);
    queue.sweep().await;
    assert_eq!(queue.lease(1).await.len(), 0);
    assert_eq!(queue.list(TaskState::Dead, 10).await, [id]);
}

/// I12: releases and give-backs spend no attempt; grant numbers rise all the same.
#[tokio::test]
async fn releases_and_give_backs_are_not_counted_and_no_grant_number_comes_twice() {
    let queue = Queue::start().await;
    let id = queue.put(attempts(1)).await;
    for grant in 1..=9 {
        let held = queue.lease_one().await;
        assert_eq!((held.task.attempt, held.task.grant), (1, grant));
        let state = match grant % 3 {
            0 => queue.give_back(&held.lease).await,
            1 => queue.release(&held.lease, RetryAfter::None).await,
            _ => queue.release(&held.lease, RetryAfter::Ms(0)).await,
        };
        assert_eq!(state, released(TaskState::Ready, None));
    }
    let held = queue.lease_one().await;
    assert_eq!((held.task.grant, held.task.deferrals), (10, 3));
    queue.ack(&held.lease).await;
    assert_eq!(queue.see(id).await.attempts, []);
}

/// I12
#[tokio::test]
async fn a_rejected_task_is_dead_at_once() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let held = queue.lease_one().await;
    let told = queue.nack_with(&held.lease, rejection()).await;
    assert_eq!(told, nacked(TaskState::Dead, 1, 0, None));
    let shown = queue.see(id).await;
    assert_eq!(
        (shown.reason, shown.finished_at),
        (Some(DeadReason::Rejected), at(0))
    );
}

/// I13: the delay is `base * factor^(attempt - 1)` at most, bounded, and never overflows.
#[tokio::test]
async fn backoff_doubles_up_to_its_bound_and_the_jitter_stays_within() {
    let queue = Queue::start().await;
    queue.put(attempts(1000)).await;
    let mut now = 0;
    for attempt in 1..=80u32 {
        let held = queue.lease_one().await;
        let bound = 1_000 * 2u64.saturating_pow(attempt - 1).min(300);
        let bound = bound.min(300_000);
        let chance = [0, 1, HALF, 999_999][attempt as usize % 4];
        let op = NackOp {
            replica: REPLICA.into(),
            items: vec![(held.lease.clone(), failure())],
            chances: vec![chance],
        };
        let Answer::Done(told) = one(queue.call(&op).await) else {
            panic!("attempt {attempt}")
        };
        let delay = told.next_at.unwrap().get() - T0 - now;
        assert_eq!(delay, bound * u64::from(chance) / 1_000_000, "attempt {attempt}");
        // I19: not a millisecond early.
        if delay > 0 {
            queue.at(now + delay - 1);
            queue.sweep().await;
            assert_eq!(queue.lease(1).await.len(), 0, "attempt {attempt}");
        }
        now += delay;
        queue.at(now);
        queue.sweep().await;
    }
}

/// I19: no way of coming back is early, and the sweep that finds a task due makes it ready.
#[tokio::test]
async fn what_is_to_wait_is_ready_at_its_time_and_not_before() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task(), task()]).await;
    let held = queue.lease(3).await;
    let told = queue.nack_with(&held[0].lease, failure_after(5_000)).await;
    assert_eq!(told, nacked(TaskState::Scheduled, 1, 4, at(5_000)));
    let told = queue.release(&held[1].lease, RetryAfter::Ms(5_000)).await;
    assert_eq!(told, released(TaskState::Scheduled, at(5_000)));
    let told = queue
        .release(&held[2].lease, RetryAfter::At(Millis::new(T0 + 5_000)))
        .await;
    assert_eq!(told, released(TaskState::Scheduled, at(5_000)));
    queue.enqueue(&[delayed(5_000)]).await;
    queue.at(4_999);
    assert_eq!(queue.sweep().await.next_at, at(5_000));
    assert_eq!(queue.lease(9).await.len(), 0);
    queue.at(5_000);
    assert_eq!(queue.sweep().await.came_due, 4);
    let again = queue.lease(9).await;
    assert_eq!(again.len(), 4);
    assert!(
        again
            .iter()
            .all(|held| held.task.ready_at == Millis::new(T0 + 5_000))
    );
}

/// I12: one deferral too many is a failed attempt, delayed by the larger of backoff and `retry_after`.
#[tokio::test]
async fn deferrals_are_counted_and_one_too_many_is_a_failed_attempt() {
    let config = QueueConfig {
        max_deferrals: Some(1),
        ..QueueConfig::default()
    };
    for (retry_after, run_at) in [(200, at(500)), (900, at(900))] {
        let queue = Queue::with(config.clone()).await;
        let id = queue.put(attempts(2)).await;
        let held = queue.lease_one().await;
        queue.release(&held.lease, RetryAfter::Ms(0)).await;
        let held = queue.lease_one().await;
        // Half of the first backoff is 500 ms.
        let told = queue.release(&held.lease, RetryAfter::Ms(retry_after)).await;
        assert_eq!(told, released(TaskState::Scheduled, run_at));
        let shown = queue.see(id).await;
        assert_eq!((shown.attempt, shown.deferrals), (1, 2));
        assert_eq!(shown.attempts[0].outcome, AttemptOutcome::DeferralsExhausted);
        assert_eq!(shown.attempts[0].error.kind, "deferrals_exhausted");
        queue.at(1_000);
        queue.sweep().await;
        let held = queue.lease_one().await;
        let told = queue.release(&held.lease, RetryAfter::Ms(0)).await;
        assert_eq!(told, released(TaskState::Dead, None));
    }
}

/// I6: at its old place, whatever it was waiting for in between.
#[tokio::test]
async fn a_released_task_stands_where_it_stood() {
    let queue = Queue::start().await;
    let first = queue.put(task()).await;
    queue.at(1);
    queue.put(task()).await;
    for _ in 0..3 {
        let held = queue.lease_one().await;
        assert_eq!((held.task.id, held.task.ready_at), (first, Millis::new(T0)));
        queue.release(&held.lease, RetryAfter::None).await;
        let held = queue.lease_one().await;
        assert_eq!(held.task.id, first);
        queue.give_back(&held.lease).await;
    }
}

/// I12: the service takes back what its caller never got, also when it has run out meanwhile.
#[tokio::test]
async fn a_give_back_of_a_lease_that_ran_out_is_not_counted_either() {
    let queue = Queue::start().await;
    let id = queue.put(attempts(1)).await;
    let held = queue.lease_one().await;
    queue.at(30_000);
    assert_eq!(queue.release(&held.lease, RetryAfter::None).await, Answer::Lost);
    assert_eq!(
        queue.give_back(&held.lease).await,
        released(TaskState::Ready, None)
    );
    assert_eq!(queue.see(id).await.attempt, 0);
}

/// I6: ready again at the moment of expiry, without backoff, in front of what became ready later.
#[tokio::test]
async fn a_task_whose_lease_ran_out_is_ready_since_then() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    queue.lease_one().await;
    queue.at(29_999);
    assert_eq!(queue.sweep().await.expired, 0);
    queue.at(30_001);
    queue.put(task()).await;
    queue.at(40_000);
    assert_eq!(queue.sweep().await.expired, 1);
    let held = queue.lease_one().await;
    assert_eq!((held.task.id, held.task.grant, held.task.attempt), (id, 2, 2));
    assert_eq!(held.task.ready_at, Millis::new(T0 + 30_000));
    assert_eq!(queue.overview().await.counts.leases_expired_total, 1);
}

/// I28: a sweep moves what it is allowed to and says that there is more.
#[tokio::test]
async fn a_sweep_moves_no_more_than_its_limit_and_says_that_more_is_due() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..5)
        .map(|_| task())
        .chain((0..5).map(|_| delayed(1_000)))
        .collect();
    queue.enqueue(&tasks).await;
    queue.lease(5).await;
    queue.at(60_000);
    for left in [3, 1] {
        let op = leaseq::store::ops::sweep::SweepOp {
            replica: REPLICA.into(),
            limit: 2,
        };
        let swept = queue.call(&op).await.unwrap();
        assert_eq!((swept.expired, swept.came_due), (2, 2));
        assert!(swept.next_at.unwrap() < swept.now, "{left} more of each");
    }
    assert_eq!(queue.sweep().await.next_at, None);
    assert_eq!(queue.overview().await.counts.ready, 10);
}

/// I4: any replica may sweep, twice at once is harmless.
#[tokio::test]
async fn a_second_sweep_finds_nothing_to_do() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task(), delayed(1_000)]).await;
    queue.lease(1).await;
    queue.at(60_000);
    queue.sweep().await;
    let before = queue.snapshot();
    let swept = queue.sweep().await;
    assert_eq!((swept.expired, swept.came_due, swept.next_at), (0, 0, None));
    assert_eq!(queue.snapshot(), before);
}

/// I7 I12: Redis comes back with an older state, and hands out the same grant number again; the lease of
/// before is not that of after.
#[tokio::test]
async fn a_lease_from_before_redis_lost_its_latest_writes_settles_nothing() {
    for worker in [None, Some("w".to_owned())] {
        let queue = Queue::start().await;
        queue.put(task()).await;
        let wish = leaseq::store::ops::lease::Wish {
            tasks: 1,
            worker,
            ..Default::default()
        };
        let older = queue.snapshot();
        let before = queue.lease_as(wish.clone(), &[]).await.remove(0);
        queue.restore(&older);
        let after = queue.lease_as(wish, &[]).await.remove(0);
        assert_eq!(
            (before.task.id, before.task.grant),
            (after.task.id, after.task.grant)
        );
        assert_eq!(queue.ack(&before.lease).await, Answer::Lost);
        assert_eq!(queue.nack(&before.lease).await, Answer::Lost);
        assert_eq!(queue.extend(&before.lease, None).await, Answer::Lost);
        assert_eq!(queue.release(&before.lease, RetryAfter::None).await, Answer::Lost);
        assert_eq!(queue.ack(&after.lease).await, Answer::Done(Acked::Done));
    }
}

/// I6: who held the lease is told with the attempt, where the worker said its name.
#[tokio::test]
async fn attempts_name_the_worker_that_named_itself() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    for worker in [Some("w1"), None, Some("w2")] {
        let wish = leaseq::store::ops::lease::Wish {
            tasks: 1,
            worker: worker.map(str::to_owned),
            ..Default::default()
        };
        let held = queue.lease_as(wish, &[]).await.remove(0);
        assert_eq!(queue.see(id).await.worker.as_deref(), worker);
        queue.nack_with(&held.lease, failure_after(0)).await;
    }
    let workers: Vec<_> = queue
        .see(id)
        .await
        .attempts
        .into_iter()
        .map(|a| a.worker)
        .collect();
    assert_eq!(workers, [Some("w1".to_owned()), None, Some("w2".to_owned())]);
}

/// I9: how a grant ended is told to the one who ended it, whatever became of the task since.
#[tokio::test]
async fn a_repeated_nack_is_answered_also_after_the_task_was_completed() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let nacked = queue.lease_one().await;
    queue.nack_with(&nacked.lease, failure_after(0)).await;
    let given = queue.lease_one().await;
    queue.release(&given.lease, RetryAfter::None).await;
    let last = queue.lease_one().await;
    queue.ack(&last.lease).await;
    let again = queue.nack_with(&nacked.lease, failure_after(0)).await;
    assert!(
        matches!(again, Answer::Done(Nacked { already: true, .. })),
        "{again:?}"
    );
    let again = queue.release(&given.lease, RetryAfter::None).await;
    assert!(
        matches!(again, Answer::Done(Released { already: true, .. })),
        "{again:?}"
    );
    assert_eq!(queue.ack(&nacked.lease).await, Answer::Lost);
    assert_eq!(queue.ack(&last.lease).await, Answer::Done(Acked::Already));
}

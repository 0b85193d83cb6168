//! I9: a repeat by the lease that did it is answered and has no second effect, for five minutes at least.

use deadpool_redis::redis::{cmd, pipe};
use leaseq::domain::Lease;
use leaseq::domain::settle::RetryAfter;
use leaseq::store::ops::Answer;
use leaseq::store::ops::ack::Acked;
use leaseq::store::ops::nack::Nacked;
use leaseq::store::ops::release::Released;

use crate::support::queue::{Queue, failure, failure_after, rejection, task};

const GENERATION_MS: u64 = 300_000;

/// Something is settled, so that marks are looked after.
async fn settle_another(queue: &Queue) {
    queue.put(task()).await;
    let held = queue.lease_one().await;
    queue.ack(&held.lease).await;
}

async fn leased(queue: &Queue) -> Lease {
    queue.put(task()).await;
    queue.lease_one().await.lease
}

/// I9
#[tokio::test]
async fn a_repeat_is_answered_as_the_first_time_and_changes_nothing() {
    let queue = Queue::start().await;
    let acked = leased(&queue).await;
    queue.ack(&acked).await;
    let nacks = [failure_after(60_000), failure(), rejection()];
    let mut told = Vec::new();
    for nack in &nacks {
        let lease = leased(&queue).await;
        let Answer::Done(first) = queue.nack_with(&lease, nack.clone()).await else {
            panic!("it was current")
        };
        told.push((lease, first));
    }
    let released = leased(&queue).await;
    let Answer::Done(first) = queue.release(&released, RetryAfter::Ms(60_000)).await else {
        panic!("it was current")
    };
    let before = queue.snapshot();
    assert_eq!(
        queue.ack_with(&acked, Some("2")).await,
        Answer::Done(Acked::Already)
    );
    for ((lease, first), nack) in told.into_iter().zip(nacks) {
        let repeated = Nacked {
            already: true,
            ..first
        };
        assert_eq!(queue.nack_with(&lease, nack).await, Answer::Done(repeated));
    }
    let repeated = Released {
        already: true,
        ..first
    };
    assert_eq!(
        queue.release(&released, RetryAfter::None).await,
        Answer::Done(repeated)
    );
    assert_eq!(queue.snapshot(), before);
}

/// I9: a different operation with a settled lease is refused.
#[tokio::test]
async fn a_settled_lease_is_lost_for_every_other_operation() {
    let queue = Queue::start().await;
    let acked = leased(&queue).await;
    queue.ack(&acked).await;
    assert_eq!(queue.nack(&acked).await, Answer::Lost);
    assert_eq!(queue.release(&acked, RetryAfter::None).await, Answer::Lost);
    assert_eq!(queue.extend(&acked, None).await, Answer::Lost);
    let nacked = leased(&queue).await;
    queue.nack(&nacked).await;
    assert_eq!(queue.ack(&nacked).await, Answer::Lost);
    assert_eq!(queue.release(&nacked, RetryAfter::None).await, Answer::Lost);
    let released = leased(&queue).await;
    queue.release(&released, RetryAfter::Ms(1_000)).await;
    assert_eq!(queue.ack(&released).await, Answer::Lost);
    assert_eq!(queue.nack(&released).await, Answer::Lost);
}

/// I9: whatever happens to the task afterwards.
#[tokio::test]
async fn a_nack_is_repeated_safely_while_the_next_worker_has_the_task() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let first = queue.lease_one().await.lease;
    queue.nack_with(&first, failure_after(0)).await;
    let second = queue.lease_one().await.lease;
    assert!(matches!(
        queue.nack(&first).await,
        Answer::Done(Nacked {
            already: true,
            attempt: 1,
            ..
        })
    ));
    assert_eq!(queue.ack(&second).await, Answer::Done(Acked::Done));
    assert_eq!(queue.see(id).await.attempts.len(), 1);
}

/// I9: never less than five minutes, whenever the generations change; after two of them it is over.
#[tokio::test]
async fn a_mark_lasts_five_minutes_and_is_gone_after_two_generations() {
    for age_in_generation in [0, 1, 150_000, GENERATION_MS - 1] {
        let queue = Queue::start().await;
        settle_another(&queue).await; // Begins a generation.
        queue.at(age_in_generation);
        let lease = leased(&queue).await;
        queue.ack(&lease).await;
        for later in [1, GENERATION_MS / 2, GENERATION_MS - 1] {
            queue.at(age_in_generation + later);
            settle_another(&queue).await;
            assert_eq!(queue.ack(&lease).await, Answer::Done(Acked::Already));
        }
        for later in [GENERATION_MS, 2 * GENERATION_MS, 3 * GENERATION_MS] {
            queue.at(age_in_generation + later);
            settle_another(&queue).await;
        }
        assert_eq!(queue.ack(&lease).await, Answer::Unknown);
    }
}

/// I9: also while the task lives on; what ran out is told so for as long as its attempt is remembered.
#[tokio::test]
async fn without_its_mark_a_settled_lease_is_unknown_and_one_that_ran_out_is_lost() {
    let queue = Queue::start().await;
    let nacked = leased(&queue).await;
    queue.nack_with(&nacked, failure_after(1_000)).await;
    let released = leased(&queue).await;
    queue.release(&released, RetryAfter::Ms(1_000)).await;
    let expired = leased(&queue).await;
    for generation in 1..=3 {
        queue.at(generation * GENERATION_MS);
        settle_another(&queue).await;
    }
    for moment in ["as it was left", "swept", "granted again"] {
        match moment {
            "swept" => assert_eq!(queue.sweep().await.expired, 1),
            "granted again" => assert_eq!(queue.lease(9).await.len(), 3),
            _ => {}
        }
        assert_eq!(queue.nack(&nacked).await, Answer::Unknown, "{moment}");
        assert_eq!(queue.ack(&nacked).await, Answer::Unknown, "{moment}");
        assert_eq!(
            queue.release(&released, RetryAfter::None).await,
            Answer::Unknown,
            "{moment}"
        );
        assert_eq!(queue.nack(&expired).await, Answer::Lost, "{moment}");
        assert_eq!(queue.extend(&expired, None).await, Answer::Lost, "{moment}");
    }
}

/// I9: or the last 500,000, whichever is less: then a generation ends before its time.
#[tokio::test]
async fn a_generation_of_marks_ends_when_it_is_full() {
    let queue = Queue::start().await;
    let lease = leased(&queue).await;
    queue.ack(&lease).await;
    let fill = || {
        for from in (0..500_000).step_by(50_000) {
            let mut marks = pipe();
            let command = marks.cmd("HSET").arg(queue.key("mark"));
            for n in from..from + 50_000 {
                command.arg(n).arg("");
            }
            let _: () = queue.redis.pipeline(&marks);
        }
    };
    fill();
    settle_another(&queue).await;
    let size = |role: &str| -> u64 { queue.redis.command(cmd("HLEN").arg(queue.key(role))) };
    assert_eq!((size("mark"), size("mark_old")), (1, 500_001));
    assert_eq!(queue.ack(&lease).await, Answer::Done(Acked::Already));
    fill();
    settle_another(&queue).await;
    assert_eq!(size("mark_old"), 500_001);
    assert_eq!(queue.ack(&lease).await, Answer::Unknown);
}

/// I28: marks of a queue that nobody settles any more go by themselves.
#[tokio::test]
async fn marks_expire_on_an_idle_queue() {
    let queue = Queue::start().await;
    settle_another(&queue).await;
    let ttl_seconds: i64 = queue.redis.command(cmd("TTL").arg(queue.key("mark")));
    assert!((300..=660).contains(&ttl_seconds), "{ttl_seconds}");
}

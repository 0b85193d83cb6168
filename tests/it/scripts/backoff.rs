//! The delay before the next attempt: within the bounds of its policy, whatever the policy and however many
//! attempts.

use std::cell::RefCell;

use deadpool_redis::redis::cmd;
use leaseq::domain::limits::{ATTEMPTS_MAX, DELAY_MS_MAX, RETRY_FACTOR_MAX};
use leaseq::domain::queue::{NameConfig, QueueConfig};
use leaseq::domain::retry::{Jitter, RetryConfig, Strategy as Growth, Thousandths};
use leaseq::domain::{NewTask, RetryPolicy, TaskId, TaskState};
use leaseq::store::ops::Answer;
use leaseq::store::ops::nack::{NackOp, Nacked};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::support::queue::{Held, Queue, REPLICA, T0, failure, named, one, task};

const CHANCES: u32 = 1_000_000;

/// Nacks with a chance in millionths; the delay in ms, 0 for a task that is ready at once.
async fn delay_of(queue: &Queue, held: &Held, now: u64, chance: u32) -> u64 {
    let op = NackOp {
        replica: REPLICA.into(),
        items: vec![(held.lease.clone(), failure())],
        chances: vec![chance],
    };
    match one(queue.call(&op).await) {
        Answer::Done(Nacked { state, next_at, .. }) => {
            let next_at = next_at.expect("it is tried again").get();
            assert!(next_at >= now, "never before the nack");
            let expected = if next_at > now {
                TaskState::Scheduled
            } else {
                TaskState::Ready
            };
            assert_eq!(state, expected);
            next_at - now
        }
        other => panic!("{other:?}"),
    }
}

/// The delay in ms, before jitter.
#[allow(clippy::cast_precision_loss)] // All below 2^53.
fn whole(policy: RetryPolicy, attempt: u16) -> f64 {
    let (base, attempt) = (policy.base_ms as f64, f64::from(attempt));
    let grown = match policy.strategy {
        Growth::Exponential if policy.base_ms == 0 => 0.0,
        // By logarithms: another way than the one under test, and no way to overflow.
        Growth::Exponential => {
            (base.ln() + (attempt - 1.0) * (f64::from(policy.factor.0) / 1000.0).ln()).exp()
        }
        Growth::Linear => base * attempt,
        Growth::Fixed => base,
        Growth::Immediate => 0.0,
    };
    grown.min(policy.max_ms as f64)
}

/// As though the task that is leased for the first time had failed so often before.
fn pretend_failed(queue: &Queue, id: TaskId, failed: u16) {
    let mut mutable = vec![0, 0, 0, 1]; // grants
    mutable.extend(failed.to_be_bytes());
    mutable.extend([0, 0, 0, 0, 10]); // deferrals, flags, priority
    mutable.extend(&(T0 * 2048).to_be_bytes()[1..]);
    mutable.extend(&T0.to_be_bytes()[2..]);
    mutable.extend(30_000u32.to_be_bytes());
    let key = queue.key("mut");
    let _: u64 = queue
        .redis
        .command(cmd("HSET").arg(key).arg(id.as_bytes()).arg(mutable));
    queue
        .redis
        .add_to_state(queue.name.as_str(), "failed_total", f64::from(failed));
}

fn any_policy() -> impl Strategy<Value = RetryPolicy> {
    let ms = || prop_oneof![Just(0), 1..10_000u64, Just(DELAY_MS_MAX), 0..=DELAY_MS_MAX];
    let factor = prop_oneof![
        Just(1_000),
        Just(RETRY_FACTOR_MAX * 1000),
        1_000..=RETRY_FACTOR_MAX * 1000
    ];
    let (growth, jitter) = (select(Growth::ALL.to_vec()), select(Jitter::ALL.to_vec()));
    (growth, ms(), factor, ms(), jitter).prop_map(|(strategy, base_ms, factor, max_ms, jitter)| RetryPolicy {
        strategy,
        base_ms,
        factor: Thousandths(factor),
        max_ms,
        jitter,
    })
}

/// I13: at each attempt that there can be; the numbers that doubles cannot hold are reached, and do no harm.
#[test]
fn every_delay_is_within_the_bounds_of_its_policy() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let queue = RefCell::new(runtime.block_on(Queue::start()));
    let attempt = prop_oneof![1..6u16, 1..ATTEMPTS_MAX, Just(ATTEMPTS_MAX - 1)];
    let chance = prop_oneof![Just(0), Just(CHANCES - 1), 0..CHANCES];
    let mut runner = TestRunner::new(Config {
        cases: 500,
        failure_persistence: None,
        ..Config::default()
    });
    let bounded = |(policy, attempt, chance): (RetryPolicy, u16, u32)| {
        let queue = &mut *queue.borrow_mut();
        runtime.block_on(async {
            queue.reset(QueueConfig::default()).await;
            let new = NewTask {
                retry: Some(policy),
                max_attempts: Some(ATTEMPTS_MAX),
                ..task()
            };
            queue.put(new.clone()).await;
            let held = queue.lease_one().await;
            pretend_failed(queue, new.id, attempt - 1);
            let delay = delay_of(queue, &held, T0, chance).await;

            let whole = whole(policy, attempt);
            let slack = 1.0 + whole / 1e9; // Rounding down, and what logarithms lose.
            let (least, most) = match policy.jitter {
                Jitter::Full => (0.0, whole),
                Jitter::Equal => (whole / 2.0, whole),
                Jitter::None => (whole, whole),
            };
            #[allow(clippy::cast_precision_loss)]
            let fits = (least - slack..=most + slack).contains(&(delay as f64)) && delay <= policy.max_ms;
            assert!(
                fits,
                "{delay} for {least} to {most}: {policy:?}, attempt {attempt}"
            );
            assert_eq!(
                queue.see(new.id).await.retry,
                policy,
                "what is shown is what holds"
            );
        });
        Ok(())
    };
    runner.run(&(any_policy(), attempt, chance), bounded).unwrap();
}

/// I13
#[tokio::test]
async fn an_exponential_delay_doubles_up_to_five_minutes_unless_told_otherwise() {
    let queue = Queue::start().await;
    queue
        .put(NewTask {
            max_attempts: Some(ATTEMPTS_MAX),
            ..task()
        })
        .await;
    let mut now = 0;
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        let held = queue.lease_one().await;
        let delay = delay_of(&queue, &held, T0 + now, CHANCES / 2).await;
        assert_eq!(delay, seconds * 500, "full jitter: half of it for half a chance");
        now += delay;
        queue.at(now - 1);
        queue.sweep().await;
        assert!(queue.lease(1).await.is_empty(), "never early");
        queue.at(now);
        queue.sweep().await;
    }
}

fn retry(strategy: Growth) -> RetryConfig {
    RetryConfig {
        strategy: Some(strategy),
        base_ms: Some(7_000),
        jitter: Some(Jitter::None),
        ..RetryConfig::default()
    }
}

/// Resolved task → name → queue → server, and frozen at acceptance.
#[tokio::test]
async fn a_task_keeps_the_policy_that_held_when_it_was_accepted() {
    let config = QueueConfig {
        retry: Some(retry(Growth::Linear)),
        names: [
            ("own".to_owned(), NameConfig::default()),
            (
                "*".to_owned(),
                NameConfig {
                    retry: Some(retry(Growth::Fixed)),
                    ..NameConfig::default()
                },
            ),
        ]
        .into(),
        ..QueueConfig::default()
    };
    let mut queue = Queue::with(config).await;
    let of_task = NewTask {
        retry: Some(retry(Growth::Immediate).policy()),
        ..named("own")
    };
    let (of_name, of_queue) = (named("any"), named("own"));
    let accepted = [of_task, of_name, of_queue];
    queue.enqueue(&accepted).await;
    queue.configure(QueueConfig::default()).await;
    let of_server = task();
    queue.put(of_server.clone()).await;

    let expected = [
        retry(Growth::Immediate).policy(),
        retry(Growth::Fixed).policy(),
        retry(Growth::Linear).policy(),
        RetryPolicy::DEFAULT,
    ];
    for (new, policy) in accepted.iter().chain([&of_server]).zip(expected) {
        assert_eq!(queue.see(new.id).await.retry, policy);
    }
    for (held, delay) in queue.lease(4).await.iter().zip([0, 7_000, 7_000, 999]) {
        assert_eq!(delay_of(&queue, held, T0, CHANCES - 1).await, delay);
    }
}

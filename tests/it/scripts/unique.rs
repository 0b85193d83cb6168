//! Unique keys: one task for each, for as long as its scope says.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use deadpool_redis::redis::cmd;
use leaseq::domain::queue::{Keep, QueueConfig};
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::task::{Enqueued, Made, NotEnqueued};
use leaseq::domain::unique::{OnDuplicate, UniqueScope};
use leaseq::domain::{Millis, NewTask, Start, TaskId, TaskState};
use leaseq::store::ops::Answer;
use leaseq::store::ops::ack::Acked;
use leaseq::store::ops::lease::Wish;
use leaseq::store::ops::sweep::SweepOp;

use crate::support::queue::{Queue, REPLICA, T0, failure_after, or_else, rejection, task, unique};

const HOUR: u64 = 3_600_000;
const TTL: UniqueScope = UniqueScope::Ttl(HOUR);
const LEASED: UniqueScope = UniqueScope::UntilLeased;
const FINISHED: UniqueScope = UniqueScope::UntilFinished;

/// The response to an enqueue with the key "k".
async fn told(queue: &Queue, scope: UniqueScope) -> Enqueued {
    let outcomes = queue.told(&queue.enqueue_op(&[unique("k", scope)], false)).await;
    outcomes.into_iter().next().unwrap().unwrap()
}

/// The task that holds "k", and its state; `None` when the key is free. Takes nothing.
async fn holder(queue: &Queue) -> Option<(TaskId, Option<TaskState>)> {
    let asking = [
        or_else(OnDuplicate::Reject, "k", FINISHED),
        or_else(OnDuplicate::Reject, "other", FINISHED),
    ];
    let mut op = queue.enqueue_op(&asking, false);
    op.all_or_none = true;
    // All or none: "other" is refused, so that the question leaves nothing, whatever the answer to the first
    // is.
    let outcomes = queue.told(&op).await;
    assert!(outcomes[1].is_err(), "the test holds the key \"other\"");
    match &outcomes[0] {
        Ok(_) => None,
        Err(NotEnqueued::Duplicate { holder, state }) => Some((*holder, *state)),
        Err(other) => panic!("{other:?}"),
    }
}

async fn start() -> Queue {
    with(QueueConfig::default()).await
}

async fn with(config: QueueConfig) -> Queue {
    let queue = Queue::with(config).await;
    let other = NewTask {
        start: Start::After(365 * 24 * HOUR),
        ..unique("other", FINISHED)
    };
    queue.enqueue(&[other]).await;
    queue
}

/// I15: in one call and over many.
#[tokio::test]
async fn one_key_makes_one_task_and_all_others_are_told_of_it() {
    let queue = Queue::start().await;
    let batch: Vec<_> = ["a", "b", "a", "a", "b"].map(|key| unique(key, TTL)).into();
    let outcomes = queue.told(&queue.enqueue_op(&batch, false)).await;
    let seen: Vec<_> = outcomes
        .iter()
        .flatten()
        .map(|task| (task.id, task.made))
        .collect();
    let (a, b) = (batch[0].id, batch[1].id);
    let (made, duplicate) = (Made::Task, Made::Duplicate);
    assert_eq!(
        seen,
        [
            (a, made),
            (b, made),
            (a, duplicate),
            (a, duplicate),
            (b, duplicate)
        ]
    );
    for key in ["a", "b"] {
        let later = queue.told(&queue.enqueue_op(&[unique(key, LEASED)], false)).await;
        let expected = Enqueued {
            made: Made::Duplicate,
            ..Enqueued::new(if key == "a" { a } else { b }, None)
        };
        assert_eq!(later, [Ok(expected)]);
    }
    let overview = queue.overview().await;
    assert_eq!(
        (overview.counts.accepted_total, overview.counts.duplicates_total),
        (2, 5)
    );
    assert_eq!(queue.lease(9).await.len(), 2);
}

/// I15: what a duplicate is told is true now, and names the task that was made.
#[tokio::test]
async fn a_duplicate_is_told_the_present_state_of_the_first() {
    let config = QueueConfig {
        completed_ms: Some(1_000),
        ..QueueConfig::default()
    };
    let queue = with(config).await;
    let first = NewTask {
        start: Start::After(500),
        ..unique("k", TTL)
    };
    let id = first.id;
    queue.enqueue(&[first]).await;
    let state = async || {
        let told = told(&queue, TTL).await;
        assert_eq!((told.id, told.made), (id, Made::Duplicate));
        (told.state, told.run_at)
    };
    assert_eq!(
        state().await,
        (Some(TaskState::Scheduled), Some(Millis::new(T0 + 500)))
    );
    queue.at(500);
    queue.sweep().await;
    assert_eq!(state().await, (Some(TaskState::Ready), None));
    let held = queue.lease_one().await;
    assert_eq!(held.task.unique_key.as_ref().unwrap().as_str(), "k");
    assert_eq!(state().await.0, Some(TaskState::Leased));
    queue.nack_with(&held.lease, failure_after(500)).await;
    assert_eq!(
        state().await,
        (Some(TaskState::Scheduled), Some(Millis::new(T0 + 1_000)))
    );
    queue.at(1_000);
    queue.sweep().await;
    let held = queue.lease_one().await;
    queue.ack_with(&held.lease, Some("\"done\"")).await;
    assert_eq!(state().await.0, Some(TaskState::Completed));
    queue.at(2_000);
    queue.sweep().await;
    assert_eq!(queue.show(id).await.map(|task| task.id), None);
    assert_eq!(state().await.0, None, "it is no longer kept");
}

/// I15: the other ends of a task, as a duplicate is told of them.
#[tokio::test]
async fn a_duplicate_of_a_dead_or_cancelled_task_is_told_so() {
    let queue = start().await;
    let id = queue.put(unique("k", TTL)).await;
    let held = queue.lease_one().await;
    queue.nack_with(&held.lease, rejection()).await;
    assert_eq!(holder(&queue).await, Some((id, Some(TaskState::Dead))));

    let queue = start().await;
    let id = queue.put(unique("k", TTL)).await;
    cancel_when_released(&queue).await;
    assert_eq!(holder(&queue).await, Some((id, Some(TaskState::Cancelled))));
}

/// I15: from acceptance, and to the millisecond.
#[tokio::test]
async fn a_ttl_runs_from_acceptance_whatever_becomes_of_the_task() {
    let queue = start().await;
    let first = told(&queue, TTL).await.id;
    queue.at(HOUR / 2);
    let held = queue.lease_one().await;
    queue.ack(&held.lease).await;
    assert_eq!(told(&queue, TTL).await.id, first, "asking again prolongs nothing");
    queue.at(HOUR - 1);
    assert_eq!(told(&queue, TTL).await.id, first);
    queue.at(HOUR);
    let second = told(&queue, TTL).await;
    assert_eq!(second.made, Made::Task);
    queue.at(2 * HOUR - 1);
    assert_eq!(told(&queue, TTL).await.id, second.id);
}

/// I15: a key that lapsed is anybody's, also for another scope.
#[tokio::test]
async fn a_lapsed_key_can_be_held_until_the_end_of_another_task() {
    let queue = start().await;
    told(&queue, TTL).await;
    queue.at(HOUR);
    let second = told(&queue, FINISHED).await;
    assert_eq!(second.made, Made::Task);
    queue.at(5 * HOUR);
    queue.sweep().await;
    assert_eq!(holder(&queue).await.map(|(id, _)| id), Some(second.id));
}

/// I15: freed by the first grant, and not taken again by what brings the task back.
#[tokio::test]
async fn until_leased_ends_with_the_first_grant_for_good() {
    for back in 0..4 {
        let queue = start().await;
        let first = told(&queue, LEASED).await.id;
        assert_eq!(told(&queue, LEASED).await.id, first);
        let held = queue.lease_one().await;
        assert_eq!(holder(&queue).await, None);
        match back {
            0 => _ = queue.give_back(&held.lease).await,
            1 => _ = queue.release(&held.lease, RetryAfter::None).await,
            2 => _ = queue.nack_with(&held.lease, failure_after(0)).await,
            _ => {
                queue.at(30_000);
                queue.sweep().await;
            }
        }
        assert_eq!(queue.see(first).await.state, TaskState::Ready);
        assert_eq!(holder(&queue).await, None, "{back}");
        let second = told(&queue, LEASED).await;
        assert_eq!(second.made, Made::Task);
        // The first is granted again, and ends: the key is the second's.
        let held = queue.lease_one().await;
        assert_eq!((held.task.id, held.task.grant), (first, 2));
        queue.nack_with(&held.lease, rejection()).await;
        assert_eq!(holder(&queue).await.map(|(id, _)| id), Some(second.id));
    }
}

/// Sets the flag that a cancel sets, then releases.
async fn cancel_when_released(queue: &Queue) {
    let wish = Wish {
        tasks: 1,
        worker: Some("w".to_owned()), // A name makes a mutable part, where the flag lies.
        ..Wish::default()
    };
    let held = queue.lease_as(wish, &[]).await.remove(0);
    let (key, id) = (queue.key("mut"), held.task.id);
    let mut mutable: Vec<u8> = queue.redis.command(cmd("HGET").arg(&key).arg(id.as_bytes()));
    mutable[8] |= 1;
    let _: () = queue
        .redis
        .command(cmd("HSET").arg(&key).arg(id.as_bytes()).arg(mutable));
    queue.release(&held.lease, RetryAfter::None).await;
    assert_eq!(queue.see(id).await.state, TaskState::Cancelled);
}

/// I15: whatever ends the task frees the key, with that.
#[tokio::test]
async fn until_finished_ends_with_every_end_of_the_task_and_with_nothing_else() {
    for end in [
        "ack",
        "late ack",
        "late ack after a sweep",
        "rejection",
        "last attempt",
        "expiry",
        "cancel",
    ] {
        let config = QueueConfig {
            max_attempts: Some(if ["last attempt", "expiry"].contains(&end) {
                1
            } else {
                3
            }),
            ..QueueConfig::default()
        };
        let queue = with(config).await;
        let first = told(&queue, FINISHED).await.id;
        if end == "cancel" {
            cancel_when_released(&queue).await;
        } else {
            let held = queue.lease_one().await;
            assert_eq!(holder(&queue).await, Some((first, Some(TaskState::Leased))));
            match end {
                "rejection" => _ = queue.nack_with(&held.lease, rejection()).await,
                "last attempt" => _ = queue.nack(&held.lease).await,
                "ack" => assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Done)),
                _ => {
                    queue.at(30_000);
                    if end != "late ack" {
                        queue.sweep().await;
                    }
                    if end != "expiry" {
                        assert_eq!(holder(&queue).await.map(|(id, _)| id), Some(first), "{end}");
                        assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Late));
                    }
                }
            }
        }
        assert_eq!(holder(&queue).await, None, "{end}");
        assert_eq!(told(&queue, FINISHED).await.made, Made::Task, "{end}");
    }
}

/// I15: a task that died before anybody had it frees what only a grant would have.
#[tokio::test]
async fn what_ends_frees_a_key_that_waits_for_a_first_grant() {
    let queue = with(QueueConfig {
        keep: Some(Keep::None),
        ..QueueConfig::default()
    })
    .await;
    let id = told(&queue, LEASED).await.id;
    assert_eq!(holder(&queue).await, Some((id, Some(TaskState::Ready))));
    let held = queue.lease_one().await;
    queue.ack(&held.lease).await;
    assert_eq!(queue.show(id).await.map(|task| task.id), None);
    assert_eq!(holder(&queue).await, None);
}

/// I16: but for the counter, which counts it.
#[tokio::test]
async fn a_rejected_enqueue_leaves_no_mark() {
    let queue = start().await;
    let first = told(&queue, FINISHED).await.id;
    let rest = |queue: &Queue| {
        let mut keys = queue.snapshot();
        keys.remove(&queue.key("q"));
        keys.remove(&queue.key("state")); // The tick follows the clock.
        keys
    };
    let before = rest(&queue);
    let big = NewTask {
        payload: leaseq::domain::task::Json::from_checked(format!("\"{}\"", "x".repeat(3_000)).into()),
        ..or_else(OnDuplicate::Reject, "k", TTL)
    };
    let outcomes = queue.told(&queue.enqueue_op(&[big], false)).await;
    let refused = NotEnqueued::Duplicate {
        holder: first,
        state: Some(TaskState::Ready),
    };
    assert_eq!(outcomes, [Err(refused)]);
    assert_eq!(rest(&queue), before);
    assert_eq!(queue.overview().await.counts.duplicates_total, 1);
}

/// I5: where one is refused, none is accepted, and nothing of any is left.
#[tokio::test]
async fn a_batch_of_all_or_none_with_a_held_key_changes_nothing() {
    let queue = start().await;
    told(&queue, FINISHED).await;
    let before = queue.snapshot();
    let batch = [
        task(),
        unique("new", TTL),
        or_else(OnDuplicate::Replace, "k", TTL),
        or_else(OnDuplicate::Reject, "k", TTL),
        task(),
    ];
    let mut op = queue.enqueue_op(&batch, false);
    op.all_or_none = true;
    let refused: Vec<_> = queue.told(&op).await.iter().map(Result::is_err).collect();
    assert_eq!(refused, [false, false, false, true, false]);
    assert_eq!(queue.snapshot(), before);
    op.tasks = batch[..3].to_vec();
    assert!(queue.told(&op).await.iter().all(Result::is_ok));
}

/// I1 I15: the service's own retry of an unknown outcome is no duplicate of itself, even when the task is
/// long gone.
#[tokio::test]
async fn a_repeated_call_made_what_its_first_try_made() {
    for keep in [Keep::All, Keep::None] {
        let queue = with(QueueConfig {
            keep: Some(keep),
            ..QueueConfig::default()
        })
        .await;
        let tasks = [unique("k", TTL), unique("l", FINISHED)];
        let first = queue.told(&queue.enqueue_op(&tasks, false)).await;
        let held = queue.lease(2).await;
        queue.ack(&held[0].lease).await;
        for again in [true, false, true] {
            assert_eq!(queue.told(&queue.enqueue_op(&tasks, again)).await, first);
        }
        assert_eq!(queue.overview().await.counts.accepted_total, 3);
    }
}

fn count(queue: &Queue, role: &str, command: &str) -> usize {
    queue.redis.command(cmd(command).arg(queue.key(role)))
}

/// I28: keys whose time is over go with those who take new ones, and with sweeps.
#[tokio::test]
async fn lapsed_keys_do_not_pile_up() {
    let queue = Queue::start().await;
    let short = UniqueScope::Ttl(1_000);
    for batch in 0..4 {
        let tasks: Vec<_> = (0..250).map(|n| unique(&format!("{batch}/{n}"), short)).collect();
        queue.enqueue(&tasks).await;
    }
    queue.at(1_000);
    let tasks: Vec<_> = (0..200).map(|n| unique(&format!("next/{n}"), short)).collect();
    queue.enqueue(&tasks).await;
    let left = count(&queue, "uniq", "HLEN");
    assert!(left <= 1_200 - 400, "{left} keys, of which 200 are held");
    let sweep = SweepOp {
        replica: REPLICA.into(),
        limit: 100,
    };
    let mut sweeps = 1;
    while queue.call(&sweep).await.unwrap().more_lapsed {
        sweeps += 1;
        assert!(sweeps < 20);
    }
    assert_eq!(
        (count(&queue, "uniq", "HLEN"), count(&queue, "uniq_at", "ZCARD")),
        (200, 200)
    );
}

/// I28: who has no key pays for none.
#[tokio::test]
async fn ordinary_tasks_send_no_command_for_the_keys_of_others() {
    let queue = Queue::start().await;
    let commands = || -> Vec<String> {
        let info: String = queue.redis.command(cmd("INFO").arg("commandstats"));
        let mut lines: Vec<_> = info
            .lines()
            .filter_map(|line| {
                line.strip_prefix("cmdstat_")?
                    .split_once(",usec")
                    .map(|(calls, _)| calls.to_owned())
            })
            .filter(|line| {
                !line.starts_with("info") && !line.starts_with("config") && !line.starts_with("dump")
            })
            .collect();
        lines.sort();
        let _: () = queue.redis.command(cmd("CONFIG").arg("RESETSTAT"));
        lines
    };
    let cycle = async || {
        queue.enqueue(&[task(), task()]).await;
        let held = queue.lease(2).await;
        queue.ack(&held[0].lease).await;
        queue.nack(&held[1].lease).await;
    };
    cycle().await;
    commands();
    cycle().await;
    let without = commands();
    queue
        .enqueue(&[NewTask {
            start: Start::After(HOUR),
            ..unique("k", FINISHED)
        }])
        .await;
    commands();
    cycle().await;
    assert_eq!(commands(), without);
}

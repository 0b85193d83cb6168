//! Unique keys of tasks that expire: a death by expiry frees them when it is due, not when it is written
//! down; and what replaces a task may say when it expires, or that it does not.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use deadpool_redis::redis::cmd;
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::task::{DeadReason, Made};
use leaseq::domain::unique::{OnDuplicate, UniqueScope};
use leaseq::domain::{Expiry, Millis, NewTask, RetryPolicy, Start, TaskId, TaskState};
use leaseq::store::ops::Answer;
use leaseq::store::ops::replay::Moved;

use crate::support::audit::assert_sound;
use crate::support::queue::{Queue, T0, failure_after, or_else, rejection, task, task_name, unique};

const LEASED: UniqueScope = UniqueScope::UntilLeased;
const FINISHED: UniqueScope = UniqueScope::UntilFinished;
const TTL: UniqueScope = UniqueScope::Ttl(60_000);

fn expiring(ms: u64, task: NewTask) -> NewTask {
    NewTask {
        expiry: Some(Expiry::After(ms)),
        ..task
    }
}

/// The response to an enqueue with the key "k": the task, whether it is new, and its state.
async fn ask(queue: &Queue, with: NewTask) -> (TaskId, Made, Option<TaskState>) {
    let told = queue.told(&queue.enqueue_op(&[with], false)).await.remove(0);
    let told = told.expect("no refusal was asked for");
    (told.id, told.made, told.state)
}

async fn assert_expired(queue: &Queue, id: TaskId) {
    let shown = queue.see(id).await;
    assert_eq!(
        (shown.state, shown.reason),
        (TaskState::Dead, Some(DeadReason::Expired))
    );
}

/// I15
#[tokio::test]
async fn a_task_past_its_expiry_holds_no_key_that_its_death_frees_buried_or_not() {
    for scope in [LEASED, FINISHED] {
        for start in [Start::Now, Start::After(500), Start::After(5_000)] {
            for (met, swept) in [(false, false), (false, true), (true, false)] {
                let queue = Queue::start().await;
                let first = NewTask {
                    start,
                    ..expiring(1_000, unique("k", scope))
                };
                let id = queue.put(first).await;
                queue.at(999);
                let (holder, made, _) = ask(&queue, unique("k", scope)).await;
                assert_eq!((holder, made), (id, Made::Duplicate));
                queue.at(1_000);
                if met {
                    assert_eq!(queue.lease(1).await.len(), 0);
                }
                if swept {
                    queue.sweep().await;
                }
                let (second, made, _) = ask(&queue, unique("k", scope)).await;
                assert_eq!((second != id, made), (true, Made::Task), "{scope:?} {start:?}");
                assert_sound(&queue.redis, "emails");
                queue.sweep().await;
                assert_expired(&queue, id).await;
                // The burial frees what is its own, and that is nothing any more.
                let told = ask(&queue, unique("k", scope)).await;
                assert_eq!(told, (second, Made::Duplicate, Some(TaskState::Ready)));
            }
        }
    }
}

/// I15: `ttl` runs from acceptance, whatever becomes of the task.
#[tokio::test]
async fn an_expired_task_keeps_a_key_that_time_frees_and_is_told_to_be_dead() {
    for swept in [false, true] {
        let queue = Queue::start().await;
        let id = queue.put(expiring(1_000, unique("k", TTL))).await;
        queue.at(1_000);
        if swept {
            queue.sweep().await;
        }
        let dead = (id, Made::Duplicate, Some(TaskState::Dead));
        assert_eq!(ask(&queue, unique("k", TTL)).await, dead);
        let replacement = or_else(OnDuplicate::Replace, "k", TTL);
        assert_eq!(ask(&queue, replacement).await, dead, "it waits for nothing");
        queue.at(60_000);
        assert_eq!(ask(&queue, unique("k", TTL)).await.1, Made::Task);
    }
}

/// I15: a lease that runs goes on, and so does the key; what brings the task back past its expiry ends both.
#[tokio::test]
async fn an_expired_task_whose_lease_runs_holds_its_key_until_that_ends() {
    for how in ["nack", "release", "defer", "give back", "run out"] {
        let queue = Queue::start().await;
        let id = queue.put(expiring(1_000, unique("k", FINISHED))).await;
        let held = queue.lease_one().await;
        queue.at(2_000);
        let leased = (id, Made::Duplicate, Some(TaskState::Leased));
        assert_eq!(ask(&queue, unique("k", FINISHED)).await, leased);
        let lease = &held.lease;
        let done = match how {
            "nack" => is_done(&queue.nack_with(lease, failure_after(0)).await),
            "release" => is_done(&queue.release(lease, RetryAfter::None).await),
            "defer" => is_done(&queue.release(lease, RetryAfter::Ms(500)).await),
            "give back" => is_done(&queue.give_back(lease).await),
            _ => {
                queue.at(30_000);
                queue.sweep().await.expired == 1
            }
        };
        assert!(done, "{how}");
        assert_expired(&queue, id).await;
        assert_eq!(ask(&queue, unique("k", FINISHED)).await.1, Made::Task, "{how}");
    }
}

fn is_done<T>(answer: &Answer<T>) -> bool {
    matches!(answer, Answer::Done(_))
}

/// I15: a replay is not stopped by a holder that is dead and not buried yet.
#[tokio::test]
async fn a_replay_takes_the_key_of_a_task_that_has_expired() {
    let queue = Queue::start().await;
    queue.put(unique("k", FINISHED)).await;
    let held = queue.lease_one().await;
    queue.nack_with(&held.lease, rejection()).await;
    let waits = queue.put(expiring(1_000, unique("k", FINISHED))).await;
    let replay = async || queue.replay(&queue.letters(Some(held.task.id)).await[0]).await;
    queue.at(999);
    assert_eq!(replay().await.1, Moved::Taken(waits));
    queue.at(1_000);
    let (id, moved) = replay().await;
    assert_eq!(moved, Moved::Moved(None));
    queue.sweep().await;
    assert_expired(&queue, waits).await;
    let told = ask(&queue, unique("k", FINISHED)).await;
    assert_eq!(told, (id, Made::Duplicate, Some(TaskState::Ready)));
}

/// I15 I19: from never to some time, from some time to never, to another time; in its lane or another, or on
/// the schedule.
#[tokio::test]
async fn a_replaced_task_expires_when_its_replacement_says() {
    let times = [None, Some(1_000), Some(5_000)];
    for (before, after) in times.into_iter().flat_map(|one| times.map(|other| (one, other))) {
        for (start, other_lane) in [
            (Start::Now, false),
            (Start::Now, true),
            (Start::After(800), false),
        ] {
            for one_call in [false, true] {
                let queue = Queue::start().await;
                let first = NewTask {
                    start,
                    expiry: before.map(Expiry::After),
                    ..unique("k", FINISHED)
                };
                let id = first.id;
                let with = NewTask {
                    name: task_name(if other_lane { "report" } else { "default" }),
                    expiry: after.map(Expiry::After),
                    retry: Some(RetryPolicy {
                        base_ms: 7,
                        ..RetryPolicy::DEFAULT
                    }),
                    ..or_else(OnDuplicate::Replace, "k", FINISHED)
                };
                let neighbours = [task(), task()];
                let batch = [neighbours[0].clone(), first, neighbours[1].clone(), with];
                if one_call {
                    queue.enqueue(&batch).await;
                } else {
                    queue.enqueue(&batch[..3]).await;
                    assert_eq!(ask(&queue, batch[3].clone()).await.1, Made::Replacement);
                }
                let case = format!("{before:?} {after:?} {start:?} {other_lane} {one_call}");
                assert_sound(&queue.redis, "emails");
                let shown = queue.see(id).await;
                let expires_at = after.map(|ms| Millis::new(T0 + ms));
                assert_eq!((shown.expires_at, shown.retry.base_ms), (expires_at, 7), "{case}");
                assert_eq!(queue.overview().await.counts.accepted_total, 3);

                queue.at(1_000);
                queue.sweep().await;
                if after == Some(1_000) {
                    assert_expired(&queue, id).await;
                    assert_eq!(queue.lease(9).await.len(), 2, "{case}");
                } else {
                    let order: Vec<_> = queue.lease(9).await.iter().map(|held| held.task.id).collect();
                    let expected = match start {
                        Start::Now => [neighbours[0].id, id, neighbours[1].id],
                        _ => [neighbours[0].id, neighbours[1].id, id],
                    };
                    assert_eq!(order, expected, "{case}");
                }
            }
        }
    }
}

/// I4: of a long list it leaves an entry behind, and stands beside it.
#[tokio::test]
async fn a_task_in_a_long_lane_may_be_given_an_expiry() {
    let queue = Queue::start().await;
    let many = || (0..600).map(|_| task()).collect::<Vec<_>>();
    queue.enqueue(&many()).await;
    let id = queue.put(unique("k", FINISHED)).await;
    queue.enqueue(&many()).await;
    for ms in [5_000, 1_000] {
        let with = expiring(ms, or_else(OnDuplicate::Replace, "k", FINISHED));
        assert_eq!(ask(&queue, with).await.1, Made::Replacement);
        assert_sound(&queue.redis, "emails");
    }
    let held = queue.lease(601).await;
    assert_eq!((held.len(), held[600].task.id), (601, id));
    queue.release(&held[600].lease, RetryAfter::None).await;
    queue.at(1_000);
    queue.sweep().await;
    assert_expired(&queue, id).await;
    assert_eq!(queue.lease(1_000).await.len(), 600);
    let expiring: usize = queue.redis.command(cmd("ZCARD").arg(queue.key("expiry")));
    assert_eq!(expiring, 0);
}

/// I15: a task that came too late is dead at once, and so is one that is replaced by such: the next one is
/// made.
#[tokio::test]
async fn a_task_that_had_expired_before_it_came_holds_its_key_for_nobody() {
    let past = || NewTask {
        expiry: Some(Expiry::At(Millis::new(T0 - 1))),
        ..or_else(OnDuplicate::Replace, "k", FINISHED)
    };
    for one_call in [false, true] {
        for first in [past(), unique("k", FINISHED)] {
            let queue = Queue::start().await;
            let batch = [first, past(), or_else(OnDuplicate::Return, "k", FINISHED)];
            let mut told = Vec::new();
            for some in batch.chunks(if one_call { 3 } else { 1 }) {
                told.extend(queue.told(&queue.enqueue_op(some, false)).await);
            }
            let told: Vec<_> = told.into_iter().map(|told| told.unwrap()).collect();
            let (made, replaced) = (Made::Task, Made::Replacement);
            let expected = match batch[0].expiry {
                Some(_) => [made, made, made],
                None => [made, replaced, made],
            };
            assert_eq!([told[0].made, told[1].made, told[2].made], expected);
            queue.sweep().await;
            let overview = queue.overview().await;
            let dead = expected.iter().filter(|made| **made == Made::Task).count() as u64 - 1;
            assert_eq!((overview.counts.ready, overview.counts.dead), (1, dead));
            let last = (batch[2].id, Made::Duplicate, Some(TaskState::Ready));
            assert_eq!(ask(&queue, unique("k", FINISHED)).await, last);
        }
    }
}

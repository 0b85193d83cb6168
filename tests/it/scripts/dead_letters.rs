//! Dead letters: found by what is said of them, replayed once, purged as reported.

use bytes::Bytes;
use deadpool_redis::redis::cmd;
use leaseq::domain::dead::{DeadFilter, Replay};
use leaseq::domain::queue::{Keep, QueueConfig};
use leaseq::domain::settle::Nack;
use leaseq::domain::task::{DeadReason, Enqueued, Json, Meta, TaskError};
use leaseq::domain::{Expiry, Group, Millis, NewTask, Priority, Start, TaskId, TaskState};
use leaseq::store::ops::Absent;
use leaseq::store::ops::dead::{DeadLetter, DeadOp, DeadPage, Place};
use leaseq::store::ops::lease::Wish;
use leaseq::store::ops::purge_dead::PurgeDeadOp;
use leaseq::store::ops::replay::{Item, Moved, ReplayOp};

use crate::support::queue::{Queue, REPLICA, T0, failure, named, rejection, task, task_name};
use crate::support::redis::queue as other_queue;

fn look<'a>(filter: &'a DeadFilter, behind: Option<Place>) -> DeadOp<'a> {
    DeadOp {
        filter,
        only: None,
        newest_first: false,
        look: 100,
        limit: 100,
        behind,
        records: true,
    }
}

fn ids(page: &DeadPage) -> Vec<TaskId> {
    page.letters.iter().map(|letter| letter.place.id).collect()
}

async fn find(queue: &Queue, filter: DeadFilter) -> Vec<TaskId> {
    ids(&queue.call(&look(&filter, None)).await.expect("the queue exists"))
}

async fn letter(queue: &Queue, id: TaskId) -> DeadLetter {
    let any = DeadFilter::default();
    let op = DeadOp {
        only: Some(id),
        ..look(&any, None)
    };
    let mut page = queue.call(&op).await.expect("the queue exists");
    page.letters.pop().expect("a dead letter")
}

/// Enqueues a task and sees to it that it dies with this error.
async fn dies(queue: &Queue, new: NewTask, error: (&str, &str)) -> TaskId {
    let id = queue.put(new).await;
    let held = queue.lease_one().await;
    assert_eq!(held.task.id, id);
    let nack = Nack {
        error: TaskError {
            kind: error.0.to_owned(),
            message: error.1.to_owned(),
            ..TaskError::default()
        },
        ..rejection()
    };
    queue.nack_with(&held.lease, nack).await;
    id
}

async fn died(queue: &Queue) -> TaskId {
    dies(queue, task(), ("error", "it broke")).await
}

async fn replay(queue: &Queue, old: TaskId, replay: &Replay, start: Start) -> TaskId {
    let letter = letter(queue, old).await;
    let item = Item::new(&letter, TaskId::new(Millis::new(T0)), start, replay).expect("a record");
    let id = item.id();
    let items = [item];
    let replayed = queue
        .call(&op(&items, replay, false))
        .await
        .expect("the queue exists");
    assert!(matches!(replayed.items[..], [Moved::Moved(_)]), "{replayed:?}");
    id
}

fn op<'a>(items: &'a [Item], replay: &'a Replay, again: bool) -> ReplayOp<'a> {
    ReplayOp {
        replica: REPLICA,
        again,
        replay,
        items,
    }
}

/// The new tasks of a replay by ids; `None` for a dead letter that was gone.
async fn moved(queue: &Queue, items: &[Item], again: bool) -> Vec<Moved> {
    let replay = Replay::default();
    queue
        .call(&op(items, &replay, again))
        .await
        .expect("the queue exists")
        .items
}

fn item(letter: &DeadLetter) -> Item {
    let id = TaskId::new(Millis::new(T0));
    Item::new(letter, id, Start::Now, &Replay::default()).expect("a record")
}

#[tokio::test]
async fn a_filter_finds_what_it_says_and_nothing_else() {
    let queue = Queue::start().await;
    let of_acme = NewTask {
        group: Group::parse("acme").ok(),
        ..named("mail")
    };
    let first = dies(&queue, of_acme, ("Timeout", "no answer after 30 s (a+b)")).await;
    queue.at(10);
    let second = dies(&queue, named("mail"), ("Refused", "TIMEOUT of the peer")).await;
    queue.at(20);
    let third = queue
        .put(NewTask {
            max_attempts: Some(1),
            ..named("report")
        })
        .await;
    queue.lease_one().await;
    queue.at(40_000);
    queue.sweep().await;

    let filter = DeadFilter::default;
    let instant = |ms| Some(Millis::new(T0 + ms));
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (filter(), vec![first, second, third]),
        (
            DeadFilter {
                name: Some(task_name("mail")),
                ..filter()
            },
            vec![first, second],
        ),
        (
            DeadFilter {
                group: Group::parse("acme").ok(),
                ..filter()
            },
            vec![first],
        ),
        (
            DeadFilter {
                reason: Some(DeadReason::Rejected),
                ..filter()
            },
            vec![first, second],
        ),
        (
            DeadFilter {
                reason: Some(DeadReason::AttemptsExhausted),
                ..filter()
            },
            vec![third],
        ),
        (
            DeadFilter {
                reason: Some(DeadReason::Expired),
                ..filter()
            },
            vec![],
        ),
        (
            DeadFilter {
                error_type: text("Timeout"),
                ..filter()
            },
            vec![first],
        ),
        (
            DeadFilter {
                error_type: text("lease_expired"),
                ..filter()
            },
            vec![third],
        ),
        (
            DeadFilter {
                error_type: text("Time"),
                ..filter()
            },
            vec![],
        ),
        // Text is text: neither a pattern nor without case.
        (
            DeadFilter {
                error: text("(a+b)"),
                ..filter()
            },
            vec![first],
        ),
        (
            DeadFilter {
                error: text("TIMEOUT"),
                ..filter()
            },
            vec![second],
        ),
        (
            DeadFilter {
                error: text("n.*s"),
                ..filter()
            },
            vec![],
        ),
        (
            DeadFilter {
                died_after: instant(10),
                ..filter()
            },
            vec![second, third],
        ),
        (
            DeadFilter {
                died_before: instant(10),
                ..filter()
            },
            vec![first],
        ),
        (
            DeadFilter {
                died_after: instant(1),
                died_before: instant(11),
                ..filter()
            },
            vec![second],
        ),
        (
            DeadFilter {
                name: Some(task_name("mail")),
                error: text("peer"),
                ..filter()
            },
            vec![second],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(find(&queue, filter.clone()).await, expected, "{filter:?}");
    }
}

/// I24 I28: also where many died in one millisecond, and the entry that a page ended with has left since.
#[tokio::test]
async fn pages_meet_each_entry_that_stays_once_whatever_leaves_in_between() {
    for newest_first in [false, true] {
        let queue = Queue::start().await;
        for ms in [0, 0, 0, 0, 0, 0, 7, 7, 7] {
            queue.at(ms);
            died(&queue).await;
        }
        let everything = DeadFilter::default();
        let all = find(&queue, everything.clone()).await;
        assert_eq!(all.len(), 9);
        let mut expected = all.clone();
        if newest_first {
            expected.reverse();
        }
        let (mut met, mut behind) = (Vec::new(), None);
        loop {
            let op = DeadOp {
                newest_first,
                look: 2,
                ..look(&everything, behind)
            };
            let page = queue.call(&op).await.expect("the queue exists");
            assert!(page.looked <= 2);
            met.extend(ids(&page));
            // Each page's last is gone before the next is read.
            let last = *met.last().unwrap();
            assert_eq!(queue.call(&PurgeDeadOp(&[last])).await, Ok(1));
            behind = page.next;
            if behind.is_none() {
                break;
            }
        }
        assert_eq!(met, expected);
    }
}

/// I28: what matches nothing costs no more than what matches.
#[tokio::test]
async fn a_page_looks_at_no_more_than_it_may() {
    let queue = Queue::start().await;
    for _ in 0..10 {
        died(&queue).await;
    }
    let nobody = DeadFilter {
        name: Some(task_name("nobody")),
        ..DeadFilter::default()
    };
    let op = DeadOp {
        look: 4,
        ..look(&nobody, None)
    };
    let page = queue.call(&op).await.expect("the queue exists");
    assert_eq!((page.looked, page.letters.len()), (4, 0));
    let rest = queue
        .call(&look(&nobody, page.next))
        .await
        .expect("the queue exists");
    assert_eq!((rest.looked, rest.next), (6, None));
    let any = DeadFilter::default();
    let two = DeadOp {
        limit: 2,
        ..look(&any, None)
    };
    let page = queue.call(&two).await.expect("the queue exists");
    assert_eq!(
        (page.looked, page.letters.len(), page.next.is_some()),
        (2, 2, true)
    );
}

/// I2 I12 I14: the new task begins anew and is what the old one was.
#[tokio::test]
async fn a_replayed_task_is_the_old_one_begun_anew() {
    let queue = Queue::start().await;
    for bytes in [2, 3_000] {
        let payload = Bytes::from(format!("\"{}\"", "x".repeat(bytes)));
        let new = NewTask {
            name: task_name("mail"),
            group: Group::parse("acme").ok(),
            priority: Priority::new(50).unwrap(),
            max_attempts: Some(2),
            lease_ms: Some(5_000),
            meta: Meta {
                headers: [("tenant".to_owned(), "acme".to_owned())].into(),
                traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
                ..Meta::default()
            },
            ..NewTask::new(Json::from_checked(payload.clone()))
        };
        let old = dies(&queue, new, ("Timeout", "no answer")).await;
        let dead = queue.see(old).await;
        queue.at(60_000);
        let id = replay(&queue, old, &Replay::default(), Start::Now).await;

        assert!(queue.show(old).await.is_none());
        let seen = queue.see(id).await;
        assert_eq!(seen.state, TaskState::Ready);
        assert_eq!((seen.attempt, seen.grant, seen.attempts.len()), (0, 0, 0));
        assert_eq!(
            (seen.enqueued_at, seen.ready_at),
            (Millis::new(T0 + 60_000), Some(Millis::new(T0 + 60_000)))
        );
        assert_eq!(seen.payload.bytes(), &payload);
        assert_eq!(
            (&seen.name, &seen.group, seen.priority),
            (&dead.name, &dead.group, dead.priority)
        );
        assert_eq!((seen.max_attempts, seen.lease_ms), (2, 5_000));
        assert_eq!(
            (&seen.meta.headers, &seen.meta.traceparent),
            (&dead.meta.headers, &dead.meta.traceparent)
        );
        assert_eq!(seen.meta.replayed_from, Some(old));
        let held = queue.lease_one().await;
        assert_eq!(
            (held.task.id, held.task.attempt, held.task.meta.replayed_from),
            (id, 1, Some(old))
        );
        queue.ack(&held.lease).await;
    }
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.counts.accepted_total,
            overview.counts.replayed_total,
            overview.counts.dead
        ),
        (4, 2, 0)
    );
}

#[tokio::test]
async fn a_replayed_task_has_what_the_replay_says() {
    let queue = Queue::start().await;
    for (old_bytes, new_bytes) in [(2, 3), (2, 3_000), (3_000, 3), (3_000, 4_000)] {
        let payload = |bytes: usize| Json::from_checked(format!("\"{}\"", "y".repeat(bytes)).into());
        let old = dies(&queue, NewTask::new(payload(old_bytes)), ("error", "")).await;
        let given = Replay {
            max_attempts: Some(3),
            delay_ms: 0,
            priority: Priority::new(77),
            payload: Some(payload(new_bytes)),
        };
        let id = replay(&queue, old, &given, Start::Now).await;
        let seen = queue.see(id).await;
        assert_eq!((seen.max_attempts, seen.priority.get()), (3, 77));
        assert_eq!(seen.payload, payload(new_bytes));
        let held = queue.lease_one().await;
        assert_eq!(held.task.payload, payload(new_bytes));
        queue.ack(&held.lease).await;
    }
}

/// I19
#[tokio::test]
async fn a_replayed_task_waits_as_long_as_it_was_told() {
    let queue = Queue::start().await;
    let (after, at) = (died(&queue).await, died(&queue).await);
    let past = died(&queue).await;
    let anew = Replay::default();
    let after = replay(&queue, after, &anew, Start::After(500)).await;
    let at = replay(&queue, at, &anew, Start::At(Millis::new(T0 + 400))).await;
    let past = replay(&queue, past, &anew, Start::At(Millis::new(T0 - 1))).await;
    assert_eq!(queue.list(TaskState::Scheduled, 9).await, [at, after]);
    assert_eq!(queue.see(past).await.state, TaskState::Ready);
    queue.at(500);
    queue.sweep().await;
    let order: Vec<_> = queue.lease(9).await.iter().map(|held| held.task.id).collect();
    assert_eq!(order, [past, at, after]);
}

/// I14: whoever comes second finds it gone.
#[tokio::test]
async fn an_entry_is_replayed_once_also_when_two_replay_it() {
    let queue = Queue::start().await;
    let (one, other) = (died(&queue).await, died(&queue).await);
    let (one, other) = (letter(&queue, one).await, letter(&queue, other).await);
    let first = [item(&one)];
    let second = [item(&one), item(&other)];
    assert_eq!(moved(&queue, &first, false).await, [Moved::Moved(None)]);
    assert_eq!(
        moved(&queue, &second, false).await,
        [Moved::Gone, Moved::Moved(None)]
    );
    assert!(queue.show(second[0].id()).await.is_none());
    assert_eq!(queue.overview().await.counts.replayed_total, 2);
}

/// I16: the first try's outcome is unknown, and the second says what became of it: also when the new task is
/// done and gone.
#[tokio::test]
async fn a_replay_repeated_with_its_ids_makes_no_task_twice_and_is_told_the_same() {
    let queue = Queue::with(QueueConfig {
        keep: Some(Keep::None),
        ..QueueConfig::default()
    })
    .await;
    let old = died(&queue).await;
    let found = letter(&queue, old).await;
    let later = Item::new(
        &found,
        TaskId::new(Millis::new(T0)),
        Start::After(500),
        &Replay::default(),
    )
    .unwrap();
    let (id, items) = (later.id(), [later]);
    // A try that never arrived leaves all to the second.
    let due = Moved::Moved(Some(Millis::new(T0 + 500)));
    assert_eq!(moved(&queue, &items, true).await, [due]);
    assert_eq!(moved(&queue, &items, true).await, [due]);
    queue.at(500);
    queue.sweep().await;
    let held = queue.lease_one().await;
    assert_eq!(held.task.id, id);
    queue.nack_with(&held.lease, failure()).await;
    queue.at(10_000);
    queue.sweep().await;
    let held = queue.lease_one().await;
    queue.ack(&held.lease).await;
    assert!(queue.show(id).await.is_none());
    assert!(matches!(moved(&queue, &items, true).await[..], [Moved::Moved(_)]));
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.counts.replayed_total,
            overview.counts.ready,
            overview.counts.dead
        ),
        (1, 0, 0)
    );
}

/// I16: whatever became of the task meanwhile. Its enqueue had an unknown outcome, so the service sends it
/// again.
#[tokio::test]
async fn an_enqueue_repeated_after_its_dead_letter_has_left_makes_no_task() {
    for (leased, replays) in [(false, false), (false, true), (true, false), (true, true)] {
        let queue = Queue::start().await;
        let tasks = [NewTask {
            expiry: Some(Expiry::After(1_500)),
            max_attempts: Some(1),
            ..task()
        }];
        queue.enqueue(&tasks).await;
        if leased {
            queue.lease_as(wish(1_000), &[]).await; // Its lease runs out, which leaves no mark.
        }
        queue.at(1_500);
        queue.sweep().await;
        if replays {
            replay(&queue, tasks[0].id, &Replay::default(), Start::Now).await;
        } else {
            let purged = queue.call(&PurgeDeadOp(&[tasks[0].id])).await;
            assert_eq!(purged.expect("the queue exists"), 1);
        }
        let told = queue.told(&queue.enqueue_op(&tasks, true)).await;
        assert_eq!(told, [Ok(Enqueued::new(tasks[0].id, None))]);
        assert!(queue.show(tasks[0].id).await.is_none());
        assert_eq!(
            queue.overview().await.counts.accepted_total,
            1 + u64::from(replays)
        );
    }
}

fn wish(lease_ms: u64) -> Wish {
    Wish {
        tasks: 1,
        lease_ms: Some(lease_ms),
        ..Wish::default()
    }
}

/// I14: one entry goes once, whoever takes it, and a purge counts what it took.
#[tokio::test]
async fn a_purge_deletes_what_it_reports_and_nothing_else() {
    let queue = Queue::start().await;
    let mut dead = Vec::new();
    for _ in 0..4 {
        dead.push(died(&queue).await);
    }
    let alive = queue.put(task()).await;
    let replayed = item(&letter(&queue, dead[0]).await);
    moved(&queue, &[replayed], false).await;
    assert_eq!(queue.call(&PurgeDeadOp(&[dead[0], alive])).await, Ok(0));
    assert_eq!(queue.call(&PurgeDeadOp(&dead)).await, Ok(3));
    assert_eq!(queue.call(&PurgeDeadOp(&dead)).await, Ok(0));
    assert_eq!(queue.see(alive).await.state, TaskState::Ready);
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.counts.purged_total,
            overview.counts.dead,
            overview.counts.ready
        ),
        (3, 0, 2)
    );
}

/// I5 and the rest of the promise: purging is what makes room.
#[tokio::test]
async fn a_full_store_refuses_a_replay_whole_and_takes_a_purge() {
    let queue = Queue::start().await;
    let dead = [died(&queue).await, died(&queue).await];
    let items = [item(&letter(&queue, dead[0]).await)];
    let () = queue
        .redis
        .command(cmd("CONFIG").arg("SET").arg("maxmemory").arg(1));
    let before = queue.snapshot();
    let anew = Replay::default();
    let refused = queue.try_call(&op(&items, &anew, false)).await;
    assert_eq!(refused, Err(leaseq::store::StoreError::Full));
    assert_eq!(queue.snapshot(), before);
    assert_eq!(queue.call(&PurgeDeadOp(&dead)).await, Ok(2));
}

#[tokio::test]
async fn a_queue_that_does_not_exist_has_no_dead_letters_to_anybody() {
    let queue = Queue::start().await;
    let dead = died(&queue).await;
    let items = [item(&letter(&queue, dead).await)];
    let (_, keys) = other_queue("nobody");
    let anew = Replay::default();
    let looked = queue.store.call(&keys, &look(&DeadFilter::default(), None)).await;
    assert_eq!(looked.unwrap(), Err(Absent));
    assert_eq!(
        queue.store.call(&keys, &op(&items, &anew, false)).await.unwrap(),
        Err(Absent)
    );
    assert_eq!(
        queue.store.call(&keys, &PurgeDeadOp(&[dead])).await.unwrap(),
        Err(Absent)
    );
}

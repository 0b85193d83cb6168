//! Dead letters: their bounds, and what they died of.

use std::collections::BTreeMap;

use bytes::Bytes;
use leaseq::domain::fingerprint::DeadGroup;
use leaseq::domain::full::Full;
use leaseq::domain::limits::DEAD_GROUPS_MAX;
use leaseq::domain::queue::{OnFull, QueueConfig};
use leaseq::domain::settle::Nack;
use leaseq::domain::task::{Enqueued, Json, NotEnqueued, TaskError};
use leaseq::domain::{Millis, NewTask, TaskId, TaskState};
use leaseq::store::ops::dead_groups::DeadGroupsOp;

use crate::support::queue::{HALF, Queue, REPLICA, T0, named, rejection, task};

fn error(kind: &str, message: &str) -> Nack {
    Nack {
        error: TaskError {
            kind: kind.to_owned(),
            message: message.to_owned(),
            ..TaskError::default()
        },
        retry: false,
        delay_ms: None,
    }
}

async fn die(queue: &Queue, task: NewTask, how: Nack) -> TaskId {
    let id = queue.put(task).await;
    let held = queue.lease_one().await;
    queue.nack_with(&held.lease, how).await;
    id
}

fn with_payload(bytes: usize) -> NewTask {
    let text = format!("\"{}\"", "x".repeat(bytes - 2));
    NewTask::new(Json::from_checked(Bytes::from(text)))
}

async fn groups(queue: &Queue) -> Vec<DeadGroup> {
    let (mut groups, mut after) = (Vec::new(), String::new());
    loop {
        // Small pages, so that there are many.
        let op = DeadGroupsOp {
            after: &after,
            limit: 3,
        };
        let page = queue.call(&op).await.expect("the queue exists");
        groups.extend(page.groups);
        match page.next {
            Some(next) => after = next,
            None => return groups,
        }
    }
}

/// How many of each message.
async fn counts(queue: &Queue) -> BTreeMap<String, u64> {
    let message = |group: &DeadGroup| {
        group
            .error
            .as_ref()
            .map_or("other".to_owned(), |error| error.message.clone())
    };
    groups(queue)
        .await
        .iter()
        .map(|group| (message(group), group.count))
        .collect()
}

/// I14: bounded by bytes, of all that is kept of them; the oldest leave, counted.
#[tokio::test]
async fn dead_letters_beyond_max_bytes_leave_oldest_first_and_counted() {
    let config = QueueConfig {
        dead_max_bytes: Some(20_000),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    let mut ids = Vec::new();
    for n in 0..8 {
        queue.at(n);
        ids.insert(
            0,
            die(&queue, with_payload(3_000), error("Timeout", &"m".repeat(1_000))).await,
        );
    }
    let kept = queue.list(TaskState::Dead, 500).await;
    assert_eq!(
        kept,
        ids[..4],
        "four of 3,000 and 1,000 bytes with what lies beside them"
    );
    assert_eq!(queue.overview().await.counts.dead_evicted_total, 4);
    // One that is larger than all that may be kept drives all out, itself included.
    queue.at(9);
    die(&queue, with_payload(30_000), rejection()).await;
    let overview = queue.overview().await;
    assert_eq!((overview.counts.dead, overview.counts.dead_evicted_total), (0, 9));
}

/// I14: they age out by a sweep, not before their time, counted.
#[tokio::test]
async fn dead_letters_age_out_counted_and_not_before() {
    let config = QueueConfig {
        dead_max_age_ms: Some(60_000),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    let old = die(&queue, with_payload(3_000), rejection()).await;
    queue.at(1);
    let young = die(&queue, task(), rejection()).await;
    queue.at(59_999);
    queue.sweep().await;
    assert_eq!(queue.overview().await.counts.dead, 2);
    queue.at(60_000);
    queue.sweep().await;
    assert!(queue.show(old).await.is_none() && queue.show(young).await.is_some());
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.counts.dead,
            overview.counts.dead_aged_total,
            overview.counts.dead_evicted_total
        ),
        (1, 1, 0)
    );
}

/// A bound that was lowered a lot is reached in steps, and each sweep says that another is due.
#[tokio::test]
async fn sweeps_follow_each_other_while_a_bound_is_exceeded() {
    let mut queue = Queue::start().await;
    for n in 0..5 {
        queue.at(n);
        let tasks: Vec<_> = (0..200).map(|_| task()).collect();
        queue.enqueue(&tasks).await;
        let held = queue.lease(200).await;
        let items: Vec<_> = held.into_iter().map(|held| (held.lease, rejection())).collect();
        let op = leaseq::store::ops::nack::NackOp {
            replica: REPLICA.into(),
            chances: vec![HALF; items.len()],
            items,
        };
        queue.call(&op).await.expect("the queue exists");
    }
    let config = QueueConfig {
        dead_max_size: Some(1),
        ..QueueConfig::default()
    };
    queue.configure(config).await;
    let mut sweeps = 0;
    while queue.sweep().await.next_at.is_some() {
        sweeps += 1;
        assert!(sweeps < 10);
    }
    assert!(sweeps > 0, "1,000 are not evicted in one call");
    let overview = queue.overview().await;
    assert_eq!(
        (overview.counts.dead, overview.counts.dead_evicted_total),
        (1, 999)
    );
}

/// `reject_enqueue`: full by number or by bytes, no task is accepted until there is room; what was accepted
/// goes on.
#[tokio::test]
async fn a_queue_that_rejects_accepts_nothing_while_its_dead_letters_are_full() {
    for (size, bytes) in [(Some(2), None), (None, Some(8_000))] {
        let config = |on_full| QueueConfig {
            dead_max_size: size,
            dead_max_bytes: bytes,
            dead_on_full: on_full,
            ..QueueConfig::default()
        };
        let mut queue = Queue::with(config(Some(OnFull::RejectEnqueue))).await;
        queue.put(with_payload(3_000)).await;
        queue.put(with_payload(3_000)).await;
        for n in 0..2 {
            queue.put(task()).await;
            queue.at(n);
            let held = queue.lease_one().await;
            queue.nack_with(&held.lease, rejection()).await;
        }
        let before = queue.snapshot();
        let refused = [task(), task()];
        let told = queue.told(&queue.enqueue_op(&refused, false)).await;
        assert_eq!(told, vec![Err(NotEnqueued::Full(Full::DeadLetters)); 2]);
        assert_eq!(queue.snapshot(), before, "a refused enqueue leaves no mark");
        // Those that were accepted before still die, and the bound still holds.
        queue.at(9);
        let held = queue.lease_one().await;
        queue.nack_with(&held.lease, rejection()).await;
        let dead = queue.overview().await.counts.dead;
        assert!(size.is_none_or(|size| dead <= size), "{dead}");
        queue.configure(config(None)).await;
        assert!(queue.show(queue.put(task()).await).await.is_some());
    }
}

/// A repeat of an enqueue whose outcome was unknown is answered as the first try was, full or not.
#[tokio::test]
async fn a_repeated_enqueue_is_answered_though_dead_letters_are_full_now() {
    let config = QueueConfig {
        dead_max_size: Some(1),
        dead_on_full: Some(OnFull::RejectEnqueue),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    queue.put(task()).await;
    let tasks = [task()];
    queue.enqueue(&tasks).await;
    let held = queue.lease_one().await;
    queue.nack_with(&held.lease, rejection()).await;
    let told = queue.told(&queue.enqueue_op(&tasks, true)).await;
    assert_eq!(told, [Ok(Enqueued::new(tasks[0].id, None))]);
}

/// Same failure, same line, whatever the numbers in it; name and type tell failures apart.
#[tokio::test]
async fn dead_letters_are_counted_by_what_killed_them() {
    let queue = Queue::start().await;
    let mut last = None;
    for n in 0..5 {
        queue.at(n);
        last = Some(
            die(
                &queue,
                named("mail"),
                error("Timeout", &format!("no answer from 10.0.0.{n}:25")),
            )
            .await,
        );
    }
    queue.at(7);
    die(
        &queue,
        named("mail"),
        error("Refused", "no answer from 10.0.0.9:25"),
    )
    .await;
    die(
        &queue,
        named("report"),
        error("Timeout", "no answer from 10.0.0.9:25"),
    )
    .await;
    let groups = groups(&queue).await;
    assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), 7);
    assert_eq!(groups.len(), 3);
    let largest = groups.iter().max_by_key(|group| group.count).unwrap();
    let error = largest.error.as_ref().unwrap();
    assert_eq!(
        (error.name.as_str(), error.kind.as_str(), error.message.as_str()),
        ("mail", "Timeout", "no answer from <n>:<n>")
    );
    assert_eq!(largest.count, 5);
    assert_eq!(
        (largest.first_at, largest.last_at),
        (Millis::new(T0), Millis::new(T0 + 4))
    );
    assert_eq!(Some(largest.sample), last);
    let fingerprint = |at: usize| groups[at].fingerprint.len();
    assert_eq!([fingerprint(0), fingerprint(1), fingerprint(2)], [12; 3]);
}

/// Whatever ends an attempt for the last time has a fingerprint.
#[tokio::test]
async fn expired_leases_and_exhausted_deferrals_are_groups_of_their_own() {
    let config = QueueConfig {
        max_attempts: Some(1),
        max_deferrals: Some(0),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    for _ in 0..2 {
        queue.put(task()).await;
        queue.put(task()).await;
        let held = queue.lease_one().await;
        let later = leaseq::domain::settle::RetryAfter::Ms(1_000);
        queue.release(&held.lease, later).await;
    }
    queue.lease(2).await;
    queue.at(30_000);
    queue.sweep().await;
    let mut kinds: Vec<_> = groups(&queue)
        .await
        .into_iter()
        .map(|group| (group.error.unwrap().kind, group.count))
        .collect();
    kinds.sort();
    let expected =
        [("deferrals_exhausted", 2), ("lease_expired", 2)].map(|(kind, count)| (kind.to_owned(), count));
    assert_eq!(kinds, expected);
}

/// Counts go down with each way out, and a group without letters is gone.
#[tokio::test]
async fn what_leaves_the_dead_letters_leaves_its_group() {
    let config = QueueConfig {
        dead_max_size: Some(3),
        dead_max_age_ms: Some(60_000),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    for (n, message) in ["a", "b", "b", "c"].into_iter().enumerate() {
        queue.at(n as u64);
        die(&queue, task(), error("E", message)).await;
    }
    let of = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
        pairs
            .iter()
            .map(|(message, count)| ((*message).to_owned(), *count))
            .collect()
    };
    assert_eq!(counts(&queue).await, of(&[("b", 2), ("c", 1)]), "one evicted");
    queue.at(60_001);
    queue.sweep().await;
    assert_eq!(counts(&queue).await, of(&[("b", 1), ("c", 1)]), "one aged out");
    queue.at(70_000);
    queue.sweep().await;
    assert_eq!(counts(&queue).await, of(&[]));
}

/// I28: a thousand groups, then `other`; who leaves `other` is counted out of it, and a place that becomes
/// free is taken.
#[tokio::test]
async fn beyond_a_thousand_groups_failures_are_counted_as_other() {
    let config = QueueConfig {
        dead_max_age_ms: Some(60_000),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    // Words without digits: these would be masked.
    let word = |n: usize| -> String {
        n.to_string()
            .bytes()
            .map(|digit| char::from(digit - b'0' + b'a'))
            .collect()
    };
    let numbers: Vec<_> = (0..DEAD_GROUPS_MAX + 20).collect();
    for (at, chunk) in numbers.chunks(200).enumerate() {
        queue.at(at as u64);
        let tasks: Vec<_> = chunk.iter().map(|_| task()).collect();
        queue.enqueue(&tasks).await;
        let held = queue.lease(chunk.len()).await;
        let items: Vec<_> = held
            .into_iter()
            .zip(chunk)
            .map(|(held, n)| (held.lease, error("E", &word(*n))))
            .collect();
        let op = leaseq::store::ops::nack::NackOp {
            replica: REPLICA.into(),
            chances: vec![HALF; items.len()],
            items,
        };
        queue.call(&op).await.expect("the queue exists");
    }
    let found = counts(&queue).await;
    assert_eq!((found.len(), found["other"]), (DEAD_GROUPS_MAX + 1, 20));
    // The first 200 age out and leave 200 places.
    queue.at(60_000);
    while queue.sweep().await.next_at.is_some() {}
    queue.at(60_000);
    die(&queue, task(), error("E", "something new")).await;
    let found = counts(&queue).await;
    assert_eq!(
        (found.len(), found["other"], found["something new"]),
        (DEAD_GROUPS_MAX - 198, 20, 1)
    );
}

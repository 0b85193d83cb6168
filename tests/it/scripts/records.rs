//! The record of a task, written by Rust and Lua, read by both: any combination of what is optional.

use std::collections::BTreeMap;

use bytes::Bytes;
use deadpool_redis::redis::cmd;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::retry::{Jitter, Strategy, Thousandths};
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::task::{Json, Meta};
use leaseq::domain::unique::{OnDuplicate, Unique, UniqueScope};
use leaseq::domain::{Expiry, Group, Millis, NewTask, Priority, RetryPolicy, Start, TaskState, UniqueKey};
use leaseq::store::ops::Answer;
use leaseq::store::ops::lease::Wish;

use crate::support::queue::{Queue, T0, failure_after, task, task_name};

/// One of the 512 combinations, a bit each.
fn combination(bits: u32) -> NewTask {
    let has = |bit: u32| bits & (1 << bit) != 0;
    let payload_bytes = if has(5) { 2049 } else { 2048 };
    let meta = Meta {
        replayed_from: Some(task().id),
        headers: BTreeMap::from([("x-tenant".to_owned(), "Müller & Söhne".to_owned())]),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        tracestate: None,
    };
    NewTask {
        name: task_name(&"n".repeat(80)),
        group: has(3).then(|| Group::parse(&"ü/".repeat(42)).expect("126 bytes")),
        priority: Priority::new(1000).expect("the highest"),
        start: if has(0) { Start::After(1_500) } else { Start::Now },
        max_attempts: has(1).then_some(1000),
        lease_ms: has(2).then_some(43_200_000),
        expiry: has(7).then_some(Expiry::After(31_536_000_000)),
        retry: has(8).then_some(RetryPolicy {
            strategy: Strategy::Linear,
            base_ms: 31_536_000_000,
            factor: Thousandths(100_000),
            max_ms: 31_536_000_000,
            jitter: Jitter::None,
        }),
        unique: has(6).then(|| Unique {
            key: UniqueKey::parse(&"k".repeat(255)).expect("the longest"),
            scope: UniqueScope::UntilFinished,
            on_duplicate: OnDuplicate::Return,
        }),
        meta: if has(4) { meta } else { Meta::default() },
        ..NewTask::new(Json::from_checked(Bytes::from(format!(
            "\"{}\"",
            "p".repeat(payload_bytes - 2)
        ))))
    }
}

/// I2: everything a producer said reaches the worker and every reader, unchanged by what happens in between.
#[tokio::test]
async fn every_combination_of_optional_fields_reads_back_whole() {
    let mut queue = Queue::start().await;
    for bits in 0..512 {
        queue.reset(QueueConfig::default()).await;
        let new = combination(bits);
        let due = (bits & 1 != 0).then(|| Millis::new(T0 + 1_500));
        assert_eq!(queue.enqueue(std::slice::from_ref(&new)).await, [due]);
        queue.at(1_500);
        queue.sweep().await;
        for grant in 1..=4 {
            let wish = Wish {
                tasks: 1,
                worker: (grant == 3).then(|| "w".repeat(128)),
                ..Wish::default()
            };
            let held = queue.lease_as(wish, &[]).await.remove(0);
            let task = &held.task;
            assert_eq!((task.id, task.grant), (new.id, grant), "{bits:09b}");
            assert_eq!((&task.name, &task.group), (&new.name, &new.group));
            assert_eq!((task.priority, &*task.meta), (new.priority, &new.meta));
            assert_eq!(task.payload.bytes(), new.payload.bytes());
            assert_eq!(
                task.unique_key,
                new.unique.as_ref().map(|unique| unique.key.clone())
            );
            assert_eq!(held.lease.holds_key, new.unique.is_some());
            assert_eq!(task.max_attempts, new.max_attempts.unwrap_or(5));
            assert_eq!(task.lease_ms, new.lease_ms.unwrap_or(30_000));
            assert_eq!(task.enqueued_at, Millis::new(T0));
            let shown = queue.see(new.id).await;
            assert_eq!((shown.state, shown.grant), (TaskState::Leased, grant));
            assert_eq!((shown.name, shown.group), (new.name.clone(), new.group.clone()));
            assert_eq!(shown.unique_key, task.unique_key);
            assert_eq!((shown.meta, shown.lease_ms), (new.meta.clone(), task.lease_ms));
            let expires_at = new.expiry.map(|expiry| expiry.at(Millis::new(T0)));
            assert_eq!((task.expires_at, shown.expires_at), (expires_at, expires_at));
            assert_eq!(shown.retry, new.retry.unwrap_or_default());
            let lease = &held.lease;
            assert_eq!(
                lease.size as usize,
                bytes_kept(&queue, new.id.as_bytes()),
                "{bits:09b}"
            );
            match grant {
                1 => assert!(done(&queue.give_back(lease).await)),
                2 => assert!(done(&queue.nack_with(lease, failure_after(0)).await)),
                3 => assert!(done(&queue.release(lease, RetryAfter::Ms(0)).await)),
                _ => assert!(done(&queue.ack(lease).await)),
            }
        }
        assert_eq!(queue.see(new.id).await.payload.bytes(), new.payload.bytes());
        queue.clear();
    }
}

fn done<T>(answer: &Answer<T>) -> bool {
    matches!(answer, Answer::Done(_))
}

/// Bytes of a record and its payload as they lie.
fn bytes_kept(queue: &Queue, id: &[u8]) -> usize {
    ["rec", "pay"]
        .map(|role| -> usize { queue.redis.command(cmd("HSTRLEN").arg(queue.key(role)).arg(id)) })
        .iter()
        .sum()
}

/// Payloads of more than 2 KiB lie apart, so that scripts that read records stay fast.
#[tokio::test]
async fn a_payload_lies_in_its_record_up_to_2_kib_and_apart_beyond() {
    let queue = Queue::start().await;
    for (bits, apart) in [(0, 0usize), (32, 1)] {
        queue.put(combination(bits)).await;
        let payloads: usize = queue.redis.command(cmd("HLEN").arg(queue.key("pay")));
        assert_eq!(payloads, apart);
    }
}

/// I28: memory is a feature. The bytes of a plain task beside its payload.
#[tokio::test]
async fn a_plain_ready_task_is_a_record_and_a_list_entry() {
    let queue = Queue::start().await;
    let new = task();
    queue.put(new.clone()).await;
    // tick 7, flags 2, priority 2, name 1 + 7, payload 2
    assert_eq!(bytes_kept(&queue, new.id.as_bytes()), 21);
    let keys = queue.snapshot().into_keys().filter(|key| key.contains('{'));
    let mut roles: Vec<String> = keys.map(|key| key.replace("lq:1:{emails}:", "")).collect();
    roles.sort();
    assert_eq!(
        roles,
        [
            "fresh:10/default/",
            "heads:",
            "named",
            "names:default",
            "q",
            "rec",
            "state",
            "turn"
        ]
    );
}

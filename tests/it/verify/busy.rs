//! No false alarms: producers and workers use everything that moves tasks, while audits follow one another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use leaseq::domain::queue::{Order, QueueConfig};
use leaseq::domain::settle::{Ack, Nack, Release, RetryAfter, Settle, SettleOp};
use leaseq::domain::task::{Json, TaskError};
use leaseq::domain::{Group, Lease, NewTask, Priority, QueueName, Start};
use leaseq::engine::{Engine, EngineSettings, LeaseFrom, LeaseRequest, Leased};

use super::part;
use crate::support::audit::assert_sound;
use crate::support::redis::Redis;

const AUDITS: usize = 3;

fn queue() -> QueueName {
    QueueName::parse("busy").unwrap()
}

fn task(n: u64) -> NewTask {
    let payload = match n % 17 {
        0 => format!("\"{}\"", "x".repeat(3000)),
        _ => n.to_string(),
    };
    NewTask {
        group: (!n.is_multiple_of(3)).then(|| Group::parse(&format!("g{}", n % 5)).unwrap()),
        priority: Priority::new(n % 4 * 10).unwrap(),
        start: if n.is_multiple_of(6) {
            Start::After(n % 50)
        } else {
            Start::Now
        },
        max_attempts: n.is_multiple_of(4).then_some(2),
        ..NewTask::new(Json::from_checked(Bytes::from(payload)))
    }
}

async fn produce(engine: Engine, stop: Arc<AtomicBool>, from: u64) {
    let mut n = from;
    while !stop.load(Ordering::Relaxed) {
        let tasks = (n..n + 40).map(task).collect();
        for enqueued in engine.enqueue_many(&queue(), tasks).await {
            enqueued.unwrap().unwrap();
        }
        n += 40;
        // Workers are slower than producers: some backlog stays, and it stays bounded.
        while engine.stats(&queue()).await.unwrap().unwrap().counts.ready > 600
            && !stop.load(Ordering::Relaxed)
        {
            tokio::task::yield_now().await;
        }
    }
}

async fn work(engine: Engine, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let request = LeaseRequest {
            queues: LeaseFrom::One(queue()),
            max_tasks: 30,
            wait: Duration::from_millis(20),
            lease_ms: None,
            worker: None,
            names: Vec::new(),
            request_id: None,
        };
        let Leased::Tasks(granted) = engine.lease(request).await.unwrap() else {
            continue;
        };
        let leases: Vec<_> = granted
            .tasks()
            .iter()
            .map(|task| engine.open_lease(&task.lease_id).unwrap())
            .collect();
        // Every tenth answer never arrives: give-back.
        if leases.len() % 10 == 9 {
            continue;
        }
        granted.delivered();
        let op = |n: usize| match n % 8 {
            0 => SettleOp::Nack(Nack {
                error: TaskError::default(),
                retry: n.is_multiple_of(16),
                delay_ms: Some(5),
            }),
            1 => SettleOp::Release(Release::default()),
            2 => SettleOp::Release(Release {
                retry_after: RetryAfter::Ms(5),
                ..Release::default()
            }),
            _ => SettleOp::Ack(Ack::default()),
        };
        let settle = |(n, lease): (usize, Lease)| Settle { lease, op: op(n) };
        engine
            .settle_many(leases.into_iter().enumerate().map(settle).collect())
            .await;
    }
}

/// Orders that follow one another: heads are put in order in several steps, and meanwhile look wrong.
async fn reorder(engine: Engine, stop: Arc<AtomicBool>) {
    for n in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let config = QueueConfig {
            order: Some(if n.is_multiple_of(2) {
                Order::Fifo
            } else {
                Order::Aged
            }),
            completed_max: Some(300),
            dead_max_size: Some(200),
            ..QueueConfig::default()
        };
        engine.put_config(&queue(), config, None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audits_of_a_busy_queue_report_nothing() {
    let redis = Redis::start();
    let settings = EngineSettings::default();
    let engine = Engine::start(redis.store(), settings).await.unwrap();
    engine.enqueue(&queue(), task(1)).await.unwrap().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut crew = vec![
        tokio::spawn(produce(engine.clone(), stop.clone(), 0)),
        tokio::spawn(produce(engine.clone(), stop.clone(), 1_000_000)),
        tokio::spawn(reorder(engine.clone(), stop.clone())),
    ];
    crew.extend((0..4).map(|_| tokio::spawn(work(engine.clone(), stop.clone()))));
    let mut checked = 0;
    for _ in 0..AUDITS {
        let audit = part(&engine, &queue(), None, Duration::from_secs(60)).await;
        assert_eq!(audit.problems, []);
        checked += audit.checked;
    }
    stop.store(true, Ordering::Relaxed);
    for member in crew {
        member.await.unwrap();
    }
    engine.stop().await;
    assert!(checked > 1000, "{checked} tasks were there to be audited");
    assert_sound(&redis, "busy");
}

//! The engine over a private Redis: group commit, waiting, give-back.

mod dead_letters;

use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::redis::cmd;
use leaseq::domain::limits::LEASE_BYTES_MAX;
use leaseq::domain::pause::Pause;
use leaseq::domain::settle::{Ack, Settle, SettleOp, Settled};
use leaseq::domain::task::Json;
use leaseq::domain::{Lease, NewTask, QueueName, TaskState};
use leaseq::engine::{Engine, EngineSettings, LeaseFrom, LeaseRequest, Leased};
use leaseq::store::keys::WAKE;

use crate::support::redis::Redis;

fn queue(name: &str) -> QueueName {
    QueueName::parse(name).expect("a valid name")
}

fn task(payload: &'static str) -> NewTask {
    NewTask::new(Json::from_checked(Bytes::from_static(payload.as_bytes())))
}

fn ack(lease: Lease) -> Settle {
    Settle {
        lease,
        op: SettleOp::Ack(Ack::default()),
    }
}

fn lease(name: &str, max_tasks: usize, wait: Duration) -> LeaseRequest {
    LeaseRequest {
        queues: LeaseFrom::One(queue(name)),
        max_tasks,
        wait,
        lease_ms: None,
        worker: None,
        names: Vec::new(),
        request_id: None,
    }
}

async fn engine(redis: &Redis) -> Engine {
    Engine::start(redis.store(), EngineSettings::default())
        .await
        .expect("redis-server runs")
}

#[tokio::test]
async fn a_waiting_lease_gets_the_task_that_is_enqueued() {
    let redis = Redis::start();
    let engine = engine(&redis).await;
    engine.enqueue(&queue("warm"), task("1")).await.unwrap().unwrap();

    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.lease(lease("q", 1, Duration::from_secs(10))).await }
    });
    while engine.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let started = std::time::Instant::now();
    let enqueued = engine
        .enqueue(&queue("q"), task("{\"a\":1}"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(enqueued.state, Some(TaskState::Ready));

    let Leased::Tasks(granted) = waiting.await.unwrap().unwrap() else {
        panic!("empty")
    };
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "woken, not found by the fallback poll"
    );
    assert_eq!(granted.tasks()[0].id, enqueued.id);
    let lease = engine.open_lease(&granted.tasks()[0].lease_id).unwrap();
    granted.delivered();
    let settled = engine.settle(ack(lease)).await.unwrap().unwrap();
    assert_eq!(
        settled,
        Settled::Acked {
            id: enqueued.id,
            late: false,
            already: false
        }
    );
    engine.stop().await;
}

/// I26: a replica is not told by messages of what it does itself.
#[tokio::test]
async fn who_waits_for_a_paused_queue_is_woken_by_its_resume() {
    let redis = Redis::start();
    let engine = engine(&redis).await;
    let id = engine.enqueue(&queue("q"), task("1")).await.unwrap().unwrap().id;
    engine
        .pause(&queue("q"), Pause::default())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.lease(lease("q", 1, Duration::from_secs(10))).await }
    });
    while engine.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let started = std::time::Instant::now();
    engine.resume(&queue("q")).await.unwrap().unwrap();
    let Leased::Tasks(granted) = waiting.await.unwrap().unwrap() else {
        panic!("empty")
    };
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "woken, not found by the fallback poll"
    );
    assert_eq!(granted.tasks()[0].id, id);
    granted.delivered();
    engine.stop().await;
}

#[tokio::test]
async fn grants_of_a_caller_who_left_are_given_back_at_once_and_uncounted() {
    let redis = Redis::start();
    let engine = engine(&redis).await;
    let id = engine.enqueue(&queue("q"), task("1")).await.unwrap().unwrap().id;

    let Leased::Tasks(granted) = engine.lease(lease("q", 1, Duration::ZERO)).await.unwrap() else {
        panic!("empty")
    };
    drop(granted);

    let Leased::Tasks(again) = engine.lease(lease("q", 1, Duration::from_secs(5))).await.unwrap() else {
        panic!("empty")
    };
    assert_eq!(
        (
            again.tasks()[0].id,
            again.tasks()[0].attempt,
            again.tasks()[0].grant
        ),
        (id, 1, 2)
    );
    again.delivered();
    engine.stop().await;
}

/// I6: the repeat of a call gets its grants through another replica, where they stay though the first caller
/// is found to have left.
#[tokio::test]
async fn grants_that_a_repeat_got_elsewhere_are_not_given_back() {
    let redis = Redis::start();
    let (first, second) = (engine(&redis).await, engine(&redis).await);
    first.enqueue(&queue("q"), task("1")).await.unwrap().unwrap();
    let call = || LeaseRequest {
        request_id: Some("r".to_owned()),
        ..lease("q", 1, Duration::ZERO)
    };
    let Leased::Tasks(never_delivered) = first.lease(call()).await.unwrap() else {
        panic!("empty")
    };
    let Leased::Tasks(granted) = second.lease(call()).await.unwrap() else {
        panic!("empty")
    };
    assert_eq!(granted.tasks()[0].lease_id, never_delivered.tasks()[0].lease_id);
    let held = second.open_lease(&granted.tasks()[0].lease_id).unwrap();
    granted.delivered();
    drop(never_delivered);
    let empty = first
        .lease(lease("q", 1, Duration::from_millis(50)))
        .await
        .unwrap();
    assert!(matches!(empty, Leased::Empty { .. }));
    let settled = second.settle(ack(held)).await.unwrap();
    assert!(matches!(settled, Ok(Settled::Acked { already: false, .. })));
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_scheduled_task_is_delivered_when_it_is_due_and_not_before() {
    let redis = Redis::start();
    let engine = engine(&redis).await;
    let mut later = task("1");
    later.start = leaseq::domain::Start::After(150);
    let enqueued = engine.enqueue(&queue("q"), later).await.unwrap().unwrap();

    let Leased::Tasks(granted) = engine.lease(lease("q", 1, Duration::from_secs(5))).await.unwrap() else {
        panic!("empty")
    };
    let task = &granted.tasks()[0];
    assert!(task.server_time >= enqueued.run_at.unwrap());
    assert_eq!(task.ready_at, enqueued.run_at.unwrap());
    granted.delivered();
    engine.stop().await;
}

fn listeners(redis: &Redis) -> u64 {
    let (_, count): (String, u64) = redis.command(cmd("PUBSUB").arg("NUMSUB").arg(WAKE));
    count
}

/// I26: also for the first task that another replica accepts.
#[tokio::test]
async fn an_engine_that_has_started_hears_other_replicas() {
    let redis = Redis::start();
    for replicas in 1..=5 {
        engine(&redis).await;
        assert_eq!(listeners(&redis), replicas);
    }
}

/// I26: a subscription that cannot be had costs a second at most, as every wake-up that is lost.
#[tokio::test]
async fn an_engine_that_cannot_hear_other_replicas_serves() {
    let redis = Redis::start();
    let _: () = redis.command(cmd("ACL").arg("SETUSER").arg("default").arg("-subscribe"));
    let (one, other) = tokio::join!(engine(&redis), engine(&redis));
    assert_eq!(listeners(&redis), 0);
    let waiting = tokio::spawn({
        let other = other.clone();
        async move { other.lease(lease("q", 1, Duration::from_secs(10))).await }
    });
    while other.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let id = one.enqueue(&queue("q"), task("1")).await.unwrap().unwrap().id;
    let Leased::Tasks(granted) = waiting.await.unwrap().unwrap() else {
        panic!("empty")
    };
    assert_eq!(granted.tasks()[0].id, id);
    granted.delivered();
}

/// I28: hundreds wait for the ends of hundreds, each by two, and all hear of theirs.
#[tokio::test]
async fn each_of_many_reads_that_wait_hears_of_its_task() {
    let redis = Redis::start();
    let engine = engine(&redis).await;
    let tasks = (0..300).map(|_| task("1")).collect();
    let enqueued = engine.enqueue_many(&queue("q"), tasks).await;
    let ids = enqueued.into_iter().map(|task| task.unwrap().unwrap().id);
    let waiting: Vec<_> = ids
        .flat_map(|id| [id, id])
        .map(|id| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let task = engine
                    .task_when_finished(&queue("q"), id, Duration::from_secs(30))
                    .await;
                (id, task.unwrap().unwrap())
            })
        })
        .collect();
    while engine.following() < 600 {
        tokio::task::yield_now().await;
    }
    let Leased::Tasks(granted) = engine.lease(lease("q", 300, Duration::ZERO)).await.unwrap() else {
        panic!("empty")
    };
    let acks = granted.tasks().iter().map(|task| {
        let lease = engine.open_lease(&task.lease_id).unwrap();
        ack(lease)
    });
    engine.settle_many(acks.collect()).await;
    granted.delivered();
    for waited in waiting {
        let (id, task) = waited.await.unwrap();
        assert_eq!((task.id, task.state), (id, TaskState::Completed));
    }
    assert_eq!(engine.following(), 0);
    engine.stop().await;
}

/// I28. More tasks than one script call gives, and large ones behind small ones.
#[tokio::test]
async fn a_lease_answer_of_many_script_calls_is_bounded_by_bytes() {
    let redis = Redis::start();
    let engine = engine(&redis).await;
    let sized = |bytes: usize| {
        let payload = format!("\"{}\"", "x".repeat(bytes - 2));
        NewTask::new(Json::from_checked(Bytes::from(payload)))
    };
    let small = (0..256).map(|_| sized(10_000));
    let large = (0..12).map(|_| sized(1_000_000));
    let enqueued = engine
        .enqueue_many(&queue("q"), small.chain(large).collect())
        .await;
    assert!(enqueued.iter().all(Result::is_ok));

    let Leased::Tasks(granted) = engine.lease(lease("q", 1000, Duration::ZERO)).await.unwrap() else {
        panic!("empty")
    };
    assert_eq!(granted.tasks().len(), 256 + 5);
    assert!(granted.bytes() <= LEASE_BYTES_MAX);
    granted.delivered();
    engine.stop().await;
}

//! Enqueue: accepted once, whole, in order; or not at all.

use bytes::Bytes;
use deadpool_redis::redis::cmd;
use leaseq::domain::queue::{Keep, QueueConfig};
use leaseq::domain::task::Json;
use leaseq::domain::{Millis, NewTask, Start, TaskState};
use leaseq::store::ops::configure::{ConfigureOp, Configured};
use leaseq::store::ops::enqueue::{Accepted, EnqueueOp};

use crate::support::queue::{Queue, REPLICA, T0, delayed, grouped, rejection, run_at, task};
use crate::support::redis::queue as other_queue;

fn with_payload(text: impl Into<Bytes>) -> NewTask {
    NewTask::new(Json::from_checked(text.into()))
}

/// I2: byte for byte, as JSON text: no decoding, no rounding, wherever it lies and whatever reads it.
#[tokio::test]
async fn a_payload_comes_back_byte_for_byte() {
    let queue = Queue::start().await;
    let of_size = |bytes: usize| format!("\"{}\"", "ü".repeat(bytes / 2 - 1));
    let payloads = [
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "\"\"".to_owned(),
        r#" { "a" : [ ] , "n" : 9007199254740993, "x": 1.0000000000000000001, "e": 1e400 } "#.to_owned(),
        r#""\u0000\n\\""#.to_owned(),
        of_size(2048),
        of_size(2050),
        of_size(100_000),
        of_size(1 << 20),
    ];
    for payload in payloads {
        let id = queue.put(with_payload(payload.clone())).await;
        let held = queue.lease_one().await;
        assert_eq!(held.task.payload.bytes(), payload.as_bytes());
        assert_eq!(queue.see(id).await.payload.bytes(), payload.as_bytes());
        queue.give_back(&held.lease).await;
        let again = queue.lease_one().await;
        assert_eq!(again.task.payload.bytes(), payload.as_bytes());
        queue.ack_with(&again.lease, Some("[]")).await;
        let shown = queue.see(id).await;
        assert_eq!(shown.payload.bytes(), payload.as_bytes());
        assert_eq!(shown.result.unwrap().bytes(), "[]");
    }
}

/// I1: the service repeats an enqueue whose outcome it does not know, and nothing is doubled, whatever has
/// become of the tasks in between.
#[tokio::test]
async fn an_enqueue_repeated_with_the_same_ids_makes_no_task_twice() {
    for keep in [Keep::All, Keep::None] {
        let config = QueueConfig {
            keep: Some(keep),
            dead_max_size: Some(0),
            ..QueueConfig::default()
        };
        let queue = Queue::with(config).await;
        let tasks: Vec<_> = (0..6).map(|_| task()).chain([delayed(500)]).collect();
        let due = Some(Millis::new(T0 + 500));
        let first = queue.call(&queue.enqueue_op(&tasks, false)).await;
        let Accepted::Tasks {
            ready: 6, outcomes, ..
        } = first
        else {
            panic!("{first:?}")
        };
        assert_eq!(run_at(&outcomes)[5..], [None, due]);
        let held = queue.lease(4).await;
        queue.ack(&held[0].lease).await;
        queue.nack_with(&held[1].lease, rejection()).await; // No room for dead letters: gone at once.
        queue.give_back(&held[2].lease).await;
        for _ in 0..2 {
            let again = queue.call(&queue.enqueue_op(&tasks, true)).await;
            let Accepted::Tasks {
                ready: 0,
                outcomes: the_same,
                ..
            } = again
            else {
                panic!("{again:?}")
            };
            assert_eq!(the_same, outcomes);
        }
        assert_eq!(queue.overview().await.counts.accepted_total, 7);
    }
}

/// I1: a repeat of a batch that was applied in part completes it.
#[tokio::test]
async fn a_repeated_batch_adds_what_was_missing() {
    let queue = Queue::start().await;
    let big = with_payload(format!("\"{}\"", "x".repeat(3_000)));
    let tasks = [task(), big.clone(), grouped("acme"), big.clone()].map(|task| NewTask {
        id: leaseq::domain::TaskId::new(Millis::local()),
        ..task
    });
    queue.enqueue(&tasks[..2]).await;
    let again = queue.call(&queue.enqueue_op(&tasks, true)).await;
    assert!(matches!(again, Accepted::Tasks { ready: 2, .. }), "{again:?}");
    assert_eq!(queue.see(tasks[3].id).await.payload, big.payload);
    assert_eq!(queue.lease(10).await.len(), 4);
}

/// I19: the script's clock decides whether a time has come.
#[tokio::test]
async fn a_task_with_a_time_that_has_come_is_ready_and_else_scheduled() {
    let queue = Queue::start().await;
    let at = |start| NewTask { start, ..task() };
    let now = Millis::new(T0);
    for (start, due) in [
        (Start::Now, None),
        (Start::After(0), None),
        (Start::After(1), Some(now.plus(1))),
        (Start::At(Millis::new(0)), None),
        (Start::At(now), None),
        (Start::At(now.plus(1)), Some(now.plus(1))),
    ] {
        let new = at(start);
        let id = new.id;
        assert_eq!(queue.enqueue(&[new]).await, [due], "{start:?}");
        let shown = queue.see(id).await;
        let state = due.map_or(TaskState::Ready, |_| TaskState::Scheduled);
        assert_eq!((shown.state, shown.ready_at), (state, Some(due.unwrap_or(now))));
    }
}

/// I5 I16: policies are resolved with the config that holds, or nothing is left of the try.
#[tokio::test]
async fn an_enqueue_resolved_with_another_config_is_told_the_present_one() {
    let mut queue = Queue::start().await;
    let stale = QueueConfig::default();
    let config = QueueConfig {
        max_attempts: Some(2),
        ..QueueConfig::default()
    };
    queue.configure(config.clone()).await;
    let op = EnqueueOp {
        version: T0,
        config: stale.into(),
        replica: REPLICA.into(),
        again: false,
        all_or_none: false,
        names_epoch: 0,
        asked_names: Vec::new(),
        tasks: vec![task()],
    };
    let before = queue.snapshot();
    let told = queue.call(&op).await;
    let Accepted::Config { version, document } = told else {
        panic!("{told:?}")
    };
    assert_eq!(version, T0 + 1);
    assert_eq!(serde_json::from_str::<QueueConfig>(&document).unwrap(), config);
    assert_eq!(queue.snapshot(), before);
    let (_, nowhere) = other_queue("nobody");
    assert_eq!(queue.store.call(&nowhere, &op).await.unwrap(), Accepted::Absent);
}

/// I5: what is configured when somebody else configured first is refused, with the version to look at.
#[tokio::test]
async fn a_configure_expects_the_version_that_it_saw() {
    let queue = Queue::start().await;
    let config = QueueConfig::default();
    let op = |expected, create| ConfigureOp {
        expected,
        create,
        config: &config,
    };
    for (expected, create, told) in [
        (Some(0), true, Configured::Mismatch { version: T0 }),
        (Some(2), true, Configured::Mismatch { version: T0 }),
        (
            Some(T0),
            false,
            Configured::Done {
                version: T0 + 1,
                created: false,
                reorder: false,
            },
        ),
        (
            None,
            false,
            Configured::Done {
                version: T0 + 2,
                created: false,
                reorder: false,
            },
        ),
    ] {
        assert_eq!(queue.call(&op(expected, create)).await, told);
    }
    let (_, absent) = other_queue("new");
    let made = async |op: ConfigureOp<'_>| queue.store.call(&absent, &op).await.unwrap();
    assert_eq!(made(op(None, false)).await, Configured::Mismatch { version: 0 });
    assert!(matches!(
        made(op(Some(0), true)).await,
        Configured::Done { created: true, .. }
    ));
    crate::support::audit::assert_sound(&queue.redis, "new");
}

/// I26: whoever makes a task ready tells the replicas that wait, once, and only others.
#[tokio::test]
async fn waiting_replicas_are_told_once_of_tasks_that_became_ready() {
    let queue = Queue::start().await;
    let wishes = [leaseq::store::ops::lease::Wish {
        tasks: 1,
        ..Default::default()
    }];
    let hungry = || queue.redis.state("emails").unwrap().1;
    for replica in ["bbbbbbbb,", "cccccccc,", "bbbbbbbb,", REPLICA] {
        let mut op = queue.lease_op(&[], &wishes);
        (op.tell_me, op.replica) = (true, replica.into());
        queue.call(&op).await;
    }
    assert_eq!(hungry(), "bbbbbbbb,cccccccc,aaaaaaaa,");

    let client = deadpool_redis::redis::Client::open(queue.redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let soon = Some(std::time::Duration::from_secs(5));
    connection.set_read_timeout(soon).unwrap();
    let mut wakes = connection.as_pubsub();
    wakes.subscribe(leaseq::store::keys::WAKE).unwrap();
    queue.enqueue(&[delayed(500)]).await;
    assert_eq!(hungry(), "bbbbbbbb,cccccccc,aaaaaaaa,", "nothing is ready yet");
    queue.enqueue(&[task(), task()]).await;
    let told: String = wakes.get_message().unwrap().get_payload().unwrap();
    assert_eq!(told, "emails 2 aaaaaaaa,");
    assert_eq!(hungry(), REPLICA, "it knows by itself, and may go on waiting");
    queue.enqueue(&[task()]).await;
    let _: i64 = queue
        .redis
        .command(cmd("PUBLISH").arg(leaseq::store::keys::WAKE).arg("end"));
    let told: String = wakes.get_message().unwrap().get_payload().unwrap();
    assert_eq!(told, "end", "nobody else waits");
}

/// I1 I3: a first try that lingered in some buffer is no second task, also when the first one is long done.
#[tokio::test]
async fn a_first_try_that_comes_after_its_repeat_makes_nothing() {
    let queue = Queue::start().await;
    let tasks = [task(), task()];
    queue.call(&queue.enqueue_op(&tasks, true)).await;
    let held = queue.lease_one().await;
    queue.ack(&held.lease).await;
    queue.call(&queue.enqueue_op(&tasks, false)).await;
    let overview = queue.overview().await;
    assert_eq!(
        (
            overview.counts.accepted_total,
            overview.counts.ready,
            overview.counts.completed_total
        ),
        (2, 1, 1)
    );
    queue.enqueue(&[task()]).await;
    assert_eq!(
        queue.overview().await.counts.accepted_total,
        3,
        "who is new is accepted"
    );
}

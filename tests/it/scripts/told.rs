//! Events about gates: the script that makes the change publishes each one once.

use std::time::Duration;

use deadpool_redis::redis::{Client, Connection};
use leaseq::domain::gate::{Breaker, Scope, Set};
use leaseq::domain::pause::{Pause, PauseMode};
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::{Millis, TaskName};
use leaseq::store::keys;
use leaseq::store::ops::configure::{ConfigureOp, Configured};
use leaseq::store::ops::pause::{PauseChanged, PauseOp};
use leaseq::store::ops::set_breaker::SetBreakerOp;

use crate::support::queue::{Queue, REPLICA, T0, failure_after, named, task_name};

struct Ear(Connection);

impl Ear {
    fn on(queue: &Queue) -> Self {
        let client = Client::open(queue.redis.url()).expect("an address");
        let connection = client.get_connection().expect("Redis is there");
        connection
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a time");
        Self(connection)
    }

    /// The events that `change` causes, up to a final message.
    async fn hears(&mut self, queue: &Queue, change: impl AsyncFnOnce(&Queue)) -> Vec<String> {
        let mut events = self.0.as_pubsub();
        events.subscribe(keys::EVENTS).expect("a channel");
        change(queue).await;
        let _: i64 = queue
            .redis
            .command(deadpool_redis::redis::cmd("PUBLISH").arg(keys::EVENTS).arg("end"));
        let mut told = Vec::new();
        loop {
            let message: String = events
                .get_message()
                .expect("a message")
                .get_payload()
                .expect("text");
            if message == "end" {
                return told;
            }
            told.push(message);
        }
    }
}

async fn lease(queue: &Queue, tasks: usize) -> usize {
    queue.lease(tasks).await.len()
}

/// A queue whose breakers open for a second with the first failure.
async fn fragile() -> Queue {
    let breaker = Breaker {
        failure_threshold: Some(1),
        reset_ms: Some(1_000),
        ..Breaker::default()
    };
    Queue::with(QueueConfig {
        breaker: Some(breaker),
        ..QueueConfig::default()
    })
    .await
}

#[tokio::test]
async fn each_change_of_a_breaker_is_told_once() {
    let breaker = Breaker {
        failure_threshold: Some(2),
        reset_ms: Some(1_000),
        half_open_max: Some(1),
        success_threshold: Some(1),
    };
    let queue = Queue::with(QueueConfig {
        breaker: Some(breaker),
        ..QueueConfig::default()
    })
    .await;
    let mut ear = Ear::on(&queue);
    let mails: Vec<_> = (0..9).map(|_| named("mail")).collect();
    queue.enqueue(&mails).await;
    let said = |state: &str| vec![format!(r#"breaker emails {{"name":"mail","state":"{state}"}}"#)];
    let fails = async |queue: &Queue| {
        let held = queue.lease_one().await;
        queue.nack_with(&held.lease, failure_after(0)).await;
    };
    assert_eq!(
        ear.hears(&queue, fails).await,
        Vec::<String>::new(),
        "one failure"
    );
    assert_eq!(ear.hears(&queue, fails).await, said("open"));
    let looks = async |queue: &Queue| {
        lease(queue, 1).await;
    };
    assert_eq!(ear.hears(&queue, looks).await, Vec::<String>::new());
    queue.at(1_000);
    let probe = ear
        .hears(&queue, async |queue| assert_eq!(lease(queue, 9).await, 1))
        .await;
    assert_eq!(probe, said("half_open"));
    queue.at(31_000);
    let reopened = ear
        .hears(&queue, async |queue| {
            queue.sweep().await;
        })
        .await;
    assert_eq!(reopened, said("open"), "the probe ran out");
    queue.at(33_000);
    let closed = ear
        .hears(&queue, async |queue| {
            let held = queue.lease_one().await;
            queue.ack(&held.lease).await;
        })
        .await;
    assert_eq!(closed, [said("half_open"), said("closed")].concat());
    assert_eq!(ear.hears(&queue, looks).await, Vec::<String>::new());
}

/// Many calls may find it half-open before the first probe.
#[tokio::test]
async fn a_breaker_that_nobody_tries_is_told_once() {
    let queue = fragile().await;
    let mut ear = Ear::on(&queue);
    queue
        .enqueue(&[named("mail"), named("mail"), named("mail")])
        .await;
    let held = queue.lease(3).await;
    queue.nack_with(&held[0].lease, failure_after(60_000)).await;
    queue.at(1_000);
    let told = ear
        .hears(&queue, async |queue| {
            for held in &held[1..] {
                queue.ack(&held.lease).await;
            }
            lease(queue, 1).await;
        })
        .await;
    assert_eq!(told, [r#"breaker emails {"name":"mail","state":"half_open"}"#]);
}

#[tokio::test]
async fn a_half_open_breaker_that_is_configured_no_more_is_told_as_closed() {
    let queue = fragile().await;
    let mut ear = Ear::on(&queue);
    queue
        .enqueue(&[named("mail"), named("mail"), named("sync"), named("sync")])
        .await;
    for name in ["mail", "sync"] {
        let held = queue.lease_names(1, &[name]).await.remove(0);
        queue.nack_with(&held.lease, failure_after(60_000)).await;
    }
    queue.at(1_000);
    let told = ear
        .hears(&queue, async |queue| {
            assert_eq!(queue.lease_names(1, &["mail"]).await.len(), 1);
            let op = ConfigureOp {
                expected: None,
                create: false,
                config: &QueueConfig::default(),
            };
            assert!(matches!(queue.call(&op).await, Configured::Done { .. }));
        })
        .await;
    let said = |name: &str, state: &str| format!(r#"breaker emails {{"name":"{name}","state":"{state}"}}"#);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], said("mail", "half_open"));
    assert!(told.contains(&said("mail", "closed")));
    assert!(told.contains(&said("sync", "closed")), "its time was over, too");
}

#[tokio::test]
async fn a_breaker_that_an_operator_sets_is_told() {
    let queue = Queue::start().await;
    let mut ear = Ear::on(&queue);
    queue.put(named("mail")).await;
    async fn set(queue: &Queue, name: &TaskName, set: Set) {
        queue
            .call(&SetBreakerOp { name, set })
            .await
            .expect("the queue exists");
    }
    let mail = task_name("mail");
    let told = ear
        .hears(&queue, async |queue| {
            set(queue, &mail, Set::Closed).await; // it is
            set(queue, &mail, Set::Open { ms: None }).await;
            set(queue, &mail, Set::Closed).await;
            set(queue, &mail, Set::Open { ms: Some(10) }).await;
            assert_eq!(lease(queue, 1).await, 0);
            queue.at(10);
            assert_eq!(lease(queue, 1).await, 1);
        })
        .await;
    let states = ["open", "closed", "open", "closed"];
    let said = states.map(|state| format!(r#"breaker emails {{"name":"mail","state":"{state}"}}"#));
    assert_eq!(told, said);
}

#[tokio::test]
async fn holds_of_operators_and_pauses_are_told() {
    let queue = Queue::start().await;
    let mut ear = Ear::on(&queue);
    let told = ear
        .hears(&queue, async |queue| {
            queue.hold(&Scope::Queue, 0).await; // nothing is held
            queue.hold(&Scope::Queue, 1_500).await;
            queue.hold(&Scope::Queue, 0).await;
            queue.hold(&Scope::Name("mail".to_owned()), 60_000).await;
            queue.hold(&Scope::Group("\"%s\"\\ Müller/1".to_owned()), 1).await;
        })
        .await;
    let said = [
        r#"hold emails {"for_seconds":1.5}"#,
        r#"hold emails {"for_seconds":0}"#,
        r#"hold emails {"name":"mail","for_seconds":60}"#,
        r#"hold emails {"group":"\"%s\"\\ Müller\/1","for_seconds":0.001}"#,
    ];
    assert_eq!(told, said);

    let pause = async |queue: &Queue, pause: Option<Pause>| {
        let op = PauseOp {
            replica: REPLICA,
            pause: pause.as_ref(),
        };
        let changed = queue.call(&op).await.expect("the queue exists");
        assert!(matches!(changed, PauseChanged::Done { .. }));
    };
    let told = ear
        .hears(&queue, async |queue| {
            pause(queue, None).await; // it is not paused
            for mode in PauseMode::ALL {
                let stop = Pause {
                    mode,
                    until: Some(Millis::new(T0 + 5_000)),
                    reason: Some("a \"reason\"".to_owned()),
                };
                pause(queue, Some(stop)).await;
            }
            pause(queue, None).await;
            pause(
                queue,
                Some(Pause {
                    until: Some(Millis::new(T0 + 5_000)),
                    ..Pause::default()
                }),
            )
            .await;
            queue.at(5_000);
            queue.sweep().await;
            queue.sweep().await;
        })
        .await;
    let said = [
        r#"paused emails {"mode":"lease"}"#,
        r#"paused emails {"mode":"enqueue"}"#,
        r#"paused emails {"mode":"both"}"#,
        "resumed emails {}",
        r#"paused emails {"mode":"lease"}"#,
        "resumed emails {}",
    ];
    assert_eq!(told, said);
}

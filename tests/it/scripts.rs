//! Each operation's script against a private Redis on a set clock: these keys, this call, these keys after.

mod backoff;
mod breakers;
mod connection;
mod cost;
mod dead_bounds;
mod dead_letters;
mod enqueue;
mod expired;
mod expiry;
mod extend;
mod follow;
mod full_of_dead;
mod full_store;
mod headers;
mod history;
mod holds;
mod intake;
mod lane_costs;
mod limited;
mod limits;
mod marks;
mod naming;
mod operate;
mod order;
mod pause;
mod pulse;
mod reads;
mod records;
mod repeats;
mod replace;
mod requests;
mod retention;
mod settle;
mod stale;
mod standing;
mod tenants;
mod told;
mod turns;
mod unique;
mod unique_expiry;
mod unique_operations;
mod wrong_gates;
mod wrong_types;

use bytes::Bytes;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::settle::Ack;
use leaseq::domain::task::Json;
use leaseq::domain::{LeaseKey, NewTask, TaskState};
use leaseq::store::ops::Answer;
use leaseq::store::ops::ack::{AckOp, Acked};
use leaseq::store::ops::configure::{ConfigureOp, Configured};
use leaseq::store::ops::enqueue::{Accepted, EnqueueOp};
use leaseq::store::ops::lease::{Grants, LeaseOp, LeaseReply, Wish};
use leaseq::store::ops::overview::OverviewOp;
use leaseq::store::ops::show::ShowOp;

use crate::support::redis::{Redis, queue};

#[tokio::test]
async fn a_task_is_enqueued_leased_acked_and_its_result_stays_readable() {
    let redis = Redis::start();
    redis.set_clock(1_800_000_000_000);
    let store = redis.store_on_set_clock();
    let (name, keys) = queue("emails");
    let config = QueueConfig::default();
    let made = store
        .call(
            &keys,
            &ConfigureOp {
                expected: Some(0),
                create: true,
                config: &config,
            },
        )
        .await
        .unwrap();
    assert_eq!(
        made,
        Configured::Done {
            version: 1_800_000_000_000,
            created: true,
            reorder: false
        }
    );

    let payload = br#"{"a":[], "n":9007199254740993}"#;
    let tasks: Vec<NewTask> = (0..3)
        .map(|_| NewTask::new(Json::from_checked(Bytes::from_static(payload))))
        .collect();
    let op = EnqueueOp {
        version: 1_800_000_000_000,
        config: config.into(),
        replica: "aaaaaaaa,".into(),
        again: false,
        all_or_none: false,
        names_epoch: 0,
        asked_names: Vec::new(),
        tasks: tasks.clone(),
    };
    let accepted = store.call(&keys, &op).await.unwrap();
    assert!(
        matches!(accepted, Accepted::Tasks { ready: 3, .. }),
        "{accepted:?}"
    );

    let wishes = vec![Wish {
        tasks: 2,
        ..Wish::default()
    }];
    let op = LeaseOp {
        replica: "aaaaaaaa,".into(),
        tell_me: true,
        look: true,
        bytes_max: 1 << 20,
        seed: 7,
        names: Vec::new(),
        wishes,
        not_after: None,
    };
    let LeaseReply::Tasks(Grants { grants, now, .. }) = store.call(&keys, &op).await.unwrap() else {
        panic!("absent")
    };
    let key = LeaseKey::new(&[1; 32]);
    let opened: Vec<_> = grants
        .into_iter()
        .map(|grant| grant.open(&name, &key, now).unwrap())
        .collect();
    assert_eq!(opened.len(), 2);
    assert_eq!((opened[0].0.id, opened[1].0.id), (tasks[0].id, tasks[1].id));
    assert_eq!(opened[0].0.payload.bytes(), &payload[..]);

    let result = Ack {
        result: Some(Json::from_checked(Bytes::from_static(b"42"))),
    };
    let items = vec![(opened[0].1.clone(), result)];
    assert_eq!(
        store
            .call(&keys, &AckOp(items.clone()))
            .await
            .unwrap()
            .unwrap()
            .answers,
        [Answer::Done(Acked::Done)]
    );
    assert_eq!(
        store.call(&keys, &AckOp(items)).await.unwrap().unwrap().answers,
        [Answer::Done(Acked::Already)]
    );

    let shown = store
        .call(&keys, &ShowOp(&[tasks[0].id, tasks[1].id, tasks[2].id]))
        .await
        .unwrap()
        .unwrap();
    let states: Vec<_> = shown.iter().map(|task| task.as_ref().unwrap().state).collect();
    assert_eq!(
        states,
        [TaskState::Completed, TaskState::Leased, TaskState::Ready]
    );
    assert_eq!(shown[0].as_ref().unwrap().result.as_ref().unwrap().as_str(), "42");
    let overview = store.call(&keys, &OverviewOp).await.unwrap().unwrap();
    assert_eq!(
        (
            overview.counts.ready,
            overview.counts.leased,
            overview.counts.completed_total,
            overview.counts.accepted_total
        ),
        (1, 1, 1, 3)
    );
}

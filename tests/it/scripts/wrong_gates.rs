//! I5: the same promise as in `wrong_types`, where gates have a say: what a call looks at behind its first
//! write, it looked at before.

use deadpool_redis::redis::cmd;
use leaseq::domain::Lease;
use leaseq::domain::gate::{Breaker, Limits, Positive, Scope};
use leaseq::domain::queue::{NameConfig, QueueConfig};
use leaseq::domain::settle::{Ack, Hold, RetryAfter};
use leaseq::store::StoreError;
use leaseq::store::ops::ack::AckOp;
use leaseq::store::ops::hold::HoldOp;
use leaseq::store::ops::lease::Wish;
use leaseq::store::ops::nack::NackOp;
use leaseq::store::ops::release::{ReleaseOp, Returned};

use crate::support::queue::{HALF, Queue, REPLICA, failure, named};

const KEYS: [&str; 5] = ["gates", "gate", "breaker", "counts", "shut"];

#[derive(Debug, Clone, Copy)]
enum Call {
    LeaseOne,
    LeaseAll,
    LeaseByName,
    Ack,
    Nack,
    ReleaseAndHold,
    GiveBack,
    Hold,
}

const CALLS: [Call; 8] = [
    Call::LeaseOne,
    Call::LeaseAll,
    Call::LeaseByName,
    Call::Ack,
    Call::Nack,
    Call::ReleaseAndHold,
    Call::GiveBack,
    Call::Hold,
];

fn config(limited: bool) -> QueueConfig {
    let limits = Limits {
        rate_per_second: Positive::new(10.0),
        burst: Positive::new(3.0),
        max_leased: Some(5),
    };
    let name = NameConfig {
        limits,
        breaker: Some(Breaker {
            failure_threshold: Some(1),
            ..Breaker::default()
        }),
        ..NameConfig::default()
    };
    QueueConfig {
        names: [("*".to_owned(), name)].into_iter().filter(|_| limited).collect(),
        ..QueueConfig::default()
    }
}

async fn make(call: Call, queue: &Queue, lease: &Lease) -> Result<(), StoreError> {
    let lease_of = async |tasks: usize, names: &[&str]| {
        let names: Vec<_> = names
            .iter()
            .map(|name| crate::support::queue::task_name(name))
            .collect();
        let wishes = [Wish {
            tasks,
            ..Wish::default()
        }];
        queue.try_call(&queue.lease_op(&names, &wishes)).await.map(drop)
    };
    let release = async |how: Returned| {
        let op = ReleaseOp {
            replica: REPLICA.into(),
            items: vec![(lease.clone(), how)],
            chances: vec![HALF],
        };
        queue.try_call(&op).await.map(drop)
    };
    match call {
        Call::LeaseOne => lease_of(1, &[]).await,
        Call::LeaseAll => lease_of(50, &[]).await,
        Call::LeaseByName => lease_of(50, &["a", "held"]).await,
        Call::Ack => queue
            .try_call(&AckOp(vec![(lease.clone(), Ack::default())]))
            .await
            .map(drop),
        Call::Nack => {
            let op = NackOp {
                replica: REPLICA.into(),
                items: vec![(lease.clone(), failure())],
                chances: vec![HALF],
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::ReleaseAndHold => {
            let later = RetryAfter::Ms(5_000);
            release(Returned::Release(later, Hold::Name)).await
        }
        Call::GiveBack => release(Returned::GiveBack(None)).await,
        Call::Hold => {
            let scope = Scope::Name("a".to_owned());
            queue
                .try_call(&HoldOp {
                    scope: &scope,
                    ms: 5_000,
                })
                .await
                .map(drop)
        }
    }
}

/// I5: with limits and breakers, with something held, and with both.
#[tokio::test]
async fn a_call_that_meets_a_gate_of_the_wrong_type_changes_nothing() {
    let mut queue = Queue::start().await;
    for (limited, held) in [(true, false), (false, true), (true, true)] {
        queue.reset(config(limited)).await;
        let tasks: Vec<_> = (0..40).map(|n| named(["a", "b", "c", "held"][n % 4])).collect();
        queue.enqueue(&tasks).await;
        if held {
            queue.hold(&Scope::Name("held".to_owned()), 60_000).await;
            queue.hold(&Scope::Name("b".to_owned()), 1_000).await;
        }
        let lease = queue.lease_one().await.lease;
        queue.at(1_000);
        let store = queue.snapshot();
        for call in CALLS {
            for role in KEYS {
                queue.restore(&store);
                let key = queue.key(role);
                let _: () = queue.redis.command(cmd("DEL").arg(&key));
                let _: () = queue
                    .redis
                    .command(cmd("XADD").arg(&key).arg("*").arg("of").arg("the wrong type"));
                let before = queue.contents();
                match make(call, &queue, &lease).await {
                    Ok(()) => continue,
                    Err(StoreError::Broken(why)) => {
                        assert!(why.contains("WRONGTYPE"), "{call:?}, {role}: {why}")
                    }
                    Err(other) => panic!("{call:?}, {role}: {other}"),
                }
                assert_eq!(
                    before,
                    queue.contents(),
                    "{call:?} over {role}, limited {limited}, held {held}"
                );
            }
        }
    }
    queue.clear();
}

//! Circuit breakers (I22): open, nothing is granted; half-open, a few at a time; each failed attempt counts
//! once, and grants from before the opening move nothing.

use leaseq::domain::gate::{Breaker, Reason, Set, Shut};
use leaseq::domain::queue::{NameConfig, QueueConfig};
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::{Lease, Millis};
use leaseq::store::ops::cancel::CancelOp;
use leaseq::store::ops::lease::{Grants, LeaseReply, Wish};
use leaseq::store::ops::set_breaker::SetBreakerOp;

use crate::support::queue::{Held, Queue, T0, failure_after, named, task_name};

fn breaker(failures: u64, probes: u64, successes: u64) -> Breaker {
    Breaker {
        failure_threshold: Some(failures),
        reset_ms: Some(1_000),
        half_open_max: Some(probes),
        success_threshold: Some(successes),
    }
}

/// Fifty tasks of a name that has the breaker, and some of another name.
async fn with(breaker: Breaker) -> Queue {
    let config = QueueConfig {
        breaker: Some(breaker),
        max_attempts: Some(100),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    let mails: Vec<_> = (0..50).map(|_| named("mail")).collect();
    queue.enqueue(&mails).await;
    queue
}

async fn lease(queue: &Queue, tasks: usize) -> Vec<Held> {
    queue.lease_names(tasks, &["mail"]).await
}

async fn fail(queue: &Queue, lease: &Lease) {
    queue.nack_with(lease, failure_after(0)).await;
}

/// Opens it by as many failures as it takes.
async fn opened(breaker: Breaker) -> Queue {
    let queue = with(breaker).await;
    for held in lease(
        &queue,
        usize::try_from(breaker.failure_threshold.expect("it is set")).expect("few"),
    )
    .await
    {
        fail(&queue, &held.lease).await;
    }
    queue
}

async fn told(queue: &Queue) -> Option<Shut> {
    let wishes = [Wish {
        tasks: 1,
        ..Wish::default()
    }];
    match queue.call(&queue.lease_op(&[], &wishes)).await {
        LeaseReply::Tasks(Grants { grants, shut, .. }) if grants.is_empty() => shut,
        other => panic!("{other:?}"),
    }
}

async fn set(queue: &Queue, set: Set) -> Option<Millis> {
    let name = task_name("mail");
    queue
        .call(&SetBreakerOp { name: &name, set })
        .await
        .expect("the queue exists")
}

#[tokio::test]
async fn it_opens_after_so_many_failures_one_after_the_other() {
    let queue = with(breaker(3, 1, 1)).await;
    let held = lease(&queue, 9).await;
    fail(&queue, &held[0].lease).await;
    fail(&queue, &held[1].lease).await;
    queue.ack(&held[2].lease).await; // begins anew
    fail(&queue, &held[3].lease).await;
    fail(&queue, &held[4].lease).await;
    queue.release(&held[5].lease, RetryAfter::None).await; // says nothing
    queue.give_back(&held[6].lease).await;
    assert_eq!(lease(&queue, 1).await.len(), 1);
    fail(&queue, &held[7].lease).await;
    let until = Shut {
        reason: Reason::BreakerOpen,
        look_at: Some(Millis::new(T0 + 1_000)),
    };
    assert_eq!(told(&queue).await, Some(until));
    queue.put(named("sync")).await;
    assert_eq!(queue.lease(9).await.len(), 1, "others go on");
    queue.at(999);
    assert!(lease(&queue, 1).await.is_empty());
}

/// A lease that runs out is a failed attempt, and one only.
#[tokio::test]
async fn a_lease_that_runs_out_counts_once() {
    let queue = with(breaker(3, 1, 1)).await;
    let mut held = lease(&queue, 2).await;
    queue.at(1);
    held.extend(lease(&queue, 1).await);
    queue.at(30_000);
    queue.sweep().await;
    queue.at(30_001);
    // Late, swept or not, an ack moves nothing, and ends no row of failures.
    for held in &held {
        queue.ack(&held.lease).await;
    }
    let one = lease(&queue, 1).await.remove(0);
    fail(&queue, &one.lease).await;
    assert!(lease(&queue, 1).await.is_empty());
}

#[tokio::test]
async fn half_open_it_lets_so_many_through_at_a_time() {
    for probes in [1, 3] {
        let queue = opened(breaker(2, probes, 2)).await;
        queue.at(1_000);
        let mut held = Vec::new();
        for _ in 0..probes {
            held.extend(lease(&queue, 1).await);
        }
        assert_eq!(held.len() as u64, probes);
        let full = Shut {
            reason: Reason::BreakerOpen,
            look_at: None,
        };
        assert_eq!(told(&queue).await, Some(full));
        queue.ack(&held.remove(0).lease).await;
        held.extend(lease(&queue, 9).await);
        assert_eq!(held.len() as u64, probes, "one success is not enough");
        queue.ack(&held.remove(0).lease).await;
        assert_eq!(lease(&queue, 9).await.len(), 9, "two are");
    }
}

/// A released, given back or cancelled probe says nothing, and lets another one through.
#[tokio::test]
async fn a_probe_without_a_verdict_frees_its_place() {
    let queue = opened(breaker(2, 1, 1)).await;
    queue.at(1_000);
    for how in 0..4 {
        let held = lease(&queue, 9).await;
        assert_eq!(held.len(), 1, "{how}");
        let (id, lease) = (held[0].task.id, &held[0].lease);
        match how {
            0 => {
                queue.release(lease, RetryAfter::None).await;
            }
            1 => {
                queue.release(lease, RetryAfter::Ms(60_000)).await;
            }
            2 => {
                queue.give_back(lease).await;
            }
            _ => {
                queue
                    .call(&CancelOp {
                        only: None,
                        ids: &[id],
                    })
                    .await
                    .expect("the queue exists");
                fail(&queue, lease).await;
            }
        }
    }
    let last = lease(&queue, 9).await.remove(0);
    queue.ack(&last.lease).await;
    assert_eq!(lease(&queue, 9).await.len(), 9);
}

/// Each time that a probe fails it is open for twice as long, up to ten times.
#[tokio::test]
async fn a_failed_probe_opens_it_for_longer() {
    let queue = opened(breaker(2, 2, 1)).await;
    let mut now = 1_000;
    for reset_ms in [2_000, 4_000, 8_000, 10_000, 10_000] {
        queue.at(now);
        let probes = lease(&queue, 9).await;
        assert_eq!(probes.len(), 2);
        fail(&queue, &probes[0].lease).await;
        fail(&queue, &probes[1].lease).await; // from before this opening
        queue.at(now + reset_ms - 1);
        assert!(lease(&queue, 1).await.is_empty(), "for {reset_ms} ms");
        now += reset_ms;
    }
    queue.at(now);
    let probe = lease(&queue, 1).await.remove(0);
    queue.ack(&probe.lease).await;
    for held in lease(&queue, 2).await {
        fail(&queue, &held.lease).await;
    }
    queue.at(now + 1_000);
    assert_eq!(
        lease(&queue, 1).await.len(),
        1,
        "closed in between, it begins anew"
    );
}

/// Neither failures nor successes of earlier grants count, open, half-open or closed again.
#[tokio::test]
async fn grants_from_before_the_opening_move_nothing() {
    let queue = with(breaker(2, 1, 1)).await;
    let mut old = lease(&queue, 9).await;
    queue.at(1);
    let mut next = |count: usize| old.split_off(old.len() - count);
    for held in next(2) {
        fail(&queue, &held.lease).await;
    }
    for held in next(2) {
        queue.ack(&held.lease).await;
    }
    assert!(lease(&queue, 1).await.is_empty(), "open");
    queue.at(1_001);
    let probe = lease(&queue, 9).await.remove(0);
    let late = next(3);
    queue.ack(&late[0].lease).await;
    fail(&queue, &late[1].lease).await;
    assert!(
        lease(&queue, 1).await.is_empty(),
        "half-open, and its place is taken"
    );
    queue.at(1_002);
    queue.ack(&probe.lease).await;
    for held in next(2).iter().chain(&late[2..]) {
        fail(&queue, &held.lease).await;
    }
    assert_eq!(lease(&queue, 5).await.len(), 5, "closed");
}

#[tokio::test]
async fn operators_open_and_close_it_by_hand() {
    let queue = with(breaker(2, 1, 1)).await;
    let held = lease(&queue, 3).await;
    assert_eq!(set(&queue, Set::Open { ms: None }).await, None);
    queue.at(86_400_000_000);
    assert!(lease(&queue, 1).await.is_empty());
    set(&queue, Set::Closed).await;
    fail(&queue, &held[0].lease).await;
    fail(&queue, &held[1].lease).await;
    assert_eq!(
        lease(&queue, 3).await.len(),
        3,
        "grants from before count no more"
    );
    let until = Millis::new(T0 + 86_400_000_000 + 500);
    assert_eq!(set(&queue, Set::Open { ms: Some(500) }).await, Some(until));
    assert!(lease(&queue, 3).await.is_empty());
    queue.at(86_400_000_500);
    assert_eq!(lease(&queue, 3).await.len(), 1, "then it is half-open");
}

/// Without a breaker in the config an operator's is open as long as was said, and then closed.
#[tokio::test]
async fn a_breaker_may_be_opened_where_none_is_configured() {
    let queue = Queue::start().await;
    let mails: Vec<_> = (0..9).map(|_| named("mail")).collect();
    queue.enqueue(&mails).await;
    set(&queue, Set::Open { ms: Some(1_000) }).await;
    assert!(queue.lease(9).await.is_empty());
    queue.at(1_000);
    assert_eq!(queue.lease(9).await.len(), 9);
}

/// A name's own breaker holds in place of the queue's, and names do not count each other's failures.
#[tokio::test]
async fn each_name_has_a_breaker_of_its_own() {
    let own = NameConfig {
        breaker: Some(breaker(4, 1, 1)),
        ..NameConfig::default()
    };
    let config = QueueConfig {
        breaker: Some(breaker(2, 1, 1)),
        names: [("mail".to_owned(), own)].into(),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    for name in ["mail", "sync", "report"] {
        let tasks: Vec<_> = (0..9).map(|_| named(name)).collect();
        queue.enqueue(&tasks).await;
        for held in queue.lease_names(2, &[name]).await {
            fail(&queue, &held.lease).await;
        }
        let open = queue.lease_names(1, &[name]).await.is_empty();
        assert_eq!(open, name != "mail", "{name}");
    }
}

/// Open by hand it stays open, whoever looks in vain and whatever else is configured.
#[tokio::test]
async fn it_stays_open_while_nobody_waits_for_it() {
    let mut queue = Queue::start().await;
    set(&queue, Set::Open { ms: None }).await;
    queue
        .configure(QueueConfig {
            max_attempts: Some(9),
            ..QueueConfig::default()
        })
        .await;
    assert!(queue.lease(1).await.is_empty());
    queue.put(named("mail")).await;
    assert!(queue.lease(1).await.is_empty());
}

//! Names and groups as they are listed: each once, by what waits there and what keeps it back, and never more
//! looked at than a call may.

use std::collections::{BTreeMap, BTreeSet};

use leaseq::domain::gate::{Breaker, Limits, Positive, Scope, Set};
use leaseq::domain::queue::{NameConfig, QueueConfig};
use leaseq::domain::standing::{BreakerState, GroupStanding, NameStanding, Ready};
use leaseq::domain::{Group, Millis, NewTask, Priority, TaskId};
use leaseq::store::ops::Absent;
use leaseq::store::ops::cancel::CancelOp;
use leaseq::store::ops::groups::GroupsOp;
use leaseq::store::ops::names::{NamesOp, Standings};
use leaseq::store::ops::set_breaker::SetBreakerOp;

use crate::support::queue::{Queue, T0, failure_after, grouped, named, task, task_name};

async fn names_page(queue: &Queue, limit: usize, cursor: &[u8]) -> Standings<NameStanding> {
    let op = NamesOp { limit, cursor };
    queue.call(&op).await.expect("the queue exists")
}

async fn groups_page(queue: &Queue, limit: usize, cursor: &[u8]) -> Standings<GroupStanding> {
    let op = GroupsOp { limit, cursor };
    queue.call(&op).await.expect("the queue exists")
}

/// All names, page by page.
async fn names(queue: &Queue, limit: usize) -> Vec<NameStanding> {
    let (mut items, mut cursor) = (Vec::new(), Vec::new());
    loop {
        let page = names_page(queue, limit, &cursor).await;
        assert!(page.items.len() <= limit);
        items.extend(page.items);
        cursor = page.cursor;
        if cursor.is_empty() {
            return items;
        }
    }
}

/// All groups, page by page.
async fn groups(queue: &Queue, limit: usize) -> Vec<GroupStanding> {
    let (mut items, mut cursor) = (Vec::new(), Vec::new());
    loop {
        let page = groups_page(queue, limit, &cursor).await;
        assert!(page.items.len() <= limit);
        items.extend(page.items);
        cursor = page.cursor;
        if cursor.is_empty() {
            return items;
        }
    }
}

async fn name(queue: &Queue, name: &str) -> NameStanding {
    let mut found = names(queue, 500).await;
    found.retain(|standing| standing.name.as_str() == name);
    assert_eq!(found.len(), 1, "{name} is listed once");
    found.remove(0)
}

async fn group(queue: &Queue, group: Option<&str>) -> GroupStanding {
    let mut found = groups(queue, 500).await;
    found.retain(|standing| standing.group.as_deref() == group);
    assert_eq!(found.len(), 1, "{group:?} is listed once");
    found.remove(0)
}

fn limits(rate: f64, burst: f64, max_leased: u64) -> Limits {
    Limits {
        rate_per_second: Positive::new(rate),
        burst: Positive::new(burst),
        max_leased: Some(max_leased),
    }
}

fn in_group(group: &str, task: NewTask) -> NewTask {
    NewTask {
        group: Some(Group::parse(group).expect("a valid group")),
        ..task
    }
}

fn with_priority(priority: u64, task: NewTask) -> NewTask {
    NewTask {
        priority: Priority::new(priority).expect("a valid priority"),
        ..task
    }
}

const fn exactly(tasks: u64) -> Ready {
    Ready {
        tasks,
        at_least: false,
    }
}

async fn cancel(queue: &Queue, ids: &[TaskId]) {
    queue
        .call(&CancelOp { only: None, ids })
        .await
        .expect("the queue exists");
}

/// I24: in a lane that is too long to be written anew the entry of a cancelled task is left behind.
#[tokio::test]
async fn entries_that_were_left_behind_are_no_tasks() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..1_250).map(|_| named("mail")).collect();
    for batch in tasks.chunks(250) {
        queue.enqueue(batch).await;
    }
    cancel(&queue, &[tasks[5].id, tasks[700].id]).await;
    assert_eq!(name(&queue, "mail").await.ready, exactly(1_248));
}

#[tokio::test]
async fn a_name_stands_by_its_tasks_its_limits_and_its_hold() {
    let mail = NameConfig {
        limits: limits(0.5, 4.0, 9),
        ..NameConfig::default()
    };
    let config = QueueConfig {
        names: BTreeMap::from([("mail".to_owned(), mail)]),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    let tasks = [
        named("mail"),
        in_group("acme", named("mail")),
        with_priority(50, named("mail")),
        in_group("zeta", with_priority(50, named("mail"))),
        named("sync"),
        named("mail"),
        named("mail"),
    ];
    queue.enqueue(&tasks).await;
    cancel(&queue, &[tasks[5].id]).await; // its entry is left behind, between two others
    let held = queue.lease_names(1, &["mail"]).await;

    let mail = name(&queue, "mail").await;
    assert_eq!((mail.ready, mail.leased), (exactly(4), 1));
    assert_eq!(
        (mail.gate.limits, mail.gate.tokens),
        (limits(0.5, 4.0, 9), Some(3.0))
    );
    assert_eq!((mail.gate.held_until, mail.breaker), (None, None));
    let sync = name(&queue, "sync").await;
    assert_eq!((sync.ready, sync.leased), (exactly(1), 0));
    assert_eq!((sync.gate.limits, sync.gate.tokens), (Limits::default(), None));

    queue.hold(&Scope::Name("mail".to_owned()), 5_000).await;
    queue.at(1_000);
    queue.ack(&held[0].lease).await;
    let mail = name(&queue, "mail").await;
    assert_eq!(mail.gate.held_until, Some(Millis::new(T0 + 5_000)));
    assert_eq!((mail.leased, mail.gate.tokens), (0, Some(3.5)));
    queue.at(5_000);
    assert_eq!(name(&queue, "mail").await.gate.held_until, None);
}

#[tokio::test]
async fn a_breaker_stands_as_it_would_for_a_lease() {
    let breaker = Breaker {
        failure_threshold: Some(2),
        reset_ms: Some(1_000),
        half_open_max: Some(2),
        success_threshold: Some(2),
    };
    let queue = Queue::with(QueueConfig {
        breaker: Some(breaker),
        ..QueueConfig::default()
    })
    .await;
    let mails: Vec<_> = (0..9).map(|_| named("mail")).collect();
    queue.enqueue(&mails).await;
    let state = async || name(&queue, "mail").await.breaker.map(|breaker| breaker.state);
    let counts = async || {
        let overview = queue.overview().await;
        (overview.counts.breakers_open, overview.counts.breakers_half_open)
    };
    assert_eq!(state().await, Some(BreakerState::Closed { failures: 0 }));
    let held = queue.lease(2).await;
    queue.nack_with(&held[0].lease, failure_after(0)).await;
    assert_eq!(state().await, Some(BreakerState::Closed { failures: 1 }));
    queue.nack_with(&held[1].lease, failure_after(0)).await;
    let until = Some(Millis::new(T0 + 1_000));
    assert_eq!(state().await, Some(BreakerState::Open { until }));
    assert_eq!(counts().await, (1, 0));

    queue.at(1_000);
    let fresh = BreakerState::HalfOpen {
        probes: 0,
        successes: 0,
    };
    assert_eq!((state().await, counts().await), (Some(fresh), (0, 1)));
    let probes = queue.lease(5).await;
    assert_eq!(probes.len(), 2);
    queue.ack(&probes[0].lease).await;
    let probed = BreakerState::HalfOpen {
        probes: 1,
        successes: 1,
    };
    assert_eq!(state().await, Some(probed));
    queue.ack(&probes[1].lease).await;
    let mail = name(&queue, "mail").await.breaker.expect("it is configured");
    assert_eq!(mail.state, BreakerState::Closed { failures: 0 });
    assert_eq!(mail.since, Some(Millis::new(T0 + 1_000)));
    assert_eq!(counts().await, (0, 0));
}

/// This holds for a name without a breaker as well, and only while the state means something.
#[tokio::test]
async fn a_breaker_that_is_open_by_hand_is_listed_until_it_is_closed() {
    let queue = Queue::start().await;
    let set = async |set| {
        let name = task_name("mail");
        queue
            .call(&SetBreakerOp { name: &name, set })
            .await
            .expect("the queue exists");
    };
    set(Set::Open { ms: None }).await;
    let mail = name(&queue, "mail").await.breaker.expect("it is open");
    assert_eq!(mail.state, BreakerState::Open { until: None });
    assert_eq!(queue.overview().await.counts.breakers_open, 1);
    set(Set::Open { ms: Some(10) }).await;
    queue.at(10);
    assert_eq!(queue.overview().await.counts.breakers_open, 0);
    set(Set::Closed).await;
    assert_eq!(names(&queue, 500).await, []);
}

#[tokio::test]
async fn a_group_stands_by_its_tasks_its_weight_its_limits_and_its_hold() {
    let weights = [("acme", 7.3), ("*", 2.0)];
    let config = QueueConfig {
        group_weights: weights
            .into_iter()
            .map(|(group, weight)| (group.to_owned(), Positive::new(weight).expect("above zero")))
            .collect(),
        group_limits: BTreeMap::from([("acme".to_owned(), limits(2.0, 3.0, 5))]),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    assert_eq!(groups(&queue, 500).await.len(), 1, "acme, which has settings");
    queue.enqueue(&[grouped("acme"), grouped("zeta"), task()]).await;
    assert_eq!(queue.lease(3).await.len(), 3);
    queue.enqueue(&[grouped("acme"), task()]).await;

    let acme = group(&queue, Some("acme")).await;
    assert_eq!((acme.ready, acme.leased), (exactly(1), Some(1)));
    assert!((acme.weight - 7.3).abs() < f64::EPSILON, "as it was set");
    assert_eq!(
        (acme.gate.limits, acme.gate.tokens),
        (limits(2.0, 3.0, 5), Some(2.0))
    );
    let zeta = group(&queue, Some("zeta")).await;
    assert_eq!((zeta.ready, zeta.leased), (exactly(0), Some(1)));
    assert!((zeta.weight - 2.0).abs() < f64::EPSILON);
    let none = group(&queue, None).await;
    assert_eq!((none.ready, none.leased), (exactly(1), Some(1)));
    assert_eq!(
        groups_page(&queue, 1, &[]).await.items[0].group,
        None,
        "it comes first"
    );

    queue.lease(9).await;
    queue.hold(&Scope::Group("idle".to_owned()), 1_000).await;
    assert_eq!(group(&queue, None).await.leased, Some(2));
    let idle = group(&queue, Some("idle")).await;
    assert_eq!(idle.gate.held_until, Some(Millis::new(T0 + 1_000)));
    queue.at(1_000);
    assert_eq!(groups(&queue, 500).await.len(), 3, "nothing is left of a hold");
}

/// I28.
#[tokio::test]
async fn each_of_many_names_is_listed_once_however_it_is_known() {
    let configured = |n: usize| {
        (
            format!("c{n}"),
            NameConfig {
                limits: limits(1.0, 1.0, 1),
                ..NameConfig::default()
            },
        )
    };
    let mut queue = Queue::start().await;
    let mut known = BTreeSet::new();
    for part in 0..4 {
        let tasks: Vec<_> = (part * 250..(part + 1) * 250)
            .map(|n| named(&format!("c{n}")))
            .collect();
        known.extend(tasks.iter().map(|task| task.name.to_string()));
        queue.enqueue(&tasks).await;
    }
    queue.lease(100).await;
    queue
        .configure(QueueConfig {
            names: (900..1_200).map(configured).collect(),
            ..QueueConfig::default()
        })
        .await;
    known.extend((900..1_200).map(|n| format!("c{n}")));
    for n in [5, 950, 1_150, 1_300] {
        let name = task_name(&format!("c{n}"));
        let set = Set::Open { ms: None };
        queue
            .call(&SetBreakerOp { name: &name, set })
            .await
            .expect("the queue exists");
        queue.hold(&Scope::Name(format!("c{}", n + 1)), 60_000).await;
        known.extend([format!("c{n}"), format!("c{}", n + 1)]);
    }
    for limit in [1, 77, 500] {
        let listed = names(&queue, limit).await;
        let found: BTreeSet<_> = listed.iter().map(|standing| standing.name.to_string()).collect();
        assert_eq!(
            (found.len(), listed.len()),
            (known.len(), known.len()),
            "by {limit}"
        );
        assert!(found == known);
        let ready: u64 = listed.iter().map(|standing| standing.ready.tasks).sum();
        let leased: u64 = listed.iter().map(|standing| standing.leased).sum();
        assert_eq!((ready, leased), (900, 100));
    }
}

/// I28: what says nothing is passed over, but not without end.
#[tokio::test]
async fn each_of_many_groups_is_listed_once_and_a_page_may_be_empty() {
    let config = QueueConfig {
        group_limits: BTreeMap::from([("*".to_owned(), limits(0.001, 2.0, 5))]),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    for part in 0..8 {
        let tasks: Vec<_> = (part * 250..(part + 1) * 250)
            .map(|n| grouped(&format!("g{n}")))
            .collect();
        queue.enqueue(&tasks).await;
    }
    for limit in [333, 500] {
        let listed = groups(&queue, limit).await;
        let found: BTreeSet<_> = listed.iter().map(|standing| standing.group.clone()).collect();
        assert_eq!((listed.len(), found.len()), (2_000, 2_000));
    }
    let page = groups_page(&queue, 500, &[]).await;
    assert!(
        !page.cursor.is_empty() && page.items.len() >= 400,
        "{}",
        page.items.len()
    );

    let mut held = Vec::new();
    while held.len() < 2_000 {
        let more = queue.lease(500).await;
        assert!(!more.is_empty());
        held.extend(more);
    }
    assert_eq!(groups(&queue, 500).await.len(), 2_001, "they are leased");
    let none = group(&queue, None).await;
    assert_eq!(
        (none.ready, none.leased),
        (exactly(0), None),
        "so many are not added up"
    );
    for held in &held {
        queue.ack(&held.lease).await;
    }
    queue.hold(&Scope::Group("g7".to_owned()), 1_000).await;
    let (mut pages, mut empty, mut found, mut cursor) = (0, 0, Vec::new(), Vec::new());
    loop {
        let page = groups_page(&queue, 500, &cursor).await;
        pages += 1;
        empty += u32::from(page.items.is_empty());
        found.extend(page.items);
        cursor = page.cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(found.len(), 1, "buckets that fill up are nothing to list");
    assert!(
        pages > 1 && empty >= pages - 1,
        "{empty} of {pages} pages are empty"
    );
}

#[tokio::test]
async fn of_many_lanes_some_are_counted_and_that_is_said() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..200)
        .map(|n| in_group(&format!("g{n}"), named("mail")))
        .collect();
    queue.enqueue(&tasks).await;
    let tasks: Vec<_> = (0..200)
        .map(|n| in_group("one", named(&format!("n{n}"))))
        .collect();
    queue.enqueue(&tasks).await;
    let most = Ready {
        tasks: 128,
        at_least: true,
    };
    assert_eq!(name(&queue, "mail").await.ready, most);
    assert_eq!(name(&queue, "n3").await.ready, exactly(1));
    assert_eq!(group(&queue, Some("one")).await.ready, most);
}

/// I28.
#[tokio::test]
async fn a_page_looks_at_so_many_lanes() {
    let queue = Queue::start().await;
    for name in 0..20 {
        let name = format!("n{name}");
        let tasks: Vec<_> = (0..200)
            .map(|n| in_group(&format!("g{n}"), named(&name)))
            .collect();
        queue.enqueue(&tasks).await;
    }
    let page = names_page(&queue, 500, &[]).await;
    assert!(
        page.items.len() == 8 && !page.cursor.is_empty(),
        "{} names, of 129 lanes each",
        page.items.len()
    );
    assert_eq!(names(&queue, 500).await.len(), 20);
}

#[tokio::test]
async fn of_an_absent_queue_nothing_is_listed() {
    let queue = Queue::start().await;
    queue.clear();
    let (limit, cursor) = (1, &b""[..]);
    assert_eq!(queue.call(&NamesOp { limit, cursor }).await, Err(Absent));
    assert_eq!(queue.call(&GroupsOp { limit, cursor }).await, Err(Absent));
}

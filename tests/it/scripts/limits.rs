//! Limits: token buckets and the number of leased tasks, of a queue, of names and of groups (I20, I21).

use deadpool_redis::redis::cmd;
use leaseq::domain::gate::{Limits, Positive, Reason, Shut};
use leaseq::domain::queue::{NameConfig, QueueConfig};
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::{Millis, NewTask};
use leaseq::store::ops::lease::{Grants, LeaseReply, Wish};

use crate::support::queue::{Held, Queue, T0, failure_after, grouped, named, task_name};

fn rate(rate_per_second: f64, burst: f64) -> Limits {
    Limits {
        rate_per_second: Positive::new(rate_per_second),
        burst: Positive::new(burst),
        max_leased: None,
    }
}

fn most(max_leased: u64) -> Limits {
    Limits {
        max_leased: Some(max_leased),
        ..Limits::default()
    }
}

fn of_name(name: &str, limits: Limits) -> (String, NameConfig) {
    let named = NameConfig {
        limits,
        ..NameConfig::default()
    };
    (name.to_owned(), named)
}

/// The same limits for the queue, for a name and for a group, by an entry of its own or by `*`.
fn everywhere(limits: Limits) -> [QueueConfig; 5] {
    let names = |name| QueueConfig {
        names: [of_name(name, limits)].into(),
        ..QueueConfig::default()
    };
    let groups = |group: &str| QueueConfig {
        group_limits: [(group.to_owned(), limits)].into(),
        ..QueueConfig::default()
    };
    let queue = QueueConfig {
        limits,
        ..QueueConfig::default()
    };
    [queue, names("mail"), names("*"), groups("acme"), groups("*")]
}

fn mail() -> NewTask {
    NewTask {
        group: grouped("acme").group,
        ..named("mail")
    }
}

async fn with_backlog(config: QueueConfig, tasks: usize) -> Queue {
    let queue = Queue::with(config).await;
    let tasks: Vec<_> = (0..tasks).map(|_| mail()).collect();
    queue.enqueue(&tasks).await;
    queue
}

/// The number of tasks that a lease gets, and its reason for fewer.
async fn ask(queue: &Queue, tasks: usize, names: &[&str]) -> (usize, Option<Shut>) {
    let wishes = [Wish {
        tasks,
        ..Wish::default()
    }];
    let names: Vec<_> = names.iter().map(|name| task_name(name)).collect();
    match queue.call(&queue.lease_op(&names, &wishes)).await {
        LeaseReply::Tasks(Grants {
            grants, shut, again, ..
        }) => {
            assert!(!again);
            (grants.len(), shut)
        }
        other => panic!("{other:?}"),
    }
}

fn until(reason: Reason, ms: u64) -> Option<Shut> {
    Some(Shut {
        reason,
        look_at: Some(Millis::new(T0 + ms)),
    })
}

/// I20: over any time no more than the burst and what the rate gives; and who comes in vain hears when to
/// come again, to the millisecond.
#[tokio::test]
async fn a_bucket_gives_its_burst_and_then_its_rate() {
    for config in everywhere(rate(4.0, 3.0)) {
        let queue = with_backlog(config, 30).await;
        assert_eq!(ask(&queue, 2, &[]).await, (2, None));
        assert_eq!(ask(&queue, 5, &[]).await, (1, until(Reason::RateLimited, 250)));
        queue.at(249);
        assert_eq!(ask(&queue, 5, &[]).await, (0, until(Reason::RateLimited, 250)));
        queue.at(250);
        assert_eq!(ask(&queue, 1, &[]).await, (1, None));
        queue.at(700);
        assert_eq!(
            ask(&queue, 5, &["mail"]).await,
            (1, until(Reason::RateLimited, 750))
        );
        queue.at(750);
        assert_eq!(ask(&queue, 5, &[]).await.0, 1);
        queue.at(60_000);
        assert_eq!(
            ask(&queue, 9, &[]).await.0,
            3,
            "a bucket holds no more than its burst"
        );
    }
}

/// I20: at least 95 % of the rate is delivered when tasks wait: here all of it, whenever and how many are
/// asked for.
#[tokio::test]
async fn no_token_is_lost_between_looks() {
    let queue = with_backlog(everywhere(rate(7.0, 1.0))[1].clone(), 100).await;
    let mut granted = 0;
    for ms in (0..10_000).step_by(13) {
        queue.at(ms);
        granted += ask(&queue, 3, &[]).await.0;
    }
    assert!((70..=71).contains(&granted), "{granted} in ten seconds");
}

/// I20: a grant that its caller never got has not passed; what a worker releases or fails has.
#[tokio::test]
async fn tokens_come_back_by_a_give_back_only() {
    for config in everywhere(rate(1.0, 2.0)) {
        let queue = with_backlog(config, 5).await;
        let held = queue.lease(2).await;
        assert_eq!(queue.lease(1).await.len(), 0);
        queue.give_back(&held[0].lease).await;
        let again = queue.lease(3).await;
        assert_eq!(again.len(), 1);
        queue.release(&again[0].lease, RetryAfter::None).await;
        queue.nack_with(&held[1].lease, failure_after(0)).await;
        assert_eq!(queue.lease(3).await.len(), 0);
    }
}

/// I20: over any time, grants less give-backs are at most the burst and what the rate gives, however late one
/// is given back: a bucket that was full again since would have been as full without that grant.
#[tokio::test]
async fn what_is_given_back_late_fits_in_only_as_far_as_there_was_room_since() {
    for config in everywhere(rate(1.0, 2.0)) {
        let queue = with_backlog(config.clone(), 20).await;
        let late = queue.lease(2).await;
        queue.at(2_000);
        assert_eq!(queue.lease(5).await.len(), 2, "it is full again");
        for held in &late {
            queue.give_back(&held.lease).await;
        }
        assert_eq!(queue.lease(5).await.len(), 0);

        let queue = with_backlog(config, 20).await;
        let late = queue.lease(2).await;
        queue.at(1_500);
        assert_eq!(queue.lease(5).await.len(), 1, "half a token is left");
        queue.give_back(&late[0].lease).await;
        assert_eq!(queue.lease(5).await.len(), 1, "there was room for half a token");
        queue.give_back(&late[1].lease).await;
        queue.at(2_000);
        assert_eq!(queue.lease(5).await.len(), 0, "and for nothing more");
        queue.at(2_500);
        assert_eq!(queue.lease(5).await.len(), 1);
    }
}

/// I20: a bucket that is never full gives everything back, whoever was served in between, and remembers
/// little for it.
#[tokio::test]
async fn what_is_given_back_to_a_bucket_in_use_comes_back_whole() {
    let queue = with_backlog(everywhere(rate(10.0, 5.0))[1].clone(), 100).await;
    let mut held = queue.lease(5).await;
    for step in 1..40 {
        queue.at(step * 130);
        held.extend(queue.lease(5).await);
    }
    queue.give_back(&held[held.len() - 9].lease).await;
    queue.give_back(&held[held.len() - 8].lease).await;
    assert_eq!(queue.lease(5).await.len(), 2);
    let kept: Vec<u8> = queue
        .redis
        .command(cmd("HGET").arg(queue.key("gate")).arg("nmail"));
    assert!(kept.len() <= 40 + 8 * 16, "{} bytes", kept.len());
}

/// I21: never more than that many at once, however their leases end; and each end lets the next one in.
#[tokio::test]
async fn no_more_are_leased_at_once_than_max_leased_allows() {
    for config in everywhere(most(3)) {
        let queue = with_backlog(config, 60).await;
        let mut held = queue.lease(5).await;
        assert_eq!(held.len(), 3);
        let full = Shut {
            reason: Reason::ConcurrencyLimited,
            look_at: None,
        };
        assert_eq!(ask(&queue, 5, &[]).await, (0, Some(full)));
        type End = for<'a> fn(&'a Queue, &'a Held) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;
        let ends: [End; 4] = [
            |queue, held| {
                Box::pin(async {
                    queue.ack(&held.lease).await;
                })
            },
            |queue, held| {
                Box::pin(async {
                    queue.nack_with(&held.lease, failure_after(9_000)).await;
                })
            },
            |queue, held| {
                Box::pin(async {
                    queue.release(&held.lease, RetryAfter::Ms(9_000)).await;
                })
            },
            |queue, held| {
                Box::pin(async {
                    queue.give_back(&held.lease).await;
                })
            },
        ];
        for end in ends {
            end(&queue, &held.remove(0)).await;
            let next = queue.lease(5).await;
            assert_eq!(next.len(), 1);
            held.extend(next);
        }
        queue.at(30_000);
        queue.sweep().await;
        assert_eq!(queue.lease(5).await.len(), 3, "leases that ran out count no more");
    }
}

/// I21: in one call with others, too.
#[tokio::test]
async fn leased_tasks_of_many_names_are_counted_each() {
    let queue = Queue::with(QueueConfig {
        names: [of_name("*", most(2))].into(),
        ..QueueConfig::default()
    })
    .await;
    let tasks: Vec<_> = (0..15).map(|n| named(["a", "b", "c"][n % 3])).collect();
    queue.enqueue(&tasks).await;
    let first = queue.lease(3).await;
    assert_eq!(first.len(), 3);
    assert_eq!(queue.lease(9).await.len(), 3);
    assert_eq!(queue.lease(9).await.len(), 0, "two of each are leased");
    for held in first {
        queue.ack(&held.lease).await;
    }
    assert_eq!(queue.lease(9).await.len(), 3);
}

/// I20 I21: all that match must let a task through.
#[tokio::test]
async fn the_tightest_of_all_limits_holds() {
    let config = QueueConfig {
        limits: most(5),
        names: [
            of_name("mail", rate(1.0, 4.0)),
            of_name("sync", Limits::default()),
            of_name("*", most(1)),
        ]
        .into(),
        group_limits: [("acme".to_owned(), most(2)), ("*".to_owned(), most(3))].into(),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    let tasks = |name: &str, group: Option<&str>| {
        let task = || NewTask {
            group: group.and_then(|group| grouped(group).group),
            ..named(name)
        };
        (0..10).map(|_| task()).collect::<Vec<_>>()
    };
    for (name, group, granted) in [
        ("mail", Some("acme"), 2), // by its group
        ("mail", Some("zeta"), 2), // by what is left of its name
        ("report", None, 1),       // by `*`: the queue would allow one, too
    ] {
        queue.enqueue(&tasks(name, group)).await;
        assert_eq!(ask(&queue, 10, &[]).await.0, granted, "{name} of {group:?}");
    }
    // A name with an entry of its own has no limit but what that says; the queue has one.
    queue.enqueue(&tasks("sync", None)).await;
    assert_eq!(ask(&queue, 10, &["sync"]).await.0, 0);
}

/// A limited name or group is in nobody's way: neither the other groups', nor its own group's other names.
#[tokio::test]
async fn what_is_limited_does_not_hold_up_others() {
    let [_, name, _, group, groups] = everywhere(rate(0.001, 1.0));
    for config in [name, group, groups] {
        let queue = with_backlog(config, 20).await;
        let others: Vec<_> = (0..5)
            .map(|n| NewTask {
                group: grouped(&format!("g{n}")).group,
                ..named("other")
            })
            .collect();
        queue.enqueue(&others).await;
        let mut granted = Vec::new();
        for _ in 0..3 {
            granted.extend(queue.lease(2).await);
        }
        let limited = granted
            .iter()
            .filter(|held| held.task.name == task_name("mail"))
            .count();
        assert!(granted.len() - limited >= 4 && limited <= 1, "{granted:?}");
    }
}

/// A change of a limit keeps the share of the bucket that is left.
#[tokio::test]
async fn a_changed_limit_keeps_the_share_that_is_left() {
    for (before, after) in everywhere(rate(1.0, 4.0))
        .into_iter()
        .zip(everywhere(rate(2.0, 8.0)))
    {
        let mut queue = with_backlog(before, 40).await;
        assert_eq!(queue.lease(3).await.len(), 3);
        queue.at(1_000); // two of four are left
        queue.configure(after).await;
        assert_eq!(queue.lease(40).await.len(), 4, "four of eight");
        queue.at(1_500);
        assert_eq!(queue.lease(40).await.len(), 1, "at the new rate");
    }
}

/// So it does where there are too many buckets for one call: each is worked out when it is looked at, as of
/// the time of the change.
#[tokio::test]
async fn a_changed_limit_keeps_the_shares_of_thousands_of_buckets() {
    let [.., before] = everywhere(rate(1.0, 4.0));
    let [.., after] = everywhere(rate(1.0, 8.0));
    let mut queue = Queue::with(before).await;
    let mut tasks: Vec<_> = (0..1_100).map(|n| grouped(&format!("tenant-{n}"))).collect();
    tasks.extend((0..8).map(|n| grouped(["acme", "zeta"][n % 2])));
    for batch in tasks.chunks(250) {
        queue.enqueue(batch).await;
    }
    let mut leased = 0;
    for _ in 0..6 {
        leased += queue.lease(250).await.len();
    }
    assert_eq!(leased, 1_108);
    let of = |held: &[Held], name: &str| {
        let name = grouped(name).group;
        held.iter().filter(|held| held.task.group == name).count()
    };
    let ten = |name: &str| (0..10).map(|_| grouped(name)).collect::<Vec<_>>();
    queue.at(1_000); // one of four is left
    queue.configure(after).await;
    queue.enqueue(&ten("acme")).await;
    assert_eq!(of(&queue.lease(20).await, "acme"), 2, "two of eight");
    queue.at(2_000);
    queue.enqueue(&ten("zeta")).await;
    let granted = queue.lease(40).await;
    assert_eq!(of(&granted, "acme"), 1, "at the new rate");
    assert_eq!(
        of(&granted, "zeta"),
        3,
        "as of the change, and at the new rate since"
    );
}

/// A limit that goes or is raised holds from the next call on, also for what was kept back.
#[tokio::test]
async fn a_limit_that_is_lifted_keeps_nothing_back() {
    for config in everywhere(most(1)) {
        let mut queue = with_backlog(config, 20).await;
        assert_eq!(queue.lease(5).await.len(), 1);
        assert_eq!(queue.lease(5).await.len(), 0);
        queue.configure(QueueConfig::default()).await;
        assert_eq!(queue.lease(30).await.len(), 19);
    }
}

/// A clock that steps back neither fills a bucket nor stops it.
#[tokio::test]
async fn a_bucket_from_the_future_fills_from_now_on() {
    let queue = with_backlog(everywhere(rate(1.0, 2.0))[1].clone(), 20).await;
    queue.at(3_600_000);
    assert_eq!(queue.lease(5).await.len(), 2);
    queue.at(0);
    assert_eq!(queue.lease(5).await.len(), 0);
    queue.at(1_000);
    assert_eq!(queue.lease(5).await.len(), 1);
}

fn buckets(queue: &Queue) -> u64 {
    queue.redis.command(cmd("HLEN").arg(queue.key("gate")))
}

/// Full buckets leave no trace, though nobody comes back to them.
#[tokio::test]
async fn buckets_of_groups_that_went_away_are_forgotten() {
    let queue = Queue::with(everywhere(rate(10.0, 2.0))[4].clone()).await;
    for n in 0..400 {
        queue.at(n * 1_000);
        let id = queue.put(grouped(&format!("tenant-{n}"))).await;
        let held = queue.lease_one().await;
        assert_eq!(held.task.id, id);
        queue.ack(&held.lease).await;
    }
    let kept = buckets(&queue);
    assert!(kept < 40, "{kept} of 400 buckets are kept");
}

/// Not even the few that a lease leaves, once a sweep has looked.
#[tokio::test]
async fn a_sweep_forgets_what_is_full() {
    let queue = Queue::with(everywhere(rate(1.0, 4.0))[4].clone()).await;
    for (group, tasks) in [("first", 1), ("second", 3)] {
        let tasks: Vec<_> = (0..tasks).map(|_| grouped(group)).collect();
        queue.enqueue(&tasks).await;
        for held in queue.lease(4).await {
            queue.ack(&held.lease).await;
        }
    }
    for (at, left) in [(0, 2), (999, 2), (1_000, 1), (2_999, 1), (3_000, 0)] {
        queue.at(at);
        queue.sweep().await;
        assert_eq!(buckets(&queue), left, "after {at} ms");
    }
    // More than one sweep looks at: it is due again at once.
    let crowd: Vec<_> = (0..100).map(|n| grouped(&format!("tenant-{n}"))).collect();
    queue.enqueue(&crowd).await;
    assert_eq!(queue.lease(100).await.len(), 100);
    queue.at(4_000);
    for _ in 0..3 {
        assert_eq!(queue.sweep().await.next_at, Some(Millis::new(T0 + 4_000)));
    }
    assert_eq!(buckets(&queue), 4);
    assert_ne!(queue.sweep().await.next_at, Some(Millis::new(T0 + 4_000)));
    assert_eq!(buckets(&queue), 0);
}

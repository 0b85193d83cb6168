//! I28: what lanes, groups and limits cost Redis, in commands of one call, exactly: whoever changes one of
//! these numbers is to see it.

use leaseq::domain::NewTask;
use leaseq::domain::gate::{Limits, Positive, Scope};
use leaseq::domain::queue::{NameConfig, QueueConfig};
use leaseq::domain::settle::Ack;
use leaseq::store::ops::ack::AckOp;

use super::cost::{commands, reset};
use crate::support::queue::{Queue, grouped, named, task};

/// Creates the n-th task of a shape.
type Make = fn(usize) -> NewTask;

struct Shape {
    what: &'static str,
    make: Make,
    /// Tasks that wait before anything is measured.
    waiting: usize,
    /// The change of the queue before that.
    setting: Setting,
    /// Commands of an enqueue, a lease and an ack: of one task, and of 100.
    of_one: [u64; 3],
    of_hundred: [u64; 3],
}

enum Setting {
    Free,
    /// A rate for each of 100 names, far from reached.
    Limited,
    /// Nothing of these names is granted, and what they have waits in as many lanes as tasks were made.
    Held {
        names: usize,
        lanes: usize,
        make: Make,
    },
}

fn one_name(_: usize) -> NewTask {
    task()
}

fn hundred_names(n: usize) -> NewTask {
    named(&format!("n{:02}", n % 100))
}

fn many_groups(n: usize) -> NewTask {
    grouped(&format!("tenant-{:05}", n % 2_000))
}

fn hundred_groups(n: usize) -> NewTask {
    grouped(&format!("tenant-{:02}", n % 100))
}

/// Groups with two lanes each.
fn hundred_pairs(n: usize) -> NewTask {
    NewTask {
        group: hundred_groups(n).group,
        ..named(["sync", "mail"][n / 100 % 2])
    }
}

fn held_group(n: usize) -> NewTask {
    NewTask {
        group: many_groups(n).group,
        ..hundred_names(0)
    }
}

async fn fill(queue: &Queue, make: Make, tasks: std::ops::Range<usize>) {
    let tasks: Vec<_> = tasks.map(make).collect();
    for batch in tasks.chunks(250) {
        queue.enqueue(batch).await;
    }
}

/// Parks all that stands behind gates, and leases so often that every name was met.
async fn settle_in(queue: &Queue, calls: usize) {
    for _ in 0..calls {
        let held = queue.lease(1).await;
        let items: Vec<_> = held
            .into_iter()
            .map(|held| (held.lease, Ack::default()))
            .collect();
        if !items.is_empty() {
            queue.call(&AckOp(items)).await.expect("the queue exists");
        }
    }
}

async fn measure(shape: &Shape) -> ([u64; 3], [u64; 3]) {
    let mut queue = Queue::start().await;
    match shape.setting {
        Setting::Free => {}
        Setting::Limited => {
            let limits = Limits {
                rate_per_second: Positive::new(1e6),
                burst: Positive::new(1e6),
                max_leased: None,
            };
            let limited = NameConfig {
                limits,
                ..NameConfig::default()
            };
            let names = (0..100).map(|n| (format!("n{n:02}"), limited.clone())).collect();
            queue
                .configure(QueueConfig {
                    names,
                    ..QueueConfig::default()
                })
                .await;
        }
        Setting::Held { names, lanes, make } => {
            for n in 0..names {
                queue.hold(&Scope::Name(format!("n{n:02}")), 3_600_000).await;
            }
            fill(&queue, make, 0..lanes).await;
        }
    }
    fill(&queue, shape.make, 0..shape.waiting).await;
    match shape.setting {
        Setting::Free => {}
        Setting::Limited => settle_in(&queue, 100).await,
        Setting::Held { lanes, .. } => settle_in(&queue, lanes / 90 + 2).await,
    }
    let mut costs = [[0; 3]; 2];
    for (tasks, costs) in [1, 100].into_iter().zip(&mut costs) {
        reset(&queue);
        let made: Vec<_> = (shape.waiting..shape.waiting + tasks).map(shape.make).collect();
        let mut op = queue.enqueue_op(&made, false);
        op.names_epoch = queue.redis.state("emails").expect("it was made").0["names_epoch"] as u64;
        reset(&queue);
        queue.call(&op).await;
        costs[0] = commands(&queue);
        reset(&queue);
        let held = queue.lease(tasks).await;
        costs[1] = commands(&queue);
        assert_eq!(held.len(), tasks, "{}", shape.what);
        let items: Vec<_> = held
            .into_iter()
            .map(|held| (held.lease, Ack::default()))
            .collect();
        reset(&queue);
        queue.call(&AckOp(items)).await.expect("the queue exists");
        costs[2] = commands(&queue);
    }
    (costs[0], costs[1])
}

#[tokio::test]
async fn a_call_costs_so_many_commands_and_no_more() {
    let shapes = [
        Shape {
            what: "one lane",
            make: one_name,
            waiting: 300,
            setting: Setting::Free,
            of_one: [7, 16, 18],
            of_hundred: [7, 16, 15],
        },
        Shape {
            what: "100 names",
            make: hundred_names,
            waiting: 1_000,
            setting: Setting::Free,
            of_one: [7, 18, 18],
            of_hundred: [205, 222, 17],
        },
        Shape {
            what: "100 groups",
            make: hundred_groups,
            waiting: 1_000,
            setting: Setting::Free,
            of_one: [7, 18, 18],
            of_hundred: [205, 318, 17],
        },
        Shape {
            what: "100 groups of two names each",
            make: hundred_pairs,
            waiting: 1_000,
            setting: Setting::Free,
            of_one: [7, 20, 18],
            of_hundred: [205, 420, 17],
        },
        Shape {
            what: "2,000 groups, a task each",
            make: many_groups,
            waiting: 1_800,
            setting: Setting::Free,
            of_one: [14, 21, 18],
            of_hundred: [408, 220, 17],
        },
        Shape {
            what: "2,000 groups, two tasks each",
            make: many_groups,
            waiting: 4_000,
            setting: Setting::Free,
            of_one: [7, 18, 18],
            of_hundred: [205, 317, 17],
        },
        Shape {
            what: "one lane beside 100 held names",
            make: one_name,
            waiting: 300,
            setting: Setting::Held {
                names: 100,
                lanes: 100,
                make: hundred_names,
            },
            of_one: [7, 24, 17],
            of_hundred: [7, 24, 17],
        },
        Shape {
            what: "one lane beside 2,000 held lanes",
            make: one_name,
            waiting: 300,
            setting: Setting::Held {
                names: 1,
                lanes: 2_000,
                make: held_group,
            },
            of_one: [7, 23, 17],
            of_hundred: [7, 23, 17],
        },
        Shape {
            what: "one lane of 100 limited names",
            make: |_| hundred_names(7),
            waiting: 300,
            setting: Setting::Limited,
            of_one: [7, 19, 15],
            of_hundred: [7, 19, 15],
        },
        Shape {
            what: "100 limited names",
            make: hundred_names,
            waiting: 1_000,
            setting: Setting::Limited,
            of_one: [7, 21, 15],
            of_hundred: [205, 226, 17],
        },
    ];
    let mut wrong = String::new();
    for shape in &shapes {
        let seen = measure(shape).await;
        if seen != (shape.of_one, shape.of_hundred) {
            wrong += &format!("{}: of_one: {:?}, of_hundred: {:?}\n", shape.what, seen.0, seen.1);
        }
    }
    assert_eq!(wrong, "", "commands of enqueue, lease and ack");
}

//! I28: what a call costs Redis, in commands and not in time, so that it is the same everywhere.

use std::collections::BTreeMap;

use deadpool_redis::redis::cmd;
use leaseq::domain::NewTask;
use leaseq::domain::gate::{Limits, Positive, Scope};
use leaseq::domain::queue::{NameConfig, QueueConfig};
use leaseq::store::ops::lease::{Grants, LeaseReply, Wish};

use crate::support::queue::{BYTES_MAX, Queue, grouped, named, task};

/// Commands that scripts sent since the last [`reset`].
pub(super) fn commands(queue: &Queue) -> u64 {
    let info: String = queue.redis.command(cmd("INFO").arg("commandstats"));
    let calls = |line: &str| -> Option<(String, u64)> {
        let (name, stats) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let calls = stats.strip_prefix("calls=")?.split_once(',')?.0.parse().ok()?;
        Some((name.to_owned(), calls))
    };
    let calls: BTreeMap<String, u64> = info.lines().filter_map(|line| calls(line.trim())).collect();
    let ours =
        |name: &str| !["info", "config|resetstat", "evalsha", "ping", "unwatch", "hello"].contains(&name);
    let beside = |name: &str| name.starts_with("client");
    calls
        .iter()
        .filter(|(name, _)| ours(name) && !beside(name))
        .map(|(_, calls)| calls)
        .sum()
}

pub(super) fn reset(queue: &Queue) {
    let _: () = queue.redis.command(cmd("CONFIG").arg("RESETSTAT"));
}

async fn put_all(queue: &Queue, tasks: &[NewTask]) {
    for batch in tasks.chunks(256) {
        queue.enqueue(batch).await;
    }
}

async fn cost_of_lease(queue: &Queue, tasks: usize, names: &[&str]) -> u64 {
    reset(queue);
    assert_eq!(queue.lease_names(tasks, names).await.len(), tasks);
    commands(queue)
}

/// I18 I28: turns are looked up, not searched for.
#[tokio::test]
async fn a_lease_among_thousands_of_groups_costs_what_it_costs_among_two() {
    let queue = Queue::start().await;
    for group in 0..2 {
        put_all(&queue, &vec_of(600, || grouped(&format!("g{group}")))).await;
    }
    let (few, few_100) = (
        cost_of_lease(&queue, 1, &[]).await,
        cost_of_lease(&queue, 100, &[]).await,
    );
    let mut many = Vec::new();
    for group in 0..3_000 {
        many.push(grouped(&format!("tenant-{group:05}")));
        many.push(grouped(&format!("tenant-{group:05}")));
    }
    put_all(&queue, &many).await;
    for _ in 0..3 {
        let one = cost_of_lease(&queue, 1, &[]).await;
        assert!(
            one <= few + 4,
            "{one} commands for one task, {few} among two groups"
        );
        let hundred = cost_of_lease(&queue, 100, &[]).await;
        assert!(
            hundred <= few_100 + 100 * 3,
            "{hundred} commands for 100 tasks of 100 groups"
        );
    }
    // By name, too, once it has caught up with the turns that other calls took.
    let caught_up = cost_of_lease(&queue, 1, &["default"]).await;
    assert!(
        caught_up <= 250,
        "{caught_up} commands for a thousand lanes at most"
    );
    for _ in 0..3 {
        let one = cost_of_lease(&queue, 1, &["default"]).await;
        assert!(one <= 30, "{one} commands for one task by name");
    }
}

fn vec_of(count: usize, make: impl Fn() -> NewTask) -> Vec<NewTask> {
    (0..count).map(|_| make()).collect()
}

/// I28: one lane is a list: a hundred tasks cost hardly more commands than one.
#[tokio::test]
async fn a_batch_of_one_lane_is_leased_in_a_handful_of_commands() {
    let queue = Queue::start().await;
    put_all(&queue, &vec_of(400, task)).await;
    for tasks in [1, 10, 100, 256] {
        let cost = cost_of_lease(&queue, tasks, &[]).await;
        assert!(cost <= 20, "{cost} commands for {tasks} tasks");
    }
}

/// I28: enqueueing and acking 256 at once, too.
#[tokio::test]
async fn batches_are_variadic_inside() {
    let queue = Queue::start().await;
    // The sender knows the name, as most do.
    queue.put(task()).await;
    let (state, _) = queue.redis.state("emails").unwrap();
    let tasks = vec_of(255, task);
    let mut op = queue.enqueue_op(&tasks, false);
    op.names_epoch = state["names_epoch"] as u64;
    reset(&queue);
    queue.call(&op).await;
    let cost = commands(&queue);
    assert!(cost <= 14, "{cost} commands for 255 tasks");
    let held = queue.lease(256).await;
    let items: Vec<_> = held
        .iter()
        .map(|held| (held.lease.clone(), leaseq::domain::settle::Ack::default()))
        .collect();
    reset(&queue);
    queue.call(&leaseq::store::ops::ack::AckOp(items)).await.unwrap();
    let cost = commands(&queue);
    assert!(cost <= 28, "{cost} commands for 256 acks");
}

/// I28: heads of a group are read as far as they are needed.
#[tokio::test]
async fn a_lease_from_a_group_with_a_thousand_names_reads_few_of_them() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..1_000).map(|n| named(&format!("n{n:04}"))).collect();
    put_all(&queue, &tasks).await;
    let cost = cost_of_lease(&queue, 1, &[]).await;
    assert!(cost <= 30, "{cost} commands for one task");
    let cost = cost_of_lease(&queue, 1, &["n0999"]).await;
    assert!(cost <= 40, "{cost} commands for one task of the last name");
}

/// I28: an answer is bounded by bytes, and holds one task at least; payloads in their records and apart from
/// them.
#[tokio::test]
async fn a_lease_answer_is_bounded_by_bytes_and_never_empty_for_them() {
    for payload_bytes in [1_000, 100_000] {
        let queue = Queue::start().await;
        let large = || {
            let text = format!("\"{}\"", "x".repeat(payload_bytes));
            NewTask::new(leaseq::domain::task::Json::from_checked(text.into()))
        };
        let tasks = vec_of(10, large);
        put_all(&queue, &tasks).await;
        let wishes = [Wish {
            tasks: 10,
            ..Wish::default()
        }];
        let mut granted = Vec::new();
        for (bytes_max, expected, cut) in [
            (1, 1, true),
            (payload_bytes * 7 / 2, 3, true),
            (BYTES_MAX, 6, false),
        ] {
            let mut op = queue.lease_op(&[], &wishes);
            op.bytes_max = bytes_max;
            let LeaseReply::Tasks(Grants { grants, again, .. }) = queue.call(&op).await else {
                panic!("absent")
            };
            assert_eq!((grants.len(), again), (expected, cut), "within {bytes_max} bytes");
            granted.extend(grants.into_iter().map(|grant| grant.id));
        }
        let accepted: Vec<_> = tasks.iter().map(|task| task.id).collect();
        assert_eq!(granted, accepted, "nothing is skipped for its size");
    }
}

/// I28: an answer cut by bytes leaves the turns where it was cut.
#[tokio::test]
async fn an_answer_cut_by_bytes_takes_no_turns_for_what_it_left() {
    let queue = Queue::start().await;
    let big = |group: &str| NewTask {
        payload: leaseq::domain::task::Json::from_checked(format!("\"{}\"", "x".repeat(1_000)).into()),
        ..grouped(group)
    };
    for group in ["a", "b", "c"] {
        put_all(&queue, &vec_of(8, || big(group))).await;
    }
    let wishes = [Wish {
        tasks: 9,
        ..Wish::default()
    }];
    let mut groups = Vec::new();
    for _ in 0..6 {
        let mut op = queue.lease_op(&[], &wishes);
        op.bytes_max = 2_500;
        let granted = queue.call(&op).await;
        groups.extend(
            queue
                .open(granted)
                .into_iter()
                .map(|held| held.task.group.unwrap().to_string()),
        );
    }
    assert_eq!(groups.join(""), "abcabcabcabc");
}

/// I20 I28: ten thousand lanes behind a gate are parked in steps, and then cost nothing; when it opens a few
/// tokens cost what few lanes do.
#[tokio::test]
async fn lanes_behind_a_shut_gate_cost_nothing() {
    let mut queue = Queue::start().await;
    let in_group = |n: usize, name: &str| NewTask {
        group: grouped(&format!("tenant-{n:05}")).group,
        ..named(name)
    };
    let held: Vec<_> = (0..3_000).map(|n| in_group(n, "held")).collect();
    put_all(&queue, &held).await;
    queue.hold(&Scope::Name("held".to_owned()), 60_000).await;
    put_all(&queue, &vec_of(60, || in_group(20_000, "free"))).await;
    let wishes = [Wish {
        tasks: 1,
        ..Wish::default()
    }];
    let mut calls = 0;
    let mut granted = 0;
    while granted == 0 {
        calls += 1;
        let LeaseReply::Tasks(Grants { grants, again, .. }) = queue.call(&queue.lease_op(&[], &wishes)).await
        else {
            panic!("absent")
        };
        granted = grants.len();
        assert!(again || granted == 1, "never empty while steps are left");
    }
    assert!(
        (30..=33).contains(&calls),
        "{calls} calls park three thousand lanes"
    );
    for names in [vec![], vec!["free"], vec!["free", "held"]] {
        for tasks in [1, 10] {
            let cost = cost_of_lease(&queue, tasks, &names).await;
            assert!(cost <= 60, "{cost} commands for {tasks} tasks of {names:?}");
        }
    }
    // One token for thousands of lanes: by the index of the name, and without bringing them all back.
    let limits = Limits {
        rate_per_second: Positive::new(1.0),
        burst: Positive::new(2.0),
        max_leased: None,
    };
    let limited = NameConfig {
        limits,
        ..NameConfig::default()
    };
    queue
        .configure(QueueConfig {
            names: [("held".to_owned(), limited)].into(),
            ..QueueConfig::default()
        })
        .await;
    queue.at(60_000);
    let cost = cost_of_lease(&queue, 3, &[]).await;
    assert!(cost <= 400, "{cost} commands for two tokens and a free task");
    let cost = cost_of_lease(&queue, 1, &[]).await;
    assert!(cost <= 60, "{cost} commands without a token");
}

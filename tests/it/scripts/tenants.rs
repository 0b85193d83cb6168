//! Fifty tenants of one queue, of which one has half a million tasks (I18).

use std::collections::BTreeMap;

use leaseq::domain::gate::Positive;
use leaseq::domain::queue::QueueConfig;

use crate::support::queue::{Held, Queue, grouped};

const HUGE: &str = "huge";
const BACKLOG: usize = 500_000;
/// As many as the service sends in one call.
const BATCH: usize = 256;

/// One tenant with a backlog, loaded by two producers at once.
async fn with_backlog(config: QueueConfig, tasks: usize) -> Queue {
    let queue = Queue::with(config).await;
    let produce = async |tasks: usize| {
        let mut left = tasks;
        while left > 0 {
            let batch: Vec<_> = (0..left.min(BATCH)).map(|_| grouped(HUGE)).collect();
            queue.enqueue(&batch).await;
            left -= batch.len();
        }
    };
    tokio::join!(Box::pin(produce(tasks / 2)), Box::pin(produce(tasks - tasks / 2)));
    queue
}

fn group_of(held: &Held) -> &str {
    held.task.group.as_ref().map_or("", |group| group.as_str())
}

/// How many grants of each other tenant came while one task of a tenant waited.
type Wait = BTreeMap<String, usize>;

/// Forty-nine tenants come and go beside the huge one, one task each time; every wait there was, by tenant.
async fn waits(queue: &Queue, tenants: &[String]) -> BTreeMap<String, Vec<Wait>> {
    let mut waiting: BTreeMap<&str, Wait> = BTreeMap::new();
    let mut waits: BTreeMap<String, Vec<Wait>> = BTreeMap::new();
    for round in 0..300 {
        for tenant in tenants.iter().skip(round % 7).step_by(7) {
            if !waiting.contains_key(tenant.as_str()) {
                queue.put(grouped(tenant)).await;
                waiting.insert(tenant, Wait::new());
            }
        }
        for held in queue.lease(5).await {
            let granted = group_of(&held);
            if let Some(wait) = waiting.remove(granted) {
                waits.entry(granted.to_owned()).or_default().push(wait);
            }
            for wait in waiting.values_mut() {
                *wait.entry(granted.to_owned()).or_default() += 1;
            }
        }
    }
    waits
}

fn tenants() -> Vec<String> {
    (1..50).map(|n| format!("tenant-{n:02}")).collect()
}

/// Every tenant had its turns, and in none of its waits another had more than `allowed` says, nor all
/// together more than one turn each and those that came back.
#[track_caller]
fn assert_turns(
    waits: &BTreeMap<String, Vec<Wait>>,
    tenants: &[String],
    allowed: impl Fn(&str, &str) -> usize,
) {
    for tenant in tenants {
        let waits = waits
            .get(tenant)
            .unwrap_or_else(|| panic!("{tenant} never had a turn"));
        assert!(waits.len() > 5, "{tenant} had {} turns", waits.len());
        for wait in waits {
            for (other, grants) in wait {
                let allowed = allowed(tenant, other);
                assert!(
                    *grants <= allowed,
                    "{other} had {grants} grants while {tenant} waited, {allowed} are allowed: {wait:?}"
                );
            }
        }
    }
}

/// I18: whenever a tenant with one task comes, the backlog of half a million delays it by one turn, and so
/// does every other tenant, but for those that come back in the same round under a name that sorts before its
/// own.
#[tokio::test]
async fn each_of_fifty_tenants_waits_for_one_turn_of_the_one_with_half_a_million_tasks() {
    let queue = with_backlog(QueueConfig::default(), BACKLOG).await;
    assert_eq!(queue.overview().await.counts.ready, BACKLOG as u64);
    queue.lease(13).await;
    let tenants = tenants();
    let waits = waits(&queue, &tenants).await;
    assert_turns(&waits, &tenants, |_, other| if other == HUGE { 1 } else { 2 });
    // Half a million tasks would be most of an audit's time, and are alike.
    queue.clear();
}

/// I18: with weights a turn is as long as the weight says: a tenant of weight one waits for four grants of
/// one of weight four, and one of weight two for two.
#[tokio::test]
async fn with_weights_each_of_fifty_tenants_waits_for_as_much_as_the_weights_say() {
    let weight = |tenant: &str| match tenant {
        HUGE => 4.0,
        "tenant-07" | "tenant-31" => 2.0,
        _ => 1.0,
    };
    let tenants = tenants();
    let config = QueueConfig {
        group_weights: [HUGE, "tenant-07", "tenant-31"]
            .map(|tenant| {
                (
                    tenant.to_owned(),
                    Positive::new(weight(tenant)).expect("positive"),
                )
            })
            .into(),
        ..QueueConfig::default()
    };
    let queue = with_backlog(config, 5_000).await;
    queue.lease(13).await;
    let waits = waits(&queue, &tenants).await;
    assert_turns(&waits, &tenants, |tenant, other| match other {
        // It may be in the middle of its turn.
        HUGE if weight(tenant) > 1.0 => 3,
        HUGE => 5,
        _ => 2,
    });
    let longest = waits.values().flatten().filter_map(|wait| wait.get(HUGE)).max();
    assert!(longest >= Some(&4), "the huge one has turns of four: {longest:?}");
}

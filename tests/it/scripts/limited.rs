//! One limited name among nine free ones, in time that a test sets (I20): it gets its rate, and slows nobody.

use std::collections::BTreeMap;

use leaseq::domain::NewTask;
use leaseq::domain::gate::{Limits, Positive};
use leaseq::domain::queue::{NameConfig, QueueConfig};

use crate::support::queue::{Held, Queue, grouped, named};

const LIMITED: &str = "limited";
const FREE: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
const RATE_PER_SECOND: u64 = 7;
const BURST: u64 = 3;
/// How many tasks are worked on at a time, for how long on the average, and how often workers look: room for
/// 200 tasks per second.
const WORKERS: usize = 20;
const WORK_MS: u64 = 100;
const LOOK_MS: u64 = 20;
const LENGTH_MS: u64 = 10_000;

fn of(name: &str, n: usize) -> NewTask {
    let task = named(name);
    match n % 3 {
        0 => task,
        n => NewTask {
            group: grouped(&format!("g{n}")).group,
            ..task
        },
    }
}

/// A backlog of each name, task by task the limited one's first; then workers who are never idle while there
/// is something to do. When each task was granted, by name.
async fn grants(config: QueueConfig, names: &[&'static str]) -> BTreeMap<String, Vec<u64>> {
    let queue = Queue::with(config).await;
    for n in 0..256 {
        let tasks: Vec<_> = names.iter().map(|name| of(name, n)).collect();
        queue.enqueue(&tasks).await;
    }
    let mut grants: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut busy: Vec<(u64, Held)> = Vec::new();
    let mut work_ms = (WORK_MS - 2 * LOOK_MS..=WORK_MS + 2 * LOOK_MS)
        .step_by(usize::try_from(LOOK_MS).expect("short"))
        .cycle();
    for now in (0..LENGTH_MS).step_by(usize::try_from(LOOK_MS).expect("short")) {
        queue.at(now);
        for (_, held) in busy.extract_if(.., |(until, _)| *until <= now) {
            queue.ack(&held.lease).await;
        }
        let idle = WORKERS - busy.len();
        if idle == 0 {
            continue;
        }
        for held in queue.lease(idle).await {
            grants.entry(held.task.name.to_string()).or_default().push(now);
            busy.push((now + work_ms.next().expect("it never ends"), held));
        }
    }
    grants
}

fn limited() -> QueueConfig {
    let limits = Limits {
        rate_per_second: Positive::new(7.0),
        burst: Positive::new(3.0),
        max_leased: None,
    };
    let named = NameConfig {
        limits,
        ..NameConfig::default()
    };
    QueueConfig {
        names: [(LIMITED.to_owned(), named)].into(),
        ..QueueConfig::default()
    }
}

/// I20: over any time at most the burst and what the rate gives, in all at least 95 % of the rate; and nine
/// names beside it are granted more than 90 % of what they are without it.
#[tokio::test]
async fn a_limited_name_gets_its_rate_and_nine_free_ones_keep_their_throughput() {
    let names: Vec<&str> = [LIMITED].into_iter().chain(FREE).collect();
    let beside = grants(limited(), &names).await;
    let alone = grants(QueueConfig::default(), &FREE).await;

    let granted = &beside[LIMITED];
    for (i, from) in granted.iter().enumerate() {
        for (count, to) in (1u64..).zip(&granted[i..]) {
            assert!(
                count * 1_000 <= BURST * 1_000 + RATE_PER_SECOND * (to - from),
                "{count} grants within {} ms",
                to - from
            );
        }
    }
    let whole = RATE_PER_SECOND * LENGTH_MS / 1_000;
    let count = granted.len() as u64;
    assert!(
        count * 100 >= whole * 95 && count <= whole + BURST,
        "{count} grants of {whole} and the burst"
    );

    for free in FREE {
        let (beside, alone) = (beside[free].len(), alone[free].len());
        assert!(beside * 10 > alone * 9, "{free}: {beside} grants, {alone} alone");
    }
    let sum =
        |grants: &BTreeMap<String, Vec<u64>>| FREE.iter().map(|free| grants[*free].len()).sum::<usize>();
    let room = WORKERS * usize::try_from(LENGTH_MS / WORK_MS).expect("few");
    assert!(
        sum(&alone) * 10 > room * 9,
        "{} grants, and room for {room}",
        sum(&alone)
    );
}

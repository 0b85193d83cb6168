//! Limits, holds, breakers and pauses over three replicas, while replicas and Redis are killed or stand still
//! (I17 to I23).

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use super::check::{self, Failing, Limit, Lost, Of};
use super::crew::{Manners, Shift};
use super::fleet::Fleet;
use super::history::History;
use super::phone::{Draft, Phone};
use super::run::Run;

mod operator;
mod staff;

const REPLICAS: usize = 3;
const PRODUCERS: usize = 3;
const WORKERS: usize = 6;

/// Nobody ever succeeds with it.
const FAILING: Failing = Failing {
    queue: "q",
    name: "failing",
    failure_threshold: 3,
    reset_ms: 100,
};

const LIMITS: [Limit; 4] = [
    Limit {
        of: Of::Queue("q"),
        rate_per_second: 150,
        burst: 20,
        max_leased: 16,
    },
    Limit {
        of: Of::Name("q", "mail"),
        rate_per_second: 40,
        burst: 4,
        max_leased: 8,
    },
    Limit {
        of: Of::Group("q", "acme"),
        rate_per_second: 60,
        burst: 10,
        max_leased: 3,
    },
    Limit {
        of: Of::Name("r", "mail"),
        rate_per_second: 20,
        burst: 2,
        max_leased: 4,
    },
];

fn start() -> Run {
    let run = Run::start(REPLICAS, "fsync", Manners::Impatient);
    let limits = |limit: &Limit| {
        json!({
            "rate_per_second": limit.rate_per_second,
            "burst": limit.burst,
            "max_leased": limit.max_leased,
        })
    };
    let [queue, mail, acme, other_mail] = &LIMITS;
    let breaker = json!({
        "failure_threshold": FAILING.failure_threshold,
        "reset_seconds": f64::from(FAILING.reset_ms) / 1000.0,
    });
    let failing = json!({"breaker": breaker});
    let q = json!({
        "limits": limits(queue),
        "names": {"mail": {"limits": limits(mail)}, "failing": failing},
        "group_limits": {"acme": limits(acme)},
    });
    let r = json!({"names": {"mail": {"limits": limits(other_mail)}}});
    for (queue, config) in [("q", q), ("r", r)] {
        let path = format!("/v1/queues/{queue}");
        run.fleet.replicas[0]
            .api
            .send("PATCH", &path, "", &config.to_string())
            .expect(200);
    }
    run
}

fn client(phone: Phone, who: usize, shift: &Arc<Shift>, manners: Manners) -> History {
    match who {
        0..PRODUCERS => staff::producer(phone, who, shift),
        PRODUCERS => operator::operator(phone, shift),
        _ => staff::worker(phone, shift, manners),
    }
}

/// Checks the promises about gates first, and all others when no gate blocks anything any more.
fn judged(nemesis: impl FnMut(&mut Fleet, &mut StdRng)) {
    let mut run = start();
    let mut history = run.worked(PRODUCERS + 1 + WORKERS, nemesis, client);
    let mut breaches = check::one_at_a_time(&history, FAILING);
    for limit in &LIMITS {
        breaches.extend(check::at_its_rate(&history, limit));
        breaches.extend(check::no_more_at_once(&history, limit));
    }
    let (shut, probes) = (check::times_shut(&history), check::probes(&history, FAILING));
    eprintln!("gates were surely shut {shut} times, and a breaker let {probes} probes through");
    assert!(
        shut > 3 && probes > 0,
        "a history in which nothing happened shows nothing"
    );

    let mut phone = run.phone(99);
    operator::open_everything(&mut phone, &run.fleet.replicas[0].api);
    history.add(phone.history);
    history.add(run.drain());
    run.judge_with(&history, breaches);
}

fn kill_one(fleet: &mut Fleet, rng: &mut StdRng) {
    let victim = rng.random_range(0..REPLICAS);
    fleet.kill(victim);
    std::thread::sleep(Duration::from_millis(rng.random_range(0..300)));
    fleet.start_again(victim);
}

#[test]
fn gates_keep_their_word_while_replicas_are_killed() {
    judged(kill_one);
}

#[test]
fn gates_keep_their_word_while_replicas_stand_still() {
    judged(|fleet, rng| {
        let victim = rng.random_range(0..REPLICAS);
        fleet.signal(victim, "-STOP");
        let ms = if rng.random() {
            rng.random_range(1200..1500)
        } else {
            rng.random_range(10..300)
        };
        std::thread::sleep(Duration::from_millis(ms));
        fleet.signal(victim, "-CONT");
    });
}

#[test]
fn gates_keep_their_word_while_redis_is_killed() {
    judged(|fleet, rng| {
        fleet.powered.redis.kill();
        std::thread::sleep(Duration::from_millis(rng.random_range(0..200)));
        fleet.powered.redis.start_again();
        fleet.assert_serves();
    });
}

/// I18: also while replicas are killed, of which some take grants with them that nobody hears of.
#[test]
fn groups_with_a_backlog_take_turns_while_replicas_are_killed() {
    const GROUPS: [&str; 4] = ["acme", "big", "c", "zeta"];
    const EACH: usize = 2_000;
    let mut run = Run::start(REPLICAS, "fsync", Manners::Patient);
    let mut phone = run.phone(99);
    for group in GROUPS {
        let draft = |nth| Draft {
            queue: "q",
            tag: format!("{group}.{nth}"),
            name: "send",
            group: Some(group),
            priority: 10,
            delay_seconds: 0.0,
            max_attempts: 50,
        };
        let drafts: Vec<Draft> = (0..EACH).map(draft).collect();
        drafts.chunks(500).for_each(|drafts| phone.enqueue(drafts));
    }
    let mut history = run.worked(WORKERS, kill_one, staff::taker);
    // Until one of them may have run dry; when the queue is drained in the end all do.
    let grants = history.grants.iter();
    let mut last_ms = grants.map(|grant| grant.at_ms).max().expect("some were granted");
    for group in GROUPS {
        let mut times: Vec<u64> = history
            .grants
            .iter()
            .filter(|grant| grant.group == group)
            .map(|grant| grant.at_ms)
            .collect();
        times.sort_unstable();
        last_ms = last_ms.min(*times.get(EACH - 200).unwrap_or(&last_ms));
    }
    history.add(phone.history);
    history.add(run.drain());
    let granted: Vec<(u64, &str)> = history
        .grants
        .iter()
        .filter(|grant| grant.at_ms < last_ms && grant.queue == "q")
        .map(|grant| (grant.at_ms, grant.group.as_str()))
        .collect();
    let lost = lost(&history);
    eprintln!("{} grants took turns, {} were lost", granted.len(), lost.len());
    let breaches = check::fair_share_but_for(&granted, &lost);
    run.judge_with(&history, breaches);
}

/// Grants that nobody was told of: a task's numbers have no gaps.
fn lost(history: &History) -> Vec<Lost> {
    let mut lost = Vec::new();
    for grants in history.by_task().values() {
        let (mut number, mut from_ms) = (0, 0);
        for grant in grants {
            for _ in number + 1..grant.number {
                let to_ms = grant.at_ms;
                lost.push(Lost { from_ms, to_ms });
            }
            (number, from_ms) = (grant.number, grant.at_ms);
        }
    }
    lost
}

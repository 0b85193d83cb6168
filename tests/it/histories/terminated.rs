//! I30: SIGTERM answers who waits, finishes what is under way, and leaves no lease that nobody holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng;
use serde_json::json;

use super::crew::Manners;
use super::fleet::Fleet;
use super::history::{History, Verb};
use super::phone::{Draft, Phone, Plan};
use super::run::{Run, length};
use crate::http::api::{Answer, tasks};
use crate::process::running::until;

/// Workers that wait for tasks that never come.
const WAITERS: usize = 20;
/// Workers that hang up in the last moment.
const LEAVERS: usize = 5;
const BUSY: usize = 6;

/// Enqueues, leases for longer than the test lasts, and acks most, until told to stop.
fn busy(mut phone: Phone, me: usize, over: &AtomicBool) -> History {
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        let draft = |nth| Draft {
            queue: "q",
            tag: format!("{me}.{nth}"),
            name: "send",
            group: None,
            priority: 10,
            delay_seconds: 0.0,
            max_attempts: 5,
        };
        let count = phone.rng.random_range(1..6);
        phone.enqueue(&(sent..sent + count).map(draft).collect::<Vec<_>>());
        sent += count;
        let max_tasks = phone.rng.random_range(1..6);
        let grants = phone.lease(
            Some("q"),
            json!({"max_tasks": max_tasks, "wait_seconds": 0.1, "lease_seconds": 600}),
            &[],
        );
        for grant in grants {
            if phone.rng.random_ratio(3, 4) {
                phone.settle(&[Plan {
                    verb: Verb::Ack,
                    task: grant.task,
                    lease_id: grant.lease_id,
                    fields: json!({}),
                }]);
            }
        }
    }
    phone.history
}

#[test]
fn a_terminated_replica_answers_everybody_and_keeps_no_lease() {
    let mut run = Run::start(2, "fsync", Manners::Patient);
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..BUSY)
        .map(|me| {
            let (phone, over) = (run.phone(me), Arc::clone(&over));
            std::thread::spawn(move || busy(phone, me, &over))
        })
        .collect();
    let mut rng = run.seed.rng(BUSY);
    let end = run.clock.now_us() + u64::try_from(length().as_micros()).unwrap();
    while run.clock.now_us() < end {
        let victim = rng.random_range(0..2);
        let api = run.fleet.replicas[victim].api.clone();
        let wait = |_| api.open("POST", "/v1/queues/nothing/lease", "", r#"{"wait_seconds":60}"#);
        let waiters: Vec<_> = (0..WAITERS).map(wait).collect();
        let mut steady = 0;
        until("waiters", || {
            // The busy ones may wait as well, now and then: so it must be enough of them for a while.
            let metrics = api.get("/metrics").body;
            let count = metrics
                .lines()
                .find_map(|line| line.strip_prefix("leaseq_lease_waiters "));
            let enough = count?.parse::<usize>().unwrap() >= WAITERS;
            steady = if enough { steady + 1 } else { 0 };
            (steady == 10).then_some(())
        });
        // Some ask and leave while Redis stands still: what it then grants is for nobody.
        run.fleet.signal_redis("-STOP");
        let leave = |_| {
            api.open(
                "POST",
                "/v1/queues/q/lease",
                "",
                r#"{"max_tasks":5,"lease_seconds":600}"#,
            )
        };
        let leavers: Vec<_> = (0..LEAVERS).map(leave).collect();
        api.get("/livez").expect(200);
        drop(leavers);
        api.get("/livez").expect(200);
        run.fleet.signal(victim, "-TERM");
        run.fleet.signal_redis("-CONT");
        let status = run.fleet.ended(victim);
        assert_eq!(status.code(), Some(0));
        for waiter in waiters {
            let answer = Answer::read(waiter);
            assert_eq!(tasks(&answer.expect(200)), Vec::<serde_json::Value>::new());
        }
        run.fleet.start_again(victim);
        std::thread::sleep(Duration::from_millis(rng.random_range(0..200)));
    }
    over.store(true, Ordering::Relaxed);
    let mut history = History::default();
    for client in clients {
        history.add(client.join().unwrap());
    }

    // Every leased task has a holder: no lease has run out meanwhile.
    let mut phone = run.phone(BUSY + 1);
    phone.list("leased");
    let leased: BTreeSet<&str> = phone.history.finals.keys().map(String::as_str).collect();
    let held: BTreeSet<&str> = history.grants.iter().map(|grant| grant.task.as_str()).collect();
    let nobodys: Vec<_> = leased.difference(&held).collect();
    assert!(nobodys.is_empty(), "I30: leased to nobody: {nobodys:?}");
    let acked = |lease_id: &str| {
        let mut acks = history
            .settles
            .iter()
            .filter(|settle| settle.lease_id == lease_id);
        acks.any(|ack| ack.outcome.done().is_some())
    };
    let rest: Vec<Plan> = history
        .grants
        .iter()
        .filter(|grant| !acked(&grant.lease_id))
        .map(|grant| Plan {
            verb: Verb::Ack,
            task: grant.task.clone(),
            lease_id: grant.lease_id.clone(),
            fields: json!({}),
        })
        .collect();
    for some in rest.chunks(500) {
        phone.settle(some);
    }
    history.settles.append(&mut phone.history.settles);
    history.add(run.drain());
    run.judge(&history);
}

#[test]
fn a_terminated_replica_stays_until_it_has_back_what_redis_granted_to_who_left() {
    let mut fleet = Fleet::start(1, "fsync");
    let api = fleet.replicas[0].api.clone();
    api.post("/v1/queues/q/tasks", "{}").expect(201);
    fleet.signal_redis("-STOP");
    let leaver = api.open("POST", "/v1/queues/q/lease", "", r#"{"lease_seconds":600}"#);
    api.get("/livez").expect(200);
    drop(leaver);
    api.get("/livez").expect(200);
    fleet.signal(0, "-TERM");
    until("a closed port", || api.try_open("GET", "/livez", "", "").err());
    // Longer than an end takes that waits for nothing.
    std::thread::sleep(Duration::from_millis(500));
    assert!(fleet.replicas[0].process.try_wait().unwrap().is_none());

    fleet.signal_redis("-CONT");
    assert_eq!(fleet.ended(0).code(), Some(0));
    fleet.start_again(0);
    let answer = fleet.replicas[0].api.post("/v1/queues/q/lease", "{}").expect(200);
    assert_eq!(answer["tasks"][0]["attempt"], 1);
}

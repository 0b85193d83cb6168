//! A Redis that is full or gone.

use std::time::{Duration, Instant};

use deadpool_redis::redis::cmd;

use super::api::{Answer, Api};
use crate::process::running::until;
use crate::process::service::Service;
use crate::support::redis::Redis;

fn on(redis: &Redis) -> (Service, Api) {
    let service = Service::start(&["--redis-url", &redis.url()]);
    let api = Api::of(&service);
    (service, api)
}

#[test]
fn a_full_store_takes_no_task_and_lets_workers_go_on() {
    let redis = Redis::start();
    let (_service, api) = on(&redis);
    for _ in 0..4 {
        api.enqueue("{}");
    }
    let held = api.lease_one();
    let () = redis.command(cmd("CONFIG").arg("SET").arg("maxmemory").arg(1));

    let refused = api.post("/v1/queues/q/tasks", "{}");
    assert_eq!(refused.problem(507, "store_full")["outcome"], "not_applied");
    api.post("/v1/queues/q/tasks/batch", r#"{"tasks":[{},{}]}"#)
        .problem(507, "store_full");
    api.settle(&held, "ack", r#"{"result":"sent"}"#).expect(200);
    let tasks = api.lease(r#"{"max_tasks":3}"#);
    assert_eq!(tasks.len(), 3);
    api.settle(&tasks[0], "extend", "").expect(200);
    api.settle(&tasks[0], "nack", r#"{"error":"e"}"#).expect(200);
    api.settle(&tasks[1], "release", "").expect(200);
    api.settle(&tasks[2], "ack", "").expect(200);

    let () = redis.command(cmd("CONFIG").arg("SET").arg("maxmemory").arg(0));
    api.enqueue("{}");
    assert_eq!(api.get("/v1/queues/q/stats").expect(200)["accepted_total"], 5);
}

/// I27.
#[test]
fn an_outage_of_redis_is_told_honestly_and_ends_by_itself() {
    let mut redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (_service, api) = on(&redis);
    let id = api.enqueue("{}");
    let held = api.lease_one();

    redis.kill();
    let unavailable = |answer: &Answer| {
        let problem = answer.problem(503, "store_unavailable");
        assert_eq!(problem["outcome"], "not_applied");
        assert!(answer.header("retry-after").is_some());
    };
    // The very first may have been on its way when the connection broke.
    let first = api.post("/v1/queues/q/tasks", "{}");
    if first.status == 504 {
        first.problem(504, "outcome_unknown");
    } else {
        unavailable(&first);
    }
    unavailable(&api.post("/v1/queues/q/tasks", "{}"));
    unavailable(&api.post("/v1/queues/q/tasks/batch", r#"{"tasks":[{},{}]}"#));
    unavailable(&api.post("/v1/queues/q/lease", r#"{"wait_seconds":0}"#));
    unavailable(&api.settle(&held, "ack", ""));
    unavailable(&api.get("/readyz"));
    api.get("/livez").expect(200);

    redis.start_again();
    let start = Instant::now();
    until("a service that serves", || {
        (api.get("/readyz").status == 200).then_some(())
    });
    assert_eq!(api.task(&id)["state"], "leased");
    api.settle(&held, "ack", "").expect(200);
    api.enqueue("{}");
    api.lease_one();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// I26 and I27 together: a wait outlives the outage, or ends honestly; it never hangs.
#[test]
fn a_lease_that_waited_through_an_outage_is_not_forgotten() {
    let mut redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (_service, api) = on(&redis);
    api.enqueue("{}");
    let waiter = api.waiting("/v1/queues/other/lease", r#"{"wait_seconds":15}"#, 1);
    redis.kill();
    redis.start_again();
    until("an enqueue that works", || {
        (api.post("/v1/queues/other/tasks", "{}").status == 201).then_some(())
    });
    let answer = waiter.join().unwrap();
    match answer.status {
        200 => assert_eq!(answer.expect(200)["tasks"].as_array().unwrap().len(), 1),
        _ => drop(answer.problem(503, "store_unavailable")),
    }
}

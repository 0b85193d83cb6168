//! Leases that are over when Redis's answer comes: nobody gets them, and nobody waits for them.

use std::time::Duration;

use deadpool_redis::redis::cmd;
use serde_json::Value;

use super::fleet::Fleet;
use super::proxy::Rule;
use crate::http::api::{Answer, Api, tasks};
use crate::process::running::until;

const LEASED: &str = "lq:1:{q}:leased";

/// When Redis's clock passes the end of the one lease that there is.
fn until_the_lease_is_over(fleet: &Fleet) {
    let redis = &fleet.powered.redis;
    let lease: Vec<(Vec<u8>, f64)> = redis.command(cmd("ZRANGE").arg(LEASED).arg(0).arg(0).arg("WITHSCORES"));
    let ends_s = lease[0].1 / 2048.0 / 1000.0;
    until("the lease's end", || {
        let (seconds, _): (f64, u64) = redis.command(&cmd("TIME"));
        (seconds > ends_s).then_some(())
    });
}

/// Asks for a lease of a second, stops the replica until Redis's answer is there and the lease over, and lets
/// it go on.
fn stalled(fleet: &Fleet, wait_seconds: u64) -> Answer {
    let (api, proxy) = (&fleet.replicas[0].api, &fleet.replicas[0].proxy);
    proxy.rule(Rule::Slow(Duration::from_millis(300)));
    let body = format!(r#"{{"lease_seconds":1,"wait_seconds":{wait_seconds}}}"#);
    let call = api.open("POST", "/v1/queues/q/lease", "", &body);
    until("a grant on its way", || {
        let leased: usize = fleet.powered.redis.command(cmd("ZCARD").arg(LEASED));
        (leased == 1).then_some(())
    });
    fleet.signal(0, "-STOP");
    until_the_lease_is_over(fleet);
    proxy.rule(Rule::Pass);
    fleet.signal(0, "-CONT");
    Answer::read(call)
}

/// The attempt was not counted, and the grant's number is not used again.
fn assert_second_grant_of_a_first_attempt(fleet: &Fleet, task: &Value) {
    assert_eq!((&task["attempt"], &task["grant"]), (&1.into(), &2.into()));
    fleet.replicas[0].api.settle(task, "ack", "").expect(200);
    let stats = fleet.replicas[0].api.get("/v1/queues/q/stats").expect(200);
    assert_eq!(
        (&stats["leased"], &stats["leases_expired_total"]),
        (&0.into(), &0.into())
    );
}

fn one_task() -> (Fleet, Api) {
    let fleet = Fleet::start(1, "memory");
    let api = fleet.replicas[0].api.clone();
    api.enqueue("{}");
    (fleet, api)
}

#[test]
fn a_lease_that_is_over_when_its_answer_comes_is_given_back_and_said_so() {
    let (fleet, api) = one_task();
    let problem = stalled(&fleet, 0).problem(503, "store_unavailable");
    assert_eq!(problem["outcome"], "not_applied");
    assert_second_grant_of_a_first_attempt(&fleet, &api.lease_one());
}

#[test]
fn a_waiting_lease_that_got_one_that_was_over_gets_another() {
    let (fleet, _) = one_task();
    let tasks = tasks(&stalled(&fleet, 20).expect(200));
    assert_second_grant_of_a_first_attempt(&fleet, &tasks[0]);
}

/// When a stopped Redis goes on, its sockets hold requests of callers that have had an unknown outcome for
/// long.
#[test]
fn a_lease_that_redis_reads_when_nobody_waits_for_it_any_more_is_not_granted() {
    let (fleet, api) = one_task();
    // From this answer the service knows what time it is there.
    assert!(api.lease(r#"{"names":["none"],"wait_seconds":0}"#).is_empty());
    fleet.signal_redis("-STOP");
    api.post("/v1/queues/q/lease", r#"{"lease_seconds":600,"wait_seconds":0}"#)
        .problem(504, "outcome_unknown");
    fleet.signal_redis("-CONT");
    let task = api.lease_one();
    assert_eq!((&task["attempt"], &task["grant"]), (&1.into(), &1.into()));
}

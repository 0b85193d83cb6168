//! Callers who leave: what they were granted and never got is given back, uncounted.

use super::api::{Api, served};
use crate::process::running::kill;
use crate::process::service::Service;
use crate::support::redis::Redis;
use deadpool_redis::redis::cmd;

const LEASE: &str = "/v1/queues/q/lease";

#[test]
fn a_caller_who_left_while_waiting_takes_no_task() {
    let (_service, api, _dir) = served();
    let stream = api.open("POST", LEASE, "", r#"{"wait_seconds":60}"#);
    api.wait_for_waiters(1);
    drop(stream);
    api.wait_for_waiters(0);
    api.enqueue("{}");
    let task = api.lease_one();
    assert_eq!((&task["attempt"], &task["grant"]), (&1.into(), &1.into()));
}

#[test]
fn a_task_for_a_caller_who_is_just_leaving_is_the_next_ones_uncounted() {
    let (_service, api, _dir) = served();
    for _ in 0..10 {
        let stream = api.open("POST", LEASE, "", r#"{"wait_seconds":60}"#);
        api.wait_for_waiters(1);
        drop(stream);
        // The service may not have noticed yet.
        api.enqueue("{}");
        let task = api.lease_one();
        assert_eq!(task["attempt"], 1);
        api.settle(&task, "ack", "").expect(200);
    }
}

/// The grant happens after the caller has left: Redis is stopped while the caller asks and goes.
#[test]
fn a_grant_that_nobody_is_there_to_take_is_given_back() {
    let redis = Redis::start();
    let service = Service::start(&["--redis-url", &redis.url()]);
    let api = Api::of(&service);
    let info: String = redis.command(cmd("INFO").arg("server"));
    let pid = info
        .lines()
        .find_map(|line| line.strip_prefix("process_id:"))
        .unwrap()
        .parse()
        .unwrap();
    for _ in 0..5 {
        api.enqueue("{}");
        kill(pid, "-STOP");
        let stream = api.open("POST", LEASE, "", "{}");
        api.get("/livez").expect(200);
        drop(stream);
        api.get("/livez").expect(200);
        kill(pid, "-CONT");
        let task = api.lease_one();
        assert_eq!(task["attempt"], 1);
        api.settle(&task, "ack", "").expect(200);
    }
}

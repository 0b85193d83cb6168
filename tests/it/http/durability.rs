//! Responses name the durability that holds, also if somebody changes the settings of Redis.

use std::io::Read;

use deadpool_redis::redis::cmd;

use super::api::Api;
use crate::process::running::{kill, leaseq, until};
use crate::process::service::Service;
use crate::support::redis::{Redis, with_port};

const SYNCED: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

fn set(redis: &Redis, name: &str, value: &str) {
    let _: () = redis.command(cmd("CONFIG").arg("SET").arg(name).arg(value));
}

fn until_ready_at(api: &Api, level: &str) {
    until(level, || {
        let ready = api.get("/readyz").expect(200);
        (ready["durability"] == level).then_some(())
    });
}

fn named(api: &Api) -> String {
    let answer = api.post("/v1/queues/q/tasks", "{}");
    answer.expect(201);
    answer.header("leaseq-durability").unwrap().to_owned()
}

fn is_degraded(api: &Api) -> bool {
    let metrics = api.get("/metrics").body;
    metrics.lines().any(|line| line == "leaseq_durability_degraded 1")
}

#[test]
fn answers_name_fsync_only_while_redis_syncs_every_write() {
    let redis = Redis::start_with(&SYNCED);
    let mut service = Service::start(&["--redis-url", &redis.url(), "--durability", "fsync"]);
    let api = Api::of(&service);
    assert_eq!((named(&api).as_str(), is_degraded(&api)), ("fsync", false));

    for (name, worse, good) in [
        ("appendfsync", "everysec", "always"),
        ("appendonly", "no", "yes"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
    ] {
        set(&redis, name, worse);
        until_ready_at(&api, "memory");
        assert_eq!(
            (named(&api).as_str(), is_degraded(&api)),
            ("memory", true),
            "{name}"
        );
        set(&redis, name, good);
        until_ready_at(&api, "fsync");
        assert_eq!(
            (named(&api).as_str(), is_degraded(&api)),
            ("fsync", false),
            "{name}"
        );
    }

    service.process.kill().unwrap();
    let mut told = String::new();
    service.stderr.read_to_string(&mut told).unwrap();
    assert_eq!(
        told.matches("responses name durability memory").count(),
        3,
        "{told}"
    );
    assert_eq!(
        told.matches("responses name durability fsync").count(),
        3,
        "{told}"
    );
}

#[test]
fn fsync_is_refused_on_a_redis_that_does_not_sync_every_write() {
    for worse in [
        ["--appendfsync", "everysec"],
        ["--no-appendfsync-on-rewrite", "yes"],
    ] {
        let redis = Redis::start_with(&[&SYNCED[..], &worse].concat());
        let output = leaseq(&["serve", "--listen", "127.0.0.1:0", "--durability", "fsync"])
            .args(["--redis-url", &redis.url()])
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("--durability memory"), "{told}");
    }
}

/// The service does not claim a level that it may not verify, and nobody required one.
#[test]
fn memory_is_named_where_memory_is_asked_for() {
    let redis = Redis::start_with(&SYNCED);
    let service = Service::start(&["--redis-url", &redis.url(), "--durability", "memory"]);
    let api = Api::of(&service);
    assert_eq!((named(&api).as_str(), is_degraded(&api)), ("memory", false));
}

/// A primary, its replica, and a service that answers when both have a write.
fn replicated() -> (Redis, Redis, Service, Api) {
    let args = with_port();
    let primary = Redis::start_with(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let replica = Redis::start_replica_of(&primary);
    let service = Service::start(&[
        "--redis-url",
        &primary.url(),
        "--durability",
        "replicated",
        "--replicas",
        "1",
    ]);
    let api = Api::of(&service);
    (primary, replica, service, api)
}

fn leased_at(redis: &Redis) -> usize {
    redis.command(cmd("ZCARD").arg("lq:1:{q}:leased"))
}

/// I1: the answer comes when the replica has the write, so whoever looks there then sees it.
#[test]
fn a_replicated_write_is_at_the_replica_when_it_is_answered() {
    let (_primary, replica, _service, api) = replicated();
    until_ready_at(&api, "replicated");
    for leased in 1..=20 {
        assert_eq!(named(&api), "replicated");
        api.lease_one();
        assert_eq!(leased_at(&replica), leased);
    }
}

#[test]
fn a_write_that_too_few_replicas_have_is_of_unknown_outcome_and_can_be_repeated() {
    let (primary, replica, _service, api) = replicated();
    let id = api.enqueue("{}");
    let held = api.lease_one();
    api.enqueue("{}");

    kill(replica.pid(), "-STOP");
    for answer in [
        api.post("/v1/queues/q/tasks", "{}"),
        api.settle(&held, "ack", r#"{"result":1}"#),
        api.post("/v1/queues/q/lease", ""),
        api.send("PATCH", "/v1/queues/q", "", r#"{"max_attempts":3}"#),
        api.post("/v1/queues/new/tasks", "{}"),
    ] {
        assert_eq!(answer.problem(504, "outcome_unknown")["outcome"], "unknown");
    }
    api.get("/readyz").problem(503, "store_unavailable");
    assert_eq!(api.task(&id)["state"], "completed", "reading needs no replica");

    kill(replica.pid(), "-CONT");
    until_ready_at(&api, "replicated");
    let again = api.settle(&held, "ack", r#"{"result":1}"#).expect(200);
    assert_eq!(again["already"], true);
    // A task that no caller received is not leased, and not counted.
    let tasks = api.lease(r#"{"max_tasks":5}"#);
    assert_eq!(tasks.len(), 2, "{tasks:?}");
    assert!(tasks.iter().all(|task| task["attempt"] == 1));
    assert_eq!((leased_at(&primary), leased_at(&replica)), (2, 2));
}

#[test]
fn a_service_that_has_too_few_replicas_from_the_start_is_not_ready() {
    let redis = Redis::start();
    let service = Service::start(&["--redis-url", &redis.url(), "--durability", "replicated"]);
    let api = Api::of(&service);
    assert_eq!(api.get("/readyz").status, 503);
    assert_eq!(api.post("/v1/queues/q/tasks", "{}").status, 503);
}

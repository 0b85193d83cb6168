//! What answers name is what holds: also on a Redis whose settings somebody changes.

use std::io::Read;

use deadpool_redis::redis::cmd;

use super::api::Api;
use crate::process::running::{leaseq, until};
use crate::process::service::Service;
use crate::support::redis::Redis;

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
        told.matches("answers name durability memory").count(),
        3,
        "{told}"
    );
    assert_eq!(told.matches("answers name durability fsync").count(), 3, "{told}");
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

/// What the service may not see it does not claim, and nobody asked for more.
#[test]
fn memory_is_named_where_memory_is_asked_for() {
    let redis = Redis::start_with(&SYNCED);
    let service = Service::start(&["--redis-url", &redis.url(), "--durability", "memory"]);
    let api = Api::of(&service);
    assert_eq!((named(&api).as_str(), is_degraded(&api)), ("memory", false));
}

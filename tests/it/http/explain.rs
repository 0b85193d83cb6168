//! Why a task does not run, why a lease is empty, what an audit finds, what the doctor sees.

use serde_json::{Value, json};

use super::api::{served, tasks};
use crate::process::service::Service;
use crate::support::redis::Redis;

use super::api::Api;

#[test]
fn a_waiting_task_says_why_it_does_not_run() {
    let (_service, api, _dir) = served();
    let scheduled = api.task(&api.enqueue(r#"{"delay_seconds":60}"#));
    let reason = &scheduled["waiting"]["reasons"][0];
    assert_eq!(
        (&reason["reason"], &reason["until"]),
        (&"scheduled".into(), &scheduled["run_at"])
    );
    assert_eq!(scheduled["waiting"]["ahead"], Value::Null);

    api.enqueue("{}");
    let second = api.enqueue("{}");
    let waiting = &api.task(&second)["waiting"];
    assert_eq!(
        *waiting,
        json!({
            "reasons": [{"reason": "no_worker"}, {"reason": "order", "lanes": 0}],
            "ahead": {"tasks": 1, "at_least": false},
        })
    );
    api.lease_one();
    assert_eq!(
        api.task(&second)["waiting"]["reasons"],
        json!([{"reason": "next"}])
    );
    api.lease_one();
    assert_eq!(api.task(&second)["waiting"], Value::Null, "it is leased");
}

#[test]
fn an_empty_lease_tells_when_the_first_scheduled_task_comes() {
    let (_service, api, _dir) = served();
    let empty = |path: &str, body: &str| {
        let answer = api.post(path, body).expect(200);
        assert!(tasks(&answer).is_empty(), "{answer}");
        assert_eq!(answer["reason"], "empty");
        answer["retry_after_seconds"].as_f64()
    };
    let one = |body| empty("/v1/queues/q/lease", body);
    api.send("PUT", "/v1/queues/q", "", "{}").expect(201);
    assert_eq!(one(r#"{"wait_seconds":0}"#), None);
    api.enqueue(r#"{"delay_seconds":600}"#);
    for body in [r#"{"wait_seconds":0}"#, r#"{"wait_seconds":0.05}"#] {
        let after = one(body).unwrap();
        assert!((500.0..=600.0).contains(&after), "{after}");
    }
    let many = empty("/v1/lease", r#"{"queues":["p","q"],"wait_seconds":0.05}"#).unwrap();
    assert!((500.0..=600.0).contains(&many), "{many}");
}

#[test]
fn an_audit_of_a_sound_queue_says_so() {
    let (_service, api, _dir) = served();
    for _ in 0..3 {
        api.enqueue("{}");
    }
    api.settle(&api.lease_one(), "ack", "").expect(200);
    let audit = api.post("/v1/queues/q/verify", "").expect(200);
    assert_eq!(
        audit,
        json!({"checked": 3, "tasks": 3, "problems": [], "problems_total": 0})
    );
    // In parts.
    let (mut checked, mut cursor) = (0, Value::Null);
    loop {
        let body = json!({"max_seconds": 0, "cursor": cursor}).to_string();
        let part = api.post("/v1/queues/q/verify", &body).expect(200);
        checked += part["checked"].as_u64().unwrap();
        cursor = part["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(checked, 3);
}

#[test]
fn an_audit_is_refused_with_what_is_wrong() {
    let (_service, api, _dir) = served();
    api.post("/v1/queues/q/verify", "{}")
        .problem(404, "queue_unknown");
    api.enqueue("{}");
    for (body, pointer) in [
        (r#"{"cursor":"x"}"#, "/cursor"),
        (r#"{"cursor":7}"#, "/cursor"),
        (r#"{"max_seconds":61}"#, "/max_seconds"),
        (r#"{"max_seconds":-1}"#, "/max_seconds"),
        (r#"{"dry_run":true}"#, "/dry_run"),
    ] {
        let refused = api
            .post("/v1/queues/q/verify", body)
            .problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}");
    }
    api.post("/v1/queues/q/verify", "[")
        .problem(400, "malformed_json");
}

fn status_of(checkup: &Value, name: &str) -> String {
    let checks = checkup["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("{name} is not in {checkup}"));
    let advised = check["advice"]
        .as_str()
        .is_some_and(|advice| advice.ends_with('.'));
    assert_eq!(check["status"] != "ok", advised, "{check}");
    check["status"].as_str().unwrap().to_owned()
}

#[test]
fn the_doctor_looks_at_the_embedded_redis_and_its_directory() {
    let (_service, api, _dir) = served();
    let checkup = api.get("/v1/doctor").expect(200);
    for name in [
        "version",
        "role",
        "eviction",
        "persistence",
        "writes",
        "scripts",
        "permissions",
        "clock",
        "durability",
        "data_dir",
    ] {
        assert_eq!(status_of(&checkup, name), "ok", "{checkup}");
    }
    status_of(&checkup, "open_files");
    status_of(&checkup, "memory");
    api.get("/v1/doctor?x=1").problem(422, "validation_failed");
}

#[test]
fn the_doctor_sees_a_redis_that_would_lose_tasks() {
    let redis = Redis::start_with(&["--maxmemory", "500mb", "--maxmemory-policy", "allkeys-lru"]);
    let service = Service::start(&["--redis-url", &redis.url()]);
    let checkup = Api::of(&service).get("/v1/doctor").expect(200);
    assert_eq!(checkup["status"], "fail");
    assert_eq!(status_of(&checkup, "eviction"), "fail");
    assert_eq!(status_of(&checkup, "persistence"), "warn");
}

#[test]
fn the_doctor_sees_what_the_user_may_not_do() {
    let redis = Redis::start();
    let setuser = |rules: &[&str]| {
        let mut command = deadpool_redis::redis::cmd("ACL");
        command.arg("SETUSER").arg("default").arg(rules);
        let _: () = redis.command(&command);
    };
    let service = Service::start(&["--redis-url", &redis.url()]);
    let api = Api::of(&service);
    assert_eq!(status_of(&api.get("/v1/doctor").expect(200), "permissions"), "ok");
    setuser(&["-config"]);
    assert_eq!(
        status_of(&api.get("/v1/doctor").expect(200), "permissions"),
        "warn"
    );
    setuser(&["-zadd", "-hscan"]);
    let checkup = api.get("/v1/doctor").expect(200);
    assert_eq!(status_of(&checkup, "permissions"), "fail");
    assert!(
        checkup.to_string().contains("the user may not HSCAN, ZADD"),
        "{checkup}"
    );
    setuser(&["+@all"]);
}

#[test]
fn the_doctor_answers_when_redis_is_gone() {
    let mut redis = Redis::start();
    let service = Service::start(&["--redis-url", &redis.url()]);
    redis.kill();
    let checkup = Api::of(&service).get("/v1/doctor").expect(200);
    assert_eq!(
        (&checkup["status"], status_of(&checkup, "redis").as_str()),
        (&"fail".into(), "fail")
    );
}

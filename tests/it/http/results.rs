//! Reads that wait for the end of a task.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::{Answer, Api, served};
use crate::process::running::{kill, until};
use crate::process::service::Service;
use crate::support::redis::Redis;

/// Without a message, those who wait look each second.
const ONLY_TOLD: Duration = Duration::from_millis(500);

fn path(id: &str, wait_seconds: &str) -> String {
    format!("/v1/queues/q/tasks/{id}?wait_seconds={wait_seconds}")
}

fn wait_for_followers(api: &Api, count: usize) {
    let line = format!("leaseq_task_waiters {count}");
    until(&line, || {
        let metrics = api.get("/metrics").body;
        metrics.lines().any(|found| found == line).then_some(())
    });
}

/// Begins to wait on another thread and returns when it waits; the answer, and when it came.
fn following(api: &Api, id: &str) -> JoinHandle<(Answer, Instant)> {
    let stream = api.open("GET", &path(id, "30"), "", "");
    wait_for_followers(api, 1);
    std::thread::spawn(move || (Answer::read(stream), Instant::now()))
}

fn replicas(redis: &Redis) -> [(Service, Api); 2] {
    [(); 2].map(|()| {
        let service = Service::start(&["--redis-url", &redis.url()]);
        let api = Api::of(&service);
        (service, api)
    })
}

fn configure(api: &Api, config: &Value) {
    let answer = api.send("PATCH", "/v1/queues/q", "", &config.to_string());
    assert!(answer.status < 300, "{answer:?}");
}

/// I25: whatever ends it and whatever is kept of it, who waits at another replica is told at once.
#[test]
fn a_read_that_waits_is_answered_when_its_task_ends_at_another_replica() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = replicas(&redis);
    let retentions = [
        json!({"retention": {"keep": "all"}}),
        json!({"retention": {"keep": "results"}}),
        json!({"retention": {"keep": "none"}}),
        json!({"retention": {"keep": "all", "completed_max": 0}}),
        json!({"retention": {"keep": "all", "completed_max": 100_000, "completed_seconds": 0}}),
    ];
    let ends = [
        ("ack", r#"{"result":{"sum":[]}}"#, "completed"),
        (
            "nack",
            r#"{"error":{"type":"Bad","message":"m"},"retry":false}"#,
            "dead",
        ),
    ];
    for retention in retentions {
        configure(&a, &retention);
        for (verb, body, state) in ends {
            let mut times = [(); 3].map(|()| {
                let id = a.enqueue(r#"{"payload":[1]}"#);
                let waiter = following(&b, &id);
                let task = a.lease_one();
                let start = Instant::now();
                a.settle(&task, verb, body).expect(200);
                let (answer, at) = waiter.join().unwrap();
                let seen = answer.expect(200);
                assert_eq!(
                    (&seen["id"], &seen["state"]),
                    (&json!(id), &json!(state)),
                    "{retention}"
                );
                if state == "completed" {
                    assert_eq!(seen["result"], json!({"sum": []}), "{retention}");
                } else {
                    assert_eq!(
                        (&seen["reason"], &seen["last_error"]["type"]),
                        (&json!("rejected"), &json!("Bad"))
                    );
                }
                at.saturating_duration_since(start)
            });
            times.sort();
            // A busy machine may stop a process for a moment; it does not stop it every time.
            assert!(times[1] < ONLY_TOLD, "{times:?} with {retention}");
        }
    }
}

/// A task that is over is answered at once; one that is not, after the wait, as it is then.
#[test]
fn a_read_that_waits_in_vain_shows_the_task_as_it_is() {
    let (_service, api, _dir) = served();
    let id = api.enqueue("{}");
    assert_eq!(api.get(&path(&id, "0.05")).expect(200)["state"], "ready");
    let task = api.lease_one();
    assert_eq!(api.get(&path(&id, "0.05")).expect(200)["state"], "leased");
    assert_eq!(api.get(&path(&id, "0")).expect(200)["state"], "leased");
    api.settle(&task, "ack", "").expect(200);
    let start = Instant::now();
    assert_eq!(api.get(&path(&id, "60")).expect(200)["state"], "completed");
    assert!(start.elapsed() < Duration::from_secs(5));
    api.get(&path("00000000000000000000000", "60"))
        .problem(404, "task_unknown");
    api.get(&path(&id, "60").replace("/q/", "/none/"))
        .problem(404, "task_unknown");
}

#[test]
fn a_wait_out_of_its_range_is_refused() {
    let (_service, api, _dir) = served();
    let id = api.enqueue("{}");
    for wait in ["-1", "60.001", "x", "", "1e3", "NaN", "%31%30s"] {
        let problem = api.get(&path(&id, wait)).problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "query:wait_seconds", "{wait}");
        assert_eq!(
            problem["errors"][0]["detail"],
            "must be a number of seconds from 0 to 60"
        );
    }
    let twice = format!("{}&wait_seconds=1", path(&id, "1"));
    let problem = api.get(&twice).problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "query:wait_seconds");
}

/// I25: kept byte for byte up to the limit; beyond it, the task is not acked.
#[test]
fn a_result_may_have_256_kib_and_not_a_byte_more() {
    let (_service, api, _dir) = served();
    let id = api.enqueue("{}");
    let task = api.lease_one();
    let of = |bytes: usize| format!(r#"{{"result":"{}"}}"#, "x".repeat(bytes - 2));
    let problem = api
        .settle(&task, "ack", &of(256 * 1024 + 1))
        .problem(413, "result_too_large");
    assert_eq!(problem["errors"][0]["pointer"], "/result");
    for broken in [r#"{"result":}"#, r#"{"result":01}"#, "{\"result\":\"\u{1}\"}"] {
        api.settle(&task, "ack", broken).problem(400, "malformed_json");
    }
    assert_eq!(api.task(&id)["state"], "leased");
    api.settle(&task, "ack", &of(256 * 1024)).expect(200);
    let seen = api.get(&path(&id, "60")).expect(200);
    assert_eq!(seen["result"].as_str().unwrap().len(), 256 * 1024 - 2);

    let id = api.enqueue("{}");
    let odd = r#"{"a":[], "n":9007199254740993,"a":1}"#;
    api.settle(&api.lease_one(), "ack", &format!(r#"{{"result":{odd}}}"#))
        .expect(200);
    let seen = api.get(&path(&id, "0")).body;
    assert!(seen.contains(&format!(r#""result":{odd}"#)), "{seen}");
}

/// If every message is lost, a second later.
#[test]
fn a_read_that_waits_is_answered_within_a_second_though_no_message_comes() {
    let redis = Redis::start_with(&["--rename-command", "SUBSCRIBE", ""]);
    let [(_a, a), (_b, b)] = replicas(&redis);
    a.enqueue("{}");
    configure(&a, &json!({"retention": {"keep": "none"}}));
    let task = a.lease_one();
    let waiter = following(&b, task["id"].as_str().unwrap());
    let start = Instant::now();
    a.settle(&task, "ack", r#"{"result":7}"#).expect(200);
    let (answer, at) = waiter.join().unwrap();
    assert_eq!(answer.expect(200)["result"], 7);
    assert!(at.saturating_duration_since(start) < Duration::from_secs(3));
}

/// Nothing is left of a caller who left.
#[test]
fn a_caller_who_leaves_ends_its_wait() {
    let (_service, api, _dir) = served();
    let id = api.enqueue("{}");
    let stream = api.open("GET", &path(&id, "60"), "", "");
    wait_for_followers(&api, 1);
    drop(stream);
    wait_for_followers(&api, 0);
}

/// I30.
#[test]
fn a_shutdown_answers_reads_that_wait_at_once() {
    let (service, api, _dir) = served();
    let id = api.enqueue("{}");
    let waiter = following(&api, &id);
    let start = Instant::now();
    kill(service.process.id(), "-TERM");
    let (answer, at) = waiter.join().unwrap();
    assert_eq!(answer.expect(200)["state"], "ready");
    assert!(at.saturating_duration_since(start) < Duration::from_secs(5));
}

/// A result that nobody waits for is gone at once, and the others soon after.
#[test]
fn a_result_that_nothing_keeps_is_kept_for_those_who_wait_alone() {
    let (_service, api, _dir) = served();
    api.enqueue("{}");
    configure(&api, &json!({"retention": {"keep": "none"}}));
    let first = api.lease_one();
    api.settle(&first, "ack", "").expect(200);
    let first = first["id"].as_str().unwrap();
    api.get(&path(first, "0")).problem(404, "task_unknown");

    let id = api.enqueue("{}");
    let waiter = following(&api, &id);
    let task = api.lease_one();
    api.settle(&task, "ack", r#"{"result":1}"#).expect(200);
    assert_eq!(waiter.join().unwrap().0.expect(200)["result"], 1);
    let listed = api.get("/v1/queues/q/tasks?state=completed").expect(200);
    assert_eq!(listed["items"], json!([]));
}

//! Leases: of one queue and of many, waiting or not, repeated, and with settles on the way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::api::{each, served, tasks};
use crate::process::running::{kill, until};

/// I26.
#[test]
fn a_waiting_lease_gets_the_task_that_comes() {
    let (_service, api, _dir) = served();
    let waiter = api.waiting("/v1/queues/q/lease", r#"{"wait_seconds":30}"#, 1);
    let start = Instant::now();
    let id = api.enqueue(r#"{"payload":"here"}"#);
    let leased = tasks(&waiter.join().unwrap().expect(200));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(each(&leased, "id"), [id]);
}

/// I26: one enqueue is for one of them, and for the one that came first.
#[test]
fn waiting_leases_are_served_in_the_order_they_came() {
    let (_service, api, _dir) = served();
    let first = api.waiting("/v1/queues/q/lease", r#"{"wait_seconds":30}"#, 1);
    let second = api.waiting("/v1/queues/q/lease", r#"{"wait_seconds":30}"#, 2);
    for (waiter, left) in [(first, 1), (second, 0)] {
        let id = api.enqueue("{}");
        assert_eq!(each(&tasks(&waiter.join().unwrap().expect(200)), "id"), [id]);
        api.wait_for_waiters(left);
    }
}

#[test]
fn an_empty_answer_is_no_error_and_says_why() {
    let (_service, api, _dir) = served();
    let answer = api
        .post("/v1/queues/q/lease", r#"{"wait_seconds":0.05}"#)
        .expect(200);
    assert_eq!(answer["reason"], "empty");
    assert!(tasks(&answer).is_empty());
}

/// I30.
#[test]
fn a_service_that_stops_answers_waiting_leases_at_once() {
    let (mut service, api, _dir) = served();
    let one = api.waiting("/v1/queues/q/lease", r#"{"wait_seconds":60}"#, 1);
    let many = api.waiting("/v1/lease", r#"{"queues":["a","b"],"wait_seconds":60}"#, 2);
    let start = Instant::now();
    kill(service.process.id(), "-TERM");
    for waiter in [one, many] {
        assert!(tasks(&waiter.join().unwrap().expect(200)).is_empty());
    }
    assert_eq!(service.process.wait().unwrap().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_lease_by_names_leaves_the_others_where_they_are() {
    let (_service, api, _dir) = served();
    for name in ["a", "b", "c", "a"] {
        api.enqueue(&format!(r#"{{"name":"{name}"}}"#));
    }
    let leased = api.lease(r#"{"names":["a","c"],"max_tasks":9}"#);
    let mut names = each(&leased, "name");
    names.sort();
    assert_eq!(names, ["a", "a", "c"]);
    assert!(api.lease(r#"{"names":["a","c"],"wait_seconds":0}"#).is_empty());
    assert_eq!(each(&api.lease(r#"{"max_tasks":9}"#), "name"), ["b"]);
}

#[test]
fn of_several_queues_the_first_that_has_tasks_serves() {
    let (_service, api, _dir) = served();
    for queue in ["default", "critical", "default", "critical"] {
        api.post(&format!("/v1/queues/{queue}/tasks"), "{}").expect(201);
    }
    let strict = r#"{"queues":["critical","default"],"wait_seconds":0}"#;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(each(&tasks(&api.post("/v1/lease", strict).expect(200)), "queue"));
    }
    assert_eq!(seen, ["critical", "critical", "default", "default"]);
}

#[test]
fn of_weighted_queues_none_starves() {
    let (_service, api, _dir) = served();
    let many = format!(r#"{{"tasks":[{}]}}"#, vec!["{}"; 60].join(","));
    for queue in ["a", "b"] {
        api.post(&format!("/v1/queues/{queue}/tasks/batch"), &many)
            .expect(200);
    }
    let weighted = r#"{"queues":[{"queue":"a","weight":1},{"queue":"b","weight":1}],"wait_seconds":0}"#;
    let mut seen = BTreeSet::new();
    // All of one queue by chance: once in 2^59 runs.
    for _ in 0..60 {
        seen.extend(each(
            &tasks(&api.post("/v1/lease", weighted).expect(200)),
            "queue",
        ));
    }
    assert_eq!(seen, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
}

/// I26, for whichever of its queues the task comes to.
#[test]
fn a_lease_that_waits_on_many_queues_is_woken_by_any() {
    for queue in ["b", "a"] {
        let (_service, api, _dir) = served();
        let waiter = api.waiting("/v1/lease", r#"{"queues":["a","b"],"wait_seconds":30}"#, 1);
        api.post(&format!("/v1/queues/{queue}/tasks"), "{}").expect(201);
        assert_eq!(
            each(&tasks(&waiter.join().unwrap().expect(200)), "queue"),
            [queue]
        );
    }
}

#[test]
fn stats_tell_how_many_lease_calls_wait_for_a_queue() {
    let (_service, api, _dir) = served();
    for queue in ["a", "b", "c"] {
        api.send("PUT", &format!("/v1/queues/{queue}"), "", "{}")
            .expect(201);
    }
    let left = api.open("POST", "/v1/queues/a/lease", "", r#"{"wait_seconds":60}"#);
    api.wait_for_waiters(1);
    api.waiting("/v1/lease", r#"{"queues":["a","b"],"wait_seconds":60}"#, 2);
    let waiting = |queue: &str| {
        let stats = api.get(&format!("/v1/queues/{queue}/stats")).expect(200);
        stats["workers_waiting"].as_u64().unwrap()
    };
    until("what is told each second", || {
        ([waiting("a"), waiting("b"), waiting("c")] == [2, 1, 0]).then_some(())
    });
    drop(left);
    until("the end of the call whose caller left", || {
        (waiting("a") == 1).then_some(())
    });
}

/// It has no reason to wait behind them.
#[test]
fn a_repeated_request_is_answered_at_once_though_others_wait() {
    let (_service, api, _dir) = served();
    let id = api.enqueue("{}");
    let named = r#"{"request_id":"r-1","wait_seconds":5}"#;
    let first = api.lease(named);
    assert_eq!(each(&first, "id"), [id]);
    let waiter = api.waiting("/v1/queues/q/lease", r#"{"wait_seconds":30}"#, 1);
    assert_eq!(each(&api.lease(named), "lease_id"), each(&first, "lease_id"));
    let next = api.enqueue("{}");
    assert_eq!(each(&tasks(&waiter.join().unwrap().expect(200)), "id"), [next]);
}

#[test]
fn a_repeated_request_to_many_queues_gives_the_leases_of_the_one_that_had_tasks() {
    let (_service, api, _dir) = served();
    api.post("/v1/queues/r/tasks", "{}").expect(201);
    let request = r#"{"queues":["q","r"],"request_id":"r-1","max_tasks":2,"wait_seconds":0}"#;
    let lease = || tasks(&api.post("/v1/lease", request).expect(200));
    let first = lease();
    assert_eq!(each(&first, "queue"), ["r"]);
    // By now the queue that is asked first has one, too.
    api.enqueue("{}");
    assert_eq!(each(&lease(), "lease_id"), each(&first, "lease_id"));
}

#[test]
fn a_repeated_request_id_gives_the_same_leases() {
    let (_service, api, _dir) = served();
    let request = r#"{"request_id":"r-1","max_tasks":2,"wait_seconds":0}"#;
    assert!(api.lease(request).is_empty(), "an empty answer leaves no mark");
    for _ in 0..3 {
        api.enqueue("{}");
    }
    let first = api.lease(request);
    let again = api.lease(request);
    assert_eq!(first.len(), 2);
    assert_eq!(each(&first, "lease_id"), each(&again, "lease_id"));
    assert_eq!(each(&again, "attempt"), ["1", "1"]);
    api.settle(&first[0], "ack", "").expect(200);
    assert_eq!(each(&api.lease(request), "id"), each(&first[1..], "id"));
}

#[test]
fn a_worker_needs_one_request_for_each_task() {
    let (_service, api, _dir) = served();
    let ids = [api.enqueue(r#"{"payload":1}"#), api.enqueue(r#"{"payload":2}"#)];
    let first = api.lease_one();
    let body = format!(
        r#"{{"settle":[{{"op":"ack","lease_id":{},"result":{{"n": 1}}}}]}}"#,
        first["lease_id"]
    );
    let answer = api.post("/v1/queues/q/lease", &body).expect(200);
    assert_eq!(answer["settled"][0]["state"], "completed");
    assert_eq!(each(&tasks(&answer), "id"), [&*ids[1]]);
    assert_eq!(api.task(&ids[0])["result"], serde_json::json!({"n": 1}));
}

#[test]
fn a_settle_that_fails_ends_the_call_at_once() {
    let (_service, api, _dir) = served();
    let start = Instant::now();
    let body = r#"{"wait_seconds":60,"settle":[{"op":"ack","lease_id":"forged"}]}"#;
    let answer: Value = api.post("/v1/queues/q/lease", body).expect(200);
    assert_eq!(answer["settled"][0]["error"]["code"], "lease_unknown");
    assert!(tasks(&answer).is_empty() && start.elapsed() < Duration::from_secs(30));
}

//! `Idempotency-Key`: a request that is sent again does nothing again, and is answered alike.

use std::collections::BTreeSet;

use serde_json::json;

use super::api::{Answer, Api, each, served};
use super::unique::a_hundred_callers_and_a_restart;

const TASKS: &str = "/v1/queues/q/tasks";
const BATCH: &str = "/v1/queues/q/tasks/batch";

fn keyed(api: &Api, key: &str, path: &str, body: &str) -> Answer {
    api.send("POST", path, &format!("idempotency-key: {key}\r\n"), body)
}

fn lines(api: &Api, key: &str, body: &str) -> Answer {
    let headers = format!("idempotency-key: {key}\r\ncontent-type: application/x-ndjson\r\n");
    api.send("POST", BATCH, &headers, body)
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

/// I15.
#[test]
fn a_repeated_enqueue_is_answered_with_the_same_id_and_says_so() {
    let (_service, api, _dir) = served();
    let first = keyed(&api, "k-1", TASKS, r#"{"payload":1}"#);
    let id = first.expect(201)["id"].clone();
    assert!(!replayed(&first));
    let again = keyed(&api, "k-1", TASKS, r#"{"payload":1}"#);
    assert_eq!(
        (again.expect(201)["id"].clone(), replayed(&again)),
        (id.clone(), true)
    );
    assert_eq!(again.expect(201)["duplicate"], false);
    assert_eq!(again.header("location"), first.header("location"));
    for other in [r#"{"payload":2}"#, r#"{"payload": 1}"#, "{}"] {
        keyed(&api, "k-1", TASKS, other).problem(422, "idempotency_mismatch");
    }
    keyed(&api, "k-1", BATCH, r#"{"tasks":[{"payload":1}]}"#).problem(422, "idempotency_mismatch");
    lines(&api, "k-1", r#"{"payload":1}"#).problem(422, "idempotency_mismatch");

    let held = api.lease_one();
    api.settle(&held, "ack", r#"{"result":"sent"}"#).expect(200);
    let late = keyed(&api, "k-1", TASKS, r#"{"payload":1}"#).expect(201);
    assert_eq!(
        (&late["id"], &late["state"], &late["result"]),
        (&id, &json!("completed"), &json!("sent"))
    );
    assert_ne!(
        keyed(&api, "k-2", TASKS, r#"{"payload":1}"#).expect(201)["id"],
        id
    );
    assert_eq!(api.get("/v1/queues/q/stats").expect(200)["accepted_total"], 2);
    // A key is its queue's.
    assert!(!replayed(&keyed(
        &api,
        "k-1",
        "/v1/queues/p/tasks",
        r#"{"payload":1}"#
    )));
}

/// I15, over chunks; I1 for what was missing.
#[test]
fn a_repeated_batch_is_answered_with_the_same_ids() {
    let (_service, api, _dir) = served();
    let tasks: Vec<String> = (0..600).map(|n| format!(r#"{{"payload":{n}}}"#)).collect();
    let body = format!(r#"{{"tasks":[{},{{"priority":-1}}]}}"#, tasks.join(","));
    let first = keyed(&api, "b", BATCH, &body);
    let ids = each(first.expect(200)["results"].as_array().unwrap(), "id");
    assert_eq!(first.expect(200)["rejected"], 1);
    let again = keyed(&api, "b", BATCH, &body);
    assert_eq!(each(again.expect(200)["results"].as_array().unwrap(), "id"), ids);
    assert_eq!((replayed(&first), replayed(&again)), (false, true));
    assert_eq!(again.expect(200)["accepted"], 600);
    let problem = keyed(&api, "b", BATCH, &body.replace("599", "9")).problem(422, "idempotency_mismatch");
    assert!(problem["detail"].as_str().unwrap().contains("another body"));

    let ndjson = tasks[..3].join("\n");
    let first = lines(&api, "n", &ndjson).expect(200);
    let again = lines(&api, "n", &ndjson);
    assert_eq!(again.expect(200), first);
    assert!(replayed(&again));
    let atomic = r#"{"atomic":true,"tasks":[{},{}]}"#;
    let first = keyed(&api, "a", BATCH, atomic).expect(200);
    assert_eq!(keyed(&api, "a", BATCH, atomic).expect(200), first);
    keyed(&api, "a", BATCH, r#"{"atomic":true,"tasks":[{}]}"#).problem(422, "idempotency_mismatch");
    assert_eq!(api.get("/v1/queues/q/stats").expect(200)["accepted_total"], 605);
}

/// I16: what was refused was not accepted, so the same request may be accepted later.
#[test]
fn a_refused_request_is_not_remembered() {
    let (_service, api, _dir) = served();
    keyed(&api, "k", TASKS, r#"{"priority":-1}"#).problem(422, "validation_failed");
    api.enqueue(r#"{"unique":{"key":"u","scope":"until_finished"}}"#);
    let reject = r#"{"unique":{"key":"u","on_duplicate":"reject"}}"#;
    keyed(&api, "k", TASKS, reject).problem(409, "duplicate_task");
    let held = api.lease_one();
    api.settle(&held, "ack", "").expect(200);
    let accepted = keyed(&api, "k", TASKS, reject);
    assert_eq!((accepted.status, replayed(&accepted)), (201, false));
    // The same answer as to the first, though the key is held now: by the very task.
    let again = keyed(&api, "k", TASKS, reject);
    assert_eq!(
        (again.expect(201)["id"].clone(), replayed(&again)),
        (accepted.expect(201)["id"].clone(), true)
    );
}

#[test]
fn a_key_that_is_none_is_refused_by_name() {
    let (_service, api, _dir) = served();
    let long = "k".repeat(256);
    for headers in [
        "idempotency-key: \r\n",
        &format!("idempotency-key: {long}\r\n"),
        "idempotency-key: a\r\nidempotency-key: a\r\n",
    ] {
        let problem = api
            .send("POST", TASKS, headers, "{}")
            .problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "header:Idempotency-Key");
    }
    let config = r#"{"idempotency_seconds":0,"idempotency_max":10}"#;
    let problem = api
        .send("PUT", "/v1/queues/q", "", config)
        .problem(422, "validation_failed");
    let pointers = each(problem["errors"].as_array().unwrap(), "pointer");
    assert_eq!(pointers, ["/idempotency_seconds", "/idempotency_max"]);
    let config = r#"{"idempotency_seconds":60,"idempotency_max":5000}"#;
    let shown = api.send("PUT", "/v1/queues/q", "", config).expect(201);
    assert_eq!(shown["config"]["idempotency_seconds"], 60);
    assert_eq!(shown["config"]["idempotency_max"], 5000);
}

/// I15: the caller may be any number of callers.
#[test]
fn a_hundred_callers_with_one_request_make_it_once_also_while_redis_restarts() {
    let send = |api: &Api| {
        let headers = "idempotency-key: k\r\n";
        Answer::try_read(
            api.try_open("POST", BATCH, headers, r#"{"tasks":[{},{"payload":1},{}]}"#)
                .ok()?,
        )
    };
    let (answers, stats) = a_hundred_callers_and_a_restart(send);
    let ids: BTreeSet<Vec<String>> = answers
        .iter()
        .map(|answer| each(answer.expect(200)["results"].as_array().unwrap(), "id"))
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(answers.iter().filter(|answer| !replayed(answer)).count() <= 1);
    assert_eq!(stats["accepted_total"], 3);
}

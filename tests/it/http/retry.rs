//! Retry policies and expiry, as producers, workers and operators see them.

use leaseq::domain::Millis;
use serde_json::{Value, json};

use super::api::{Api, served};
use crate::process::running::until;

fn ms(instant: &Value) -> u64 {
    Millis::parse(instant.as_str().unwrap()).unwrap().get()
}

/// Milliseconds between the end of a task's latest attempt and its next one.
fn delay_ms(api: &Api, id: &str, nacked: &Value) -> u64 {
    let task = api.task(id);
    let latest = task["attempts"].as_array().unwrap().last().unwrap();
    assert_eq!(task["run_at"], nacked["next_attempt_at"]);
    ms(&nacked["next_attempt_at"]) - ms(&latest["ended_at"])
}

/// The nearest setting holds, as a whole, and a task shows what holds for it.
#[test]
fn a_failed_attempt_is_retried_as_task_name_or_queue_say() {
    let (_service, api, _dir) = served();
    let config = r#"{"retry":{"strategy":"fixed","base_seconds":40,"jitter":"none"},
        "names":{"slow":{"retry":{"strategy":"linear","base_seconds":70,"jitter":"none"}}}}"#;
    let made = api.send("PUT", "/v1/queues/q", "", config).expect(201);
    assert_eq!(
        made["config"]["retry"],
        json!({"strategy": "fixed", "base_seconds": 40, "factor": 2, "max_seconds": 300, "jitter": "none"})
    );
    assert_eq!(
        made["set"]["retry"],
        json!({"strategy": "fixed", "base_seconds": 40, "jitter": "none"})
    );
    for (body, strategy, delay) in [
        ("{}", "fixed", 40_000),
        (r#"{"name":"slow"}"#, "linear", 70_000),
        (
            r#"{"name":"slow","retry":{"base_seconds":100,"jitter":"none"}}"#,
            "exponential",
            100_000,
        ),
    ] {
        let id = api.enqueue(body);
        assert_eq!(api.task(&id)["retry"]["strategy"], strategy);
        let nacked = api
            .settle(&api.lease_one(), "nack", r#"{"error":"x"}"#)
            .expect(200);
        assert_eq!(nacked["state"], "scheduled");
        assert_eq!(delay_ms(&api, &id, &nacked), delay, "{body}");
    }
}

#[test]
fn a_patch_merges_into_a_policy_that_must_hold_together() {
    let (_service, api, _dir) = served();
    let path = "/v1/queues/q";
    api.send("PUT", path, "", r#"{"retry":{"max_seconds":900}}"#)
        .expect(201);
    let patch = |body| api.send("PATCH", path, "", body);
    let told = patch(r#"{"retry":{"base_seconds":600}}"#).expect(200);
    assert_eq!(
        told["set"]["retry"],
        json!({"base_seconds": 600, "max_seconds": 900})
    );
    let problem = patch(r#"{"retry":{"max_seconds":null}}"#).problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/retry/base_seconds");
    let told = patch(r#"{"retry":null}"#).expect(200);
    assert_eq!(told["config"]["retry"]["max_seconds"], 300);
}

#[test]
fn a_policy_that_is_none_is_refused_where_it_is_wrong() {
    let (_service, api, _dir) = served();
    let path = "/v1/queues/q";
    for (config, pointer) in [
        (r#"{"retry":{"strategy":"fibonacci"}}"#, "/retry/strategy"),
        (r#"{"retry":{"base_seconds":31536001}}"#, "/retry/base_seconds"),
        (r#"{"retry":{"factor":0.9}}"#, "/retry/factor"),
        (r#"{"retry":{"max_seconds":"5m"}}"#, "/retry/max_seconds"),
        (r#"{"retry":{"jitter":"half"}}"#, "/retry/jitter"),
        (r#"{"retry":false}"#, "/retry"),
        (r#"{"retry":{"delay":1}}"#, "/retry/delay"),
        (
            r#"{"names":{"a/b":{},"mail":{"retry":{"factor":101}}}}"#,
            "/names/a~1b",
        ),
        (
            r#"{"names":{"mail":{"retry":{"base_seconds":301}}}}"#,
            "/names/mail/retry/base_seconds",
        ),
    ] {
        let problem = api
            .send("PUT", path, "", config)
            .problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{config}: {problem}");
    }
    api.get(path).problem(404, "queue_unknown");
}

/// I12
#[test]
fn without_retry_the_first_failure_makes_a_dead_letter() {
    let (_service, api, _dir) = served();
    let id = api.enqueue(r#"{"retry":false}"#);
    let task = api.lease_one();
    assert_eq!((&task["attempt"], &task["max_attempts"]), (&1.into(), &1.into()));
    let nacked = api.settle(&task, "nack", r#"{"error":"x"}"#).expect(200);
    assert_eq!(
        (&nacked["state"], &nacked["attempts_left"]),
        (&"dead".into(), &0.into())
    );
    assert_eq!(api.task(&id)["reason"], "attempts_exhausted");
}

#[test]
fn a_task_that_expires_while_a_worker_waits_is_not_granted() {
    let (_service, api, _dir) = served();
    let id = api.enqueue(r#"{"delay_seconds":0.2,"expires_in_seconds":0.201}"#);
    assert!(api.lease(r#"{"wait_seconds":1}"#).is_empty());
    let task = api.task(&id);
    assert_eq!(
        (&task["state"], &task["reason"]),
        (&"dead".into(), &"expired".into())
    );
    assert_eq!((&task["attempt"], &task["attempts"]), (&0.into(), &json!([])));
    assert_eq!(ms(&task["expires_at"]) - ms(&task["enqueued_at"]), 201);
    assert!(ms(&task["finished_at"]) >= ms(&task["expires_at"]), "not early");
    let dead = api.get("/v1/queues/q/tasks?state=dead").expect(200);
    assert_eq!(dead["items"][0]["id"], *id);
}

/// The service sees to it by itself: no worker, no call.
#[test]
fn a_task_expires_though_nobody_asks_for_it() {
    let (_service, api, _dir) = served();
    let returned = api.enqueue(r#"{"expires_in_seconds":2}"#);
    let task = api.lease_one();
    let left_alone = api.enqueue(r#"{"expires_in_seconds":0.05}"#);
    let dead = |id: &str| (api.task(id)["state"] == "dead").then_some(());
    until("the one that was left alone", || dead(&left_alone));
    // Its expiry is noted anew when it comes back, for the note that the enqueue left may be gone.
    api.settle(&task, "nack", r#"{"delay_seconds":3600}"#).expect(200);
    until("the one that came back", || dead(&returned));
    let task = api.task(&returned);
    assert_eq!(
        (&task["reason"], &task["attempt"]),
        (&"expired".into(), &1.into())
    );
}

#[test]
fn a_lease_past_the_expiry_is_its_workers_until_it_ends() {
    let (_service, api, _dir) = served();
    let id = api.enqueue(r#"{"expires_in_seconds":1}"#);
    let task = api.lease_one();
    assert_eq!(task["expires_at"], api.task(&id)["expires_at"]);
    let other = api.enqueue(r#"{"expires_in_seconds":0.001}"#);
    // One that becomes ready later marks that the time has come.
    let marker = api.enqueue(r#"{"delay_seconds":1.1}"#);
    assert_eq!(api.lease_one()["id"], *marker);
    assert_eq!(api.task(&other)["reason"], "expired");
    assert_eq!(api.settle(&task, "ack", "").expect(200)["state"], "completed");
}

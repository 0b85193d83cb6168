//! Bad input: a problem that names the field, and nothing stored.

use super::api::served;

const TASKS: &str = "/v1/queues/q/tasks";
const LEASE: &str = "/v1/queues/q/lease";

#[test]
fn what_is_out_of_its_limits_is_named_and_never_clamped() {
    let (_service, api, _dir) = served();
    for (path, body, pointer) in [
        (TASKS, r#"{"priority":1001}"#, "/priority"),
        (TASKS, r#"{"priority":1e999}"#, "/priority"),
        (TASKS, r#"{"priority":1.5}"#, "/priority"),
        (TASKS, r#"{"delay_seconds":1e999}"#, "/delay_seconds"),
        (TASKS, r#"{"delay_seconds":-1}"#, "/delay_seconds"),
        (
            TASKS,
            r#"{"delay_seconds":1,"run_at":"2027-01-15T08:00:00Z"}"#,
            "/run_at",
        ),
        (TASKS, r#"{"run_at":"tomorrow"}"#, "/run_at"),
        (TASKS, r#"{"max_attempts":0}"#, "/max_attempts"),
        (TASKS, r#"{"lease_seconds":0.5}"#, "/lease_seconds"),
        (TASKS, r#"{"group":""}"#, "/group"),
        (TASKS, r#"{"retry":{"strategy":"fibonacci"}}"#, "/retry/strategy"),
        (TASKS, r#"{"retry":{"factor":0.5}}"#, "/retry/factor"),
        (TASKS, r#"{"retry":true}"#, "/retry"),
        (TASKS, r#"{"retry":false,"max_attempts":3}"#, "/retry"),
        (TASKS, r#"{"expires_in_seconds":0}"#, "/expires_in_seconds"),
        (TASKS, r#"{"expires_in_seconds":31536001}"#, "/expires_in_seconds"),
        (
            TASKS,
            r#"{"expires_in_seconds":5,"delay_seconds":9}"#,
            "/expires_in_seconds",
        ),
        (
            TASKS,
            r#"{"expires_in_seconds":1,"expires_at":"2027-01-15T08:00:00Z"}"#,
            "/expires_at",
        ),
        (
            TASKS,
            r#"{"expires_at":"2027-01-15T08:00:00Z","run_at":"2027-01-15T08:00:00Z"}"#,
            "/expires_at",
        ),
        (TASKS, r#"{"expires_at":"soon"}"#, "/expires_at"),
        (TASKS, r#"{"expires_at":"2099-01-01T00:00:00Z"}"#, "/expires_at"),
        (TASKS, r#"{"retry":{"jitter":"some"}}"#, "/retry/jitter"),
        (TASKS, r#"{"retry":{"max_seconds":-1}}"#, "/retry/max_seconds"),
        (
            TASKS,
            r#"{"retry":{"base_seconds":9,"max_seconds":5}}"#,
            "/retry/base_seconds",
        ),
        (TASKS, r#"{"retry":{"base":1}}"#, "/retry/base"),
        (TASKS, r#"{"nmae":"x"}"#, "/nmae"),
        (LEASE, r#"{"max_tasks":0}"#, "/max_tasks"),
        (LEASE, r#"{"max_tasks":1001}"#, "/max_tasks"),
        (LEASE, r#"{"wait_seconds":61}"#, "/wait_seconds"),
        (LEASE, r#"{"lease_seconds":43201}"#, "/lease_seconds"),
        ("/v1/lease", "{}", "/queues"),
    ] {
        let problem = api.post(path, body).problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    api.get("/v1/queues/q").problem(404, "queue_unknown");
}

#[test]
fn what_is_no_json_is_malformed() {
    let (_service, api, _dir) = served();
    for body in [
        r#"{"priority":NaN}"#,
        r#"{"priority":1"#,
        "[1,]",
        "{'a':1}",
        "{}{}",
    ] {
        let answer = api.post(TASKS, body);
        answer.problem(400, "malformed_json");
    }
    let large = format!(r#"{{"payload":"{}"}}"#, "x".repeat(1 << 20));
    api.post(TASKS, &large).problem(413, "payload_too_large");
    api.get("/v1/nothing").problem(404, "not_found");
    let answer = api.send("DELETE", LEASE, "", "");
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
}

//! Paths, methods and fields.

use http::StatusCode;

use super::{post, read, request, send};
use crate::http::problem::Code;

#[tokio::test]
async fn what_is_well_formed_reaches_the_engine() {
    let lease = "/v1/leases/AQZlbWFpbHM";
    for (method, path, body) in [
        (
            "POST",
            "/v1/queues/emails/tasks",
            r#"{"name":"welcome","payload":{"to":"a@example.com"}}"#,
        ),
        ("POST", "/v1/queues/emails/tasks", ""),
        (
            "POST",
            "/v1/queues/emails/tasks/batch",
            r#"{"tasks":[{}],"atomic":true}"#,
        ),
        ("POST", "/v1/queues/emails/lease", ""),
        (
            "POST",
            "/v1/queues/emails/lease",
            r#"{"settle":[{"op":"ack","lease_id":"x"}]}"#,
        ),
        ("POST", "/v1/lease", r#"{"queues":["critical","default"]}"#),
        ("POST", &format!("{lease}/ack"), r#"{"result":"sent"}"#),
        ("POST", &format!("{lease}/nack"), r#"{"error":"smtp timeout"}"#),
        ("POST", &format!("{lease}/extend"), ""),
        ("POST", &format!("{lease}/release"), r#"{"retry_after":30}"#),
        (
            "POST",
            "/v1/leases/batch",
            r#"{"operations":[{"op":"ack","lease_id":"x"}]}"#,
        ),
        ("GET", "/v1/queues?limit=500", ""),
        ("GET", "/v1/queues/emails", ""),
        ("PUT", "/v1/queues/emails", r#"{"max_attempts":3}"#),
        ("PATCH", "/v1/queues/emails", r#"{"max_attempts":null}"#),
        ("GET", "/v1/queues/emails/stats", ""),
        ("GET", "/v1/queues/emails/history", ""),
        ("GET", "/v1/queues/emails/history?range=6h&step=5m", ""),
        ("POST", "/v1/queues/emails/verify", ""),
        ("POST", "/v1/queues/emails/verify", r#"{"max_seconds":0.5}"#),
        (
            "GET",
            "/v1/queues/emails/tasks?state=dead&name=a&group=M%C3%BCller&limit=1&cursor=x",
            "",
        ),
        ("GET", "/v1/queues/emails/tasks/00000000000000000000000", ""),
        (
            "GET",
            "/v1/queues/emails/dlq?name=a&group=b&reason=expired&error_type=T&error=x&died_after=2027-01-15T08:00:00Z&limit=1",
            "",
        ),
        (
            "GET",
            "/v1/queues/emails/dlq/export?died_before=2027-01-15T08:00:00Z",
            "",
        ),
        ("GET", "/v1/queues/emails/dlq/00000000000000000000000", ""),
        ("DELETE", "/v1/queues/emails/dlq/00000000000000000000000", ""),
        ("POST", "/v1/queues/emails/dlq/00000000000000000000000/replay", ""),
        ("POST", "/v1/queues/emails/dlq/replay", ""),
        ("POST", "/v1/queues/emails/dlq/purge", r#"{"confirm":"emails"}"#),
        (
            "PATCH",
            "/v1/queues/emails/tasks/00000000000000000000000",
            r#"{"priority":100,"run_at":"2020-01-01T00:00:00Z"}"#,
        ),
        (
            "POST",
            "/v1/queues/emails/tasks/00000000000000000000000/cancel",
            "",
        ),
        (
            "POST",
            "/v1/queues/emails/tasks/00000000000000000000000/run-now",
            "",
        ),
        (
            "POST",
            "/v1/queues/emails/tasks/cancel",
            r#"{"filter":{"state":"ready","name":"a","group":"b"},"dry_run":true,"cursor":"x"}"#,
        ),
        (
            "POST",
            "/v1/queues/emails/purge",
            r#"{"state":"scheduled","confirm":"emails","cursor":"x"}"#,
        ),
        ("POST", "/v1/queues/emails/pause", ""),
        (
            "POST",
            "/v1/queues/emails/pause",
            r#"{"mode":"both","reason":"maintenance","until":"2020-01-01T00:00:00Z"}"#,
        ),
        ("POST", "/v1/queues/emails/resume", ""),
        ("DELETE", "/v1/queues/emails?confirm=emails", ""),
        ("GET", "/v1/workers?queue=emails&limit=1&cursor=x", ""),
        ("GET", "/v1/queues/emails/names?limit=1&cursor=x", ""),
        ("GET", "/v1/queues/emails/groups", ""),
        ("GET", "/v1/stats?cursor=1", ""),
        ("GET", "/v1/events?queue=emails", ""),
        ("GET", "/readyz", ""),
    ] {
        let answer = send(request(method, path, body.to_owned())).await;
        assert_eq!(answer.code(), Code::NotReady, "{method} {path} {body}");
    }
}

#[tokio::test]
async fn what_needs_no_engine_is_answered() {
    for path in ["/livez", "/version", "/v1/limits"] {
        let answer = read(path).await;
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (StatusCode::OK, &"application/json".parse().unwrap())
        );
    }
    assert_eq!(read("/v1/limits").await.json()["lease_seconds_max"], 43_200);
    assert_eq!(read("/livez").await.json()["status"], "alive");
    // Without an engine that is all there is to say, and it is said.
    assert_eq!(read("/v1/doctor").await.json()["status"], "fail");
    let metrics = read("/metrics").await;
    assert!(
        String::from_utf8(metrics.body)
            .unwrap()
            .contains("leaseq_build_info{version=")
    );
}

#[tokio::test]
async fn a_path_or_method_that_is_not_there_is_a_problem() {
    for path in [
        "/",
        "/v1",
        "/v1/queues/emails/tasks/x/y",
        "/v1/nothing",
        "/v1/queues/",
    ] {
        assert_eq!(read(path).await.code(), Code::NotFound, "{path}");
    }
    let answer = send(request("POST", "/v1/queues/emails", "")).await;
    assert_eq!(answer.code(), Code::MethodNotAllowed);
    let allow = answer.headers["allow"].to_str().unwrap();
    assert!(
        ["GET", "PUT", "PATCH", "DELETE"]
            .iter()
            .all(|method| allow.contains(method)),
        "{allow}"
    );
    assert_eq!(
        read("/v1/queues/emails/lease").await.code(),
        Code::MethodNotAllowed
    );
}

#[tokio::test]
async fn a_wrong_field_is_named_wherever_it_is() {
    for (path, body, pointer) in [
        ("/v1/queues/q/tasks", r#"{"nmae":"x"}"#, "/nmae"),
        ("/v1/queues/a%20b/tasks", "{}", "path:queue"),
        ("/v1/queues/q/tasks?atomic=true", "{}", "query:atomic"),
        ("/v1/queues/q/lease", r#"{"max_tasks":0}"#, "/max_tasks"),
        ("/v1/lease", "{}", "/queues"),
        ("/v1/leases/x/ack", r#"{"results":1}"#, "/results"),
        ("/v1/leases/batch", "{}", "/operations"),
        ("/v1/queues/q/verify", r#"{"max_seconds":61}"#, "/max_seconds"),
        ("/v1/queues/q/verify", r#"{"wait_seconds":1}"#, "/wait_seconds"),
        ("/v1/queues/q/pause", r#"{"mode":"all"}"#, "/mode"),
        ("/v1/queues/q/pause", r#"{"until":"tomorrow"}"#, "/until"),
        (
            "/v1/queues/q/pause",
            r#"{"until":"9999-01-01T00:00:00Z"}"#,
            "/until",
        ),
        ("/v1/queues/q/pause", r#"{"reason":""}"#, "/reason"),
        ("/v1/queues/q/pause", r#"{"for_seconds":60}"#, "/for_seconds"),
        ("/v1/queues/q/resume", r#"{"mode":"lease"}"#, "/mode"),
    ] {
        let answer = post(path, body).await;
        assert_eq!(
            (answer.code(), answer.pointers()),
            (Code::ValidationFailed, vec![pointer.to_owned()]),
            "{path}"
        );
    }
    for (path, pointer) in [
        ("/v1/queues/q/tasks", "query:state"),
        ("/v1/queues/q/tasks?state=gone", "query:state"),
        ("/v1/queues/q/tasks?state=dead&limit=501", "query:limit"),
        ("/v1/queues/q/tasks?state=dead&sort=x", "query:sort"),
        ("/v1/queues?limit=1&limit=2", "query:limit"),
        ("/v1/queues/q/stats?x", "query:x"),
        ("/v1/queues/q/history?range=2h&step=10s", "query:range"),
        ("/v1/queues/q/history?range=yesterday", "query:range"),
        ("/v1/queues/q/history?step=1s", "query:step"),
        ("/v1/workers?queue=a%20b", "query:queue"),
        ("/v1/workers?limit=0", "query:limit"),
        ("/v1/queues/q/names?name=x", "query:name"),
        ("/v1/queues/q/groups?limit=x", "query:limit"),
        ("/v1/stats?limit=1", "query:limit"),
        ("/v1/events?queues=a", "query:queues"),
    ] {
        let answer = read(path).await;
        assert_eq!(
            (answer.code(), answer.pointers()),
            (Code::ValidationFailed, vec![pointer.to_owned()]),
            "{path}"
        );
    }
    assert_eq!(read("/v1/queues/q/tasks/no-id").await.code(), Code::TaskUnknown);
}

#[tokio::test]
async fn an_idempotency_key_that_is_none_is_refused() {
    for path in ["/v1/queues/q/tasks", "/v1/queues/q/tasks/batch"] {
        let mut keyed = request("POST", path, "{}");
        keyed.headers_mut().insert("idempotency-key", "".parse().unwrap());
        let answer = send(keyed).await;
        assert_eq!(
            (answer.code(), answer.pointers()),
            (Code::ValidationFailed, vec!["header:Idempotency-Key".to_owned()])
        );
    }
}

//! The client verbs: requests as the API wants them, answers as people and scripts want them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use super::running::leaseq;
use super::stub::Stub;

async fn run(mut command: Command) -> (i32, String, String) {
    let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn client(stub: &Stub, args: &[&str]) -> Command {
    let mut command = leaseq(args);
    command
        .env("LEASEQ_URL", &stub.url)
        .env("LEASEQ_API_KEY", "hunter2");
    command
}

#[tokio::test]
async fn enqueue_sends_what_was_given_and_nothing_else() {
    let stub = Stub::start().await;
    let bare = client(&stub, &["enqueue", "q"]);
    assert_eq!(run(bare).await.0, 0);
    let full = client(
        &stub,
        &[
            "enqueue",
            "q",
            r#"{"a": 1.10}"#,
            "--name",
            "welcome",
            "--priority",
            "50",
            "--delay",
            "5m",
            "--group",
            "acme",
            "--max-attempts",
            "3",
            "--lease",
            "90s",
            "--header",
            "a=1=2",
        ],
    );
    let (code, stdout, _) = run(full).await;

    assert_eq!((code, stdout.as_str()), (0, "task\tt\nqueue\tq\nstate\tready\n"));
    let seen = stub.seen("/v1/queues/q/tasks");
    assert_eq!(seen[0].body, "{}");
    assert_eq!(
        seen[1].body,
        r#"{"name":"welcome","payload":{"a": 1.10},"priority":50,"group":"acme","delay_seconds":300.0,"max_attempts":3,"lease_seconds":90.0,"headers":{"a":"1=2"}}"#
    );
    assert_eq!(seen[0].authorization.as_deref(), Some("Bearer hunter2"));
}

#[tokio::test]
async fn enqueue_sends_a_retry_policy_and_an_expiry() {
    let stub = Stub::start().await;
    let policy = [
        "--retry",
        "fixed",
        "--retry-base",
        "5s",
        "--retry-max",
        "1m",
        "--retry-jitter",
        "none",
    ];
    for (options, body) in [
        (
            &policy[..],
            r#"{"retry":{"strategy":"fixed","base_seconds":5.0,"max_seconds":60.0,"jitter":"none"}}"#,
        ),
        (&["--retry-factor", "1.5"], r#"{"retry":{"factor":1.5}}"#),
        (
            &["--no-retry", "--expires-in", "2h"],
            r#"{"retry":false,"expires_in_seconds":7200.0}"#,
        ),
        (
            &["--expires-at", "2027-01-31T08:00:00Z"],
            r#"{"expires_at":"2027-01-31T08:00:00.000Z"}"#,
        ),
    ] {
        let args = [&["enqueue", "q"], options].concat();
        assert_eq!(run(client(&stub, &args)).await.0, 0);
        assert_eq!(stub.seen("/v1/queues/q/tasks").last().unwrap().body, body);
    }
    for contradiction in [
        &["--no-retry", "--retry", "fixed"][..],
        &["--no-retry", "--max-attempts", "3"],
        &["--expires-in", "1s", "--expires-at", "2027-01-31T08:00:00Z"],
        &["--ndjson", "--retry-base", "1s"],
        &["--ndjson", "--expires-in", "1s"],
    ] {
        let args = [&["enqueue", "q"], contradiction].concat();
        assert_eq!(run(client(&stub, &args)).await.0, 2, "{contradiction:?}");
    }
}

#[tokio::test]
async fn json_is_exactly_the_api_s_answer() {
    let stub = Stub::start().await;
    let body = json!({"id": "x", "odd": [1.5], "queue": "q", "state": "ready"});
    stub.script("/v1/queues/q/tasks", 201, &body);
    let (_, stdout, _) = run(client(&stub, &["enqueue", "q", "--json"])).await;
    assert_eq!(stdout, format!("{body}\n"));
}

#[tokio::test]
async fn ndjson_goes_out_in_batches_and_refused_lines_are_named() {
    let stub = Stub::start().await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for n in 0..2500 {
        writeln!(file, r#"{{"payload":{n}}}"#).unwrap();
        // Empty lines are nobody's task, and yet count as lines.
        writeln!(file).unwrap();
    }
    let from = format!("@{}", file.path().display());
    let batch = "/v1/queues/q/tasks/batch";
    let (code, _, told) = run(client(&stub, &["enqueue", "q", &from, "--ndjson"])).await;
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("2500 accepted"), "{told}");
    let sizes: Vec<usize> = stub
        .seen(batch)
        .iter()
        .map(|seen| seen.body.lines().count())
        .collect();
    assert_eq!(sizes, [1000, 1000, 500]);

    let busy = json!({"code": "queue_full", "title": "Queue full", "retry_after_seconds": 0.01});
    stub.script(batch, 429, &busy);
    let refused = json!({"accepted": 999, "duplicates": 0, "rejected": 1, "results": [
        {"index": 2, "error": {"code": "invalid", "title": "Invalid", "status": 422, "detail": "no"}},
    ]});
    stub.script(batch, 200, &refused);
    let (code, _, told) = run(client(&stub, &["enqueue", "q", &from, "--ndjson"])).await;
    assert_eq!(code, 7);
    assert!(told.contains("line 5: Invalid: no"), "{told}");
    assert!(told.contains("2499 accepted, 0 duplicates, 1 rejected"), "{told}");
}

#[tokio::test]
async fn a_batch_that_may_have_been_taken_is_not_sent_again() {
    let stub = Stub::start().await;
    let batch = "/v1/queues/q/tasks/batch";
    let unknown = json!({"code": "outcome_unknown", "title": "Outcome unknown", "status": 504});
    stub.script(batch, 504, &unknown);
    let mut command = client(&stub, &["enqueue", "q", "--ndjson"]);
    command.stdin(Stdio::null());
    assert_eq!(run(command).await.0, 0, "nothing to send");

    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{{}}").unwrap();
    let mut command = client(&stub, &["enqueue", "q", "--ndjson"]);
    command.stdin(file.reopen().unwrap());
    let (code, _, told) = run(command).await;
    assert_eq!(code, 9, "{told}");
    assert_eq!(stub.seen(batch).len(), 1);
}

#[tokio::test]
async fn with_a_key_a_batch_that_may_have_been_taken_goes_out_again_under_the_same_name() {
    let stub = Stub::start().await;
    let batch = "/v1/queues/q/tasks/batch";
    stub.script(batch, 504, &json!({"code": "outcome_unknown", "title": "Outcome unknown", "status": 504, "retry_after_seconds": 0.01}));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for _ in 0..1001 {
        writeln!(file, "{{}}").unwrap();
    }
    let mut command = client(
        &stub,
        &["enqueue", "q", "--ndjson", "--idempotency-key", "import-7"],
    );
    command.stdin(file.reopen().unwrap());
    let (code, _, told) = run(command).await;
    assert_eq!(code, 0, "{told}");
    let keys: Vec<_> = stub
        .seen(batch)
        .into_iter()
        .map(|seen| seen.idempotency_key.unwrap())
        .collect();
    assert_eq!(keys, ["import-7/1", "import-7/1", "import-7/2"]);
}

#[tokio::test]
async fn enqueue_says_what_makes_the_task_the_only_one() {
    let stub = Stub::start().await;
    let path = "/v1/queues/q/tasks";
    let found = json!({"id": "x", "queue": "q", "state": "completed", "duplicate": true, "result": {"n": 1}});
    stub.script(path, 200, &found);
    let told = run(client(
        &stub,
        &[
            "enqueue",
            "q",
            "--unique-key",
            "charge:1",
            "--idempotency-key",
            "k",
        ],
    ))
    .await;
    assert_eq!(
        (told.0, told.1.as_str()),
        (
            0,
            "task\tx\nqueue\tq\nstate\tcompleted\nduplicate\tyes\nresult\t{\"n\":1}\n"
        )
    );
    let all = [
        "--unique-scope",
        "ttl",
        "--unique-ttl",
        "2h",
        "--on-duplicate",
        "replace",
    ];
    let command = client(
        &stub,
        &[&["enqueue", "q", "--unique-key", "a"][..], &all].concat(),
    );
    assert_eq!(run(command).await.0, 0);
    let seen = stub.seen(path);
    assert_eq!(seen[0].body, r#"{"unique":{"key":"charge:1"}}"#);
    assert_eq!(seen[0].idempotency_key.as_deref(), Some("k"));
    assert_eq!(
        seen[1].body,
        r#"{"unique":{"key":"a","ttl_seconds":7200.0,"scope":"ttl","on_duplicate":"replace"}}"#
    );
    assert_eq!(seen[1].idempotency_key, None);
    for wrong in [
        &["--unique-ttl", "1h"][..],
        &["--unique-key", "a", "--unique-scope", "ever"],
    ] {
        let (code, _, _) = run(client(&stub, &[&["enqueue", "q"][..], wrong].concat())).await;
        assert_eq!(code, 2, "{wrong:?}");
    }
}

#[tokio::test]
async fn lease_and_settle_by_hand() {
    let stub = Stub::start().await;
    stub.task("welcome", r#"{"to":"a"}"#, 30.0);
    let (code, stdout, _) = run(client(
        &stub,
        &["lease", "q", "--max", "2", "--lease", "1m", "--worker", "me"],
    ))
    .await;
    assert_eq!(code, 0);
    assert!(
        stdout.contains("lease_id\tL-welcome\n") && stdout.contains("payload\t{\"to\":\"a\"}\n"),
        "{stdout}"
    );
    assert_eq!(
        stub.seen("/v1/queues/q/lease")[0].json(),
        json!({"max_tasks": 2, "wait_seconds": 20.0, "lease_seconds": 60.0, "worker": "me"})
    );
    let several = client(&stub, &["lease", "a", "b", "--wait", "0", "--exit-empty"]);
    assert_eq!(run(several).await.0, 3);
    assert_eq!(stub.seen("/v1/lease")[0].json()["queues"], json!(["a", "b"]));

    for (args, path, body) in [
        (
            &["ack", "L1", "--result", "[1.10]"][..],
            "/v1/leases/L1/ack",
            r#"{"result":[1.10]}"#,
        ),
        (
            &["nack", "L1", "--error", "no", "--no-retry"],
            "/v1/leases/L1/nack",
            r#"{"error":"no","retry":false}"#,
        ),
        (
            &["nack", "L2", "--error", "no", "--type", "T", "--delay", "5"],
            "/v1/leases/L2/nack",
            r#"{"error":{"type":"T","message":"no"},"retry":true,"delay_seconds":5.0}"#,
        ),
        (
            &["extend", "L1", "--lease", "2m"],
            "/v1/leases/L1/extend",
            r#"{"lease_seconds":120.0}"#,
        ),
        (&["release", "L1"], "/v1/leases/L1/release", "{}"),
        (
            &["release", "L2", "--retry-after", "30s", "--hold", "name"],
            "/v1/leases/L2/release",
            r#"{"retry_after":30.0,"hold":"name"}"#,
        ),
        (
            &["release", "L3", "--retry-after", "Fri, 15 Jan 2027 08:00:00 GMT"],
            "/v1/leases/L3/release",
            r#"{"retry_after":"Fri, 15 Jan 2027 08:00:00 GMT"}"#,
        ),
    ] {
        let (code, _, told) = run(client(&stub, args)).await;
        assert_eq!(code, 0, "{args:?} {told}");
        assert_eq!(stub.seen(path)[0].body, body);
    }
}

#[tokio::test]
async fn a_refusal_becomes_its_exit_code_and_the_next_thing_to_do() {
    let stub = Stub::start().await;
    for (status, code, exit) in [
        (401, "unauthorized", 4),
        (404, "lease_unknown", 5),
        (409, "lease_lost", 6),
        (422, "invalid", 1),
        (429, "queue_full", 8),
        (503, "store_unavailable", 9),
    ] {
        let problem = json!({"code": code, "title": "Title", "detail": "detail", "status": status});
        stub.script("/v1/leases/L/ack", status, &problem);
        let (told_code, stdout, told) = run(client(&stub, &["ack", "L"])).await;
        assert_eq!(told_code, exit, "{told}");
        assert!(told.starts_with("leaseq: Title: detail ("), "{told}");
        assert_eq!(stdout, "");
        assert!(!told.contains("hunter2"));
    }
    let mut nobody = leaseq(&["stats", "q"]);
    nobody.env("LEASEQ_URL", "http://127.0.0.1:1");
    let (code, _, told) = run(nobody).await;
    assert_eq!(code, 9);
    assert!(told.contains("leaseq serve"), "{told}");
}

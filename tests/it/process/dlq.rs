//! `leaseq dlq` with a real service behind it: what people and scripts do with dead letters.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::running::leaseq;
use super::stub::Stub;
use crate::http::api::{Api, served};
use crate::http::dead_letters::die;

struct Told {
    code: i32,
    out: String,
    err: String,
}

fn run(url: &str, args: &[&str]) -> Told {
    run_with(url, args, "")
}

fn run_with(url: &str, args: &[&str], input: &str) -> Told {
    let mut child = leaseq(args)
        .env("LEASEQ_URL", url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that needs no input may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Told {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!(r#"{{"payload":{n}}}"#)).collect()
}

fn stat(api: &Api, name: &str) -> Value {
    api.get("/v1/queues/q/stats").expect(200)[name].clone()
}

#[test]
fn dead_letters_are_listed_and_shown() {
    let (service, api, _dir) = served();
    let error = r#"{"type":"Timeout","message":"no\tanswer"}"#;
    let ids = die(
        &api,
        &[r#"{"name":"welcome","payload":{"to": "a"}}"#.to_owned()],
        error,
    );
    die(&api, &numbered(3), r#""other""#);
    let peeked = run(&service.url, &["dlq", "peek", "q", "--error-type", "Timeout"]);
    assert_eq!(peeked.code, 0, "{}", peeked.err);
    let cells: Vec<_> = peeked.out.trim_end_matches('\n').split('\t').collect();
    assert_eq!(
        cells[1..],
        [&*ids[0], "welcome", "", "rejected", "1", "Timeout", "no answer"]
    );
    let two = run(&service.url, &["dlq", "peek", "q", "--limit", "2"]);
    assert_eq!(
        (two.out.lines().count(), two.err.contains("there are more")),
        (2, true)
    );
    let page = run(&service.url, &["dlq", "peek", "q", "--json"]);
    let page: Value = serde_json::from_str(&page.out).unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 4);

    let shown = run(&service.url, &["dlq", "show", "q", &ids[0]]);
    assert!(shown.out.contains("payload\t{\"to\": \"a\"}\n"), "{}", shown.out);
    assert!(shown.out.contains("nacked: Timeout: no answer"), "{}", shown.out);
    assert_eq!(run(&service.url, &["dlq", "show", "q", "no-id"]).code, 2);
    assert_eq!(run(&service.url, &["dlq", "show", "q", &"0".repeat(23)]).code, 5);
    assert_eq!(run(&service.url, &["dlq", "peek", "nobody"]).code, 5);
    assert_eq!(
        run(&service.url, &["dlq", "peek", "q", "--reason", "failed"]).code,
        2
    );
}

#[test]
fn bulk_work_is_asked_for_and_goes_to_the_end() {
    let (service, api, _dir) = served();
    let ids = die(&api, &numbered(1200), r#""e""#);
    // Nobody is there to ask.
    for verb in ["replay", "purge"] {
        let refused = run(&service.url, &["dlq", verb, "q"]);
        assert_eq!(refused.code, 2);
        assert!(
            refused.err.contains("--yes") && refused.err.contains("--dry-run"),
            "{}",
            refused.err
        );
        let counted = run(&service.url, &["dlq", verb, "q", "--dry-run"]);
        assert_eq!(
            (counted.code, counted.err.contains("1200 would be")),
            (0, true),
            "{}",
            counted.err
        );
    }
    assert_eq!(stat(&api, "dead"), 1200);

    let one = run(
        &service.url,
        &["dlq", "replay", "q", &ids[0], "--max-attempts", "3"],
    );
    assert_eq!(one.code, 0, "{}", one.err);
    assert!(
        one.out.contains(&format!("replayed_from\t{}\n", ids[0])),
        "{}",
        one.out
    );
    let some = run(
        &service.url,
        &[
            "dlq", "replay", "q", "--limit", "1050", "--rate", "1000", "--yes", "--json",
        ],
    );
    assert_eq!(some.code, 0, "{}", some.err);
    let answers: Vec<Value> = some
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 2, "one per call");
    assert!(some.err.contains("1050 replayed"), "{}", some.err);
    let gone = run(&service.url, &["dlq", "purge", "q", "--name", "nobody", "--yes"]);
    assert!(gone.err.contains("0 purged"), "{}", gone.err);
    let newest = api.get("/v1/queues/q/dlq?limit=1").expect(200)["items"][0]["id"].clone();
    let newest = newest.as_str().unwrap();
    assert_eq!(run(&service.url, &["dlq", "purge", "q", newest]).code, 0);
    assert_eq!(run(&service.url, &["dlq", "purge", "q", newest]).code, 5);
    let rest = run(&service.url, &["dlq", "purge", "q", "--yes"]);
    assert!(rest.err.contains("148 purged"), "{}", rest.err);
    assert_eq!(
        (
            stat(&api, "dead"),
            stat(&api, "replayed_total"),
            stat(&api, "purged_total")
        ),
        (json!(0), json!(1051), json!(149))
    );
    assert_eq!(
        run(&service.url, &["dlq", "replay", "q", &ids[0], "--limit", "1"]).code,
        2
    );
}

#[test]
fn an_export_is_enqueued_again() {
    let (service, api, _dir) = served();
    die(&api, &numbered(700), r#""e""#);
    die(&api, &[r#"{"name":"other"}"#.to_owned()], r#""e""#);
    let exported = run(&service.url, &["dlq", "export", "q", "--name", "default"]);
    assert_eq!(exported.code, 0, "{}", exported.err);
    assert_eq!(
        (
            exported.out.lines().count(),
            exported.err.contains("700 exported")
        ),
        (700, true)
    );
    let enqueued = run_with(&service.url, &["enqueue", "back", "--ndjson"], &exported.out);
    assert!(enqueued.err.contains("700 accepted"), "{}", enqueued.err);
    assert_eq!(run(&service.url, &["dlq", "export", "nobody"]).code, 5);
}

async fn run_aside(url: String, args: &'static [&'static str]) -> Told {
    tokio::task::spawn_blocking(move || run(&url, args))
        .await
        .unwrap()
}

/// A repeat does not meet the tasks that the lost call handled. A limit would then apply twice.
#[tokio::test]
async fn a_call_without_an_answer_is_made_again_unless_a_limit_would_be_broken() {
    let path = "/v1/queues/q/dlq/replay";
    let stub = Stub::start().await;
    let unknown =
        json!({"code": "outcome_unknown", "title": "Unknown", "status": 504, "retry_after_seconds": 0.01});
    let half = json!({"matched": 10, "replayed": 9, "skipped": 1, "next_cursor": "c"});
    let rest = json!({"matched": 1, "replayed": 1, "skipped": 0});
    stub.script(path, 200, &half);
    stub.script(path, 504, &unknown);
    stub.script(path, 200, &rest);
    let told = run_aside(stub.url.clone(), &["dlq", "replay", "q", "--yes"]).await;
    assert_eq!(told.code, 7, "{}", told.err);
    assert!(
        told.err.contains("at least 10 replayed, 1 skipped"),
        "{}",
        told.err
    );
    let cursors: Vec<Value> = stub
        .seen(path)
        .iter()
        .map(|seen| seen.json()["cursor"].clone())
        .collect();
    assert_eq!(cursors, [Value::Null, json!("c"), json!("c")]);

    stub.script(path, 504, &unknown);
    let told = run_aside(stub.url.clone(), &["dlq", "replay", "q", "--yes", "--limit", "5"]).await;
    assert_eq!((told.code, stub.seen(path).len()), (9, 4), "{}", told.err);
}

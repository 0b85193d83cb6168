//! Dead letters: bounds, groups, and what alerts read.

use serde_json::{Value, json};

use super::api::{Api, each, served};
use crate::process::running::{leaseq, until};

fn die(api: &Api, body: &str) -> String {
    let id = api.enqueue("{}");
    let task = api.lease_one();
    api.settle(&task, "nack", body).expect(200);
    id
}

fn configure(api: &Api, dead_letter: Value) {
    let config = json!({"dead_letter": dead_letter}).to_string();
    let answer = api.send("PATCH", "/v1/queues/q", "", &config);
    assert!(answer.status < 300, "{answer:?}");
}

fn shows(api: &Api, line: &str) {
    until(line, || {
        let metrics = api.get("/metrics").body;
        metrics.lines().any(|found| found == line).then_some(())
    });
}

#[test]
fn groups_say_what_the_dead_letters_died_of() {
    let (_service, api, _dir) = served();
    api.get("/v1/queues/q/dlq/groups").problem(404, "queue_unknown");
    let timeout = |n: u32| {
        format!(r#"{{"error":{{"type":"Timeout","message":"order {n} took {n}.5 s"}},"retry":false}}"#)
    };
    let ids: Vec<_> = (0..3).map(|n| die(&api, &timeout(n))).collect();
    let other = die(&api, r#"{"error":"no such user","retry":false}"#);
    let answer = api.get("/v1/queues/q/dlq/groups").expect(200);
    let items = answer["items"].as_array().unwrap();
    assert_eq!(each(items, "count"), ["3", "1"], "the largest first");
    assert_eq!(each(items, "name"), ["default", "default"]);
    assert_eq!(each(items, "error_type"), ["Timeout", "error"]);
    assert_eq!(each(items, "message"), ["order <n> took <n> s", "no such user"]);
    assert_eq!(each(items, "sample_id"), [ids[2].as_str(), other.as_str()]);
    for (first, last) in each(items, "first_at").iter().zip(each(items, "last_at")) {
        assert!(*first <= last && first.ends_with('Z'));
    }
    let problem = api
        .get("/v1/queues/q/dlq/groups?limit=1")
        .problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "query:limit");
}

#[test]
fn the_command_line_shows_groups_as_lines_or_as_the_api_answers() {
    let (service, api, _dir) = served();
    let run = |args: &[&str]| {
        let mut verb = leaseq(&["dlq", "groups"]);
        let output = verb.args(args).env("LEASEQ_URL", &service.url).output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, _) = run(&["q"]);
    assert_ne!(code, 0, "there is no such queue");
    let id = die(
        &api,
        r#"{"error":{"type":"Timeout","message":"after 30 s"},"retry":false}"#,
    );
    let (code, line) = run(&["q"]);
    let cells: Vec<_> = line.trim_end().split('\t').collect();
    assert_eq!((code, cells.len()), (0, 8), "{line}");
    assert_eq!(
        (&cells[..4], cells[7]),
        (&["1", "default", "Timeout", "after <n> s"][..], id.as_str())
    );
    let (code, json) = run(&["q", "--json"]);
    assert_eq!(
        (code, json.trim_end()),
        (0, api.get("/v1/queues/q/dlq/groups").body.as_str())
    );
}

/// I16: what is refused leaves no mark.
#[test]
fn a_queue_that_rejects_answers_429_until_there_is_room() {
    let (_service, api, _dir) = served();
    api.enqueue("{}");
    configure(&api, json!({"max_size": 1, "on_full": "reject_enqueue"}));
    let task = api.lease_one();
    api.settle(&task, "nack", r#"{"retry":false}"#).expect(200);
    let refused = api.post("/v1/queues/q/tasks", "{}");
    refused.problem(429, "queue_full");
    assert!(refused.header("retry-after").is_some());
    for atomic in [true, false] {
        let batch = json!({"tasks": [{}, {}], "atomic": atomic}).to_string();
        let answer = api.post("/v1/queues/q/tasks/batch", &batch);
        answer.problem(429, "queue_full");
        assert!(answer.header("retry-after").is_some());
    }
    let stats = api.get("/v1/queues/q/stats").expect(200);
    assert_eq!((&stats["accepted_total"], &stats["dead"]), (&json!(1), &json!(1)));
    configure(&api, json!({"max_size": 2}));
    api.enqueue("{}");
}

/// I15, I16, I29: what would make a task is refused, each by itself, and can be sent again; what meets one
/// that is there is not.
#[test]
fn a_queue_without_room_still_answers_what_makes_no_task() {
    const TASKS: &str = "/v1/queues/q/tasks";
    let (_service, api, _dir) = served();
    let with = |on_duplicate: &str, payload: u8| {
        json!({"payload": payload, "unique": {"key": "k", "on_duplicate": on_duplicate}}).to_string()
    };
    let known = |key: &str| api.send("POST", TASKS, &format!("idempotency-key: {key}\r\n"), "{}");
    die(&api, r#"{"retry":false}"#);
    let holder = api.enqueue(&with("return", 1));
    let first = known("a").expect(201);
    configure(&api, json!({"max_size": 1, "on_full": "reject_enqueue"}));

    assert_eq!(api.post(TASKS, &with("return", 1)).expect(200)["id"], *holder);
    api.post(TASKS, &with("reject", 1)).problem(409, "duplicate_task");
    assert_eq!(api.post(TASKS, &with("replace", 2)).expect(200)["replaced"], true);
    assert_eq!(known("a").expect(201)["id"], first["id"]);
    known("b").problem(429, "queue_full");

    let batch = |atomic: bool| {
        let tasks = [r#"{"unique":{"key":"k"}}"#, "{}", r#"{"unique":{"key":"new"}}"#].join(",");
        let batch = format!(r#"{{"atomic":{atomic},"tasks":[{tasks}]}}"#);
        api.post("/v1/queues/q/tasks/batch", &batch)
    };
    let told = batch(false).expect(200);
    assert_eq!(
        [&told["accepted"], &told["duplicates"], &told["rejected"]],
        [&json!(0), &json!(1), &json!(2)]
    );
    assert_eq!(told["results"][1]["error"]["code"], "queue_full");
    assert_eq!(told["results"][2]["error"]["code"], "queue_full");
    batch(true).problem(429, "queue_full");

    configure(&api, json!({"max_size": 2}));
    let late = known("b");
    late.expect(201);
    assert_eq!(late.header("idempotency-replayed"), None);
    assert_eq!(batch(true).expect(200)["accepted"], 2);
    let stats = api.get("/v1/queues/q/stats").expect(200);
    assert_eq!(stats["accepted_total"], 6);
}

/// Evictions are never silent.
#[test]
fn evicted_dead_letters_are_counted_in_stats_and_metrics() {
    let (_service, api, _dir) = served();
    api.enqueue("{}");
    configure(&api, json!({"max_size": 2}));
    api.settle(&api.lease_one(), "ack", "").expect(200);
    for _ in 0..5 {
        die(&api, r#"{"retry":false}"#);
    }
    let stats = api.get("/v1/queues/q/stats").expect(200);
    assert_eq!(
        (&stats["dead"], &stats["dead_evicted_total"]),
        (&json!(2), &json!(3))
    );
    shows(&api, r#"leaseq_queue_tasks{queue="q",state="dead"} 2"#);
    shows(
        &api,
        r#"leaseq_dead_letters_dropped_total{queue="q",reason="evicted"} 3"#,
    );
}

/// The alert `LeaseQDeadLetters` of deploy/prometheus: more than 100 dead letters.
#[test]
fn an_alert_on_more_than_100_dead_letters_finds_its_number() {
    let rules = include_str!("../../../deploy/prometheus/rules.yaml");
    assert!(rules.contains("expr: queue_state:leaseq_tasks:max{state=\"dead\"} > 100"));
    let (_service, api, _dir) = served();
    let tasks = vec![json!({}); 101];
    let batch = json!({"tasks": tasks}).to_string();
    api.post("/v1/queues/q/tasks/batch", &batch).expect(200);
    let operations: Vec<_> = api
        .lease(r#"{"max_tasks":101}"#)
        .iter()
        .map(|task| json!({"op": "nack", "lease_id": task["lease_id"], "retry": false}))
        .collect();
    let operations = json!({"operations": operations}).to_string();
    api.post("/v1/leases/batch", &operations).expect(200);
    shows(&api, r#"leaseq_queue_tasks{queue="q",state="dead"} 101"#);
    assert_eq!(api.get("/v1/queues/q/stats").expect(200)["dead"], 101);
}

#[test]
fn bounds_out_of_their_range_are_refused_by_name() {
    let (_service, api, _dir) = served();
    for (bound, value) in [
        ("max_size", json!(0)),
        ("max_size", json!(10_000_001)),
        ("max_age_seconds", json!(0.999)),
        ("max_age_seconds", json!(31_536_001)),
        ("max_age_seconds", json!("1d")),
        ("max_bytes", json!(0)),
        ("max_bytes", json!(1.5)),
        ("on_full", json!("drop")),
        ("on_full", json!(1)),
    ] {
        let config = json!({"dead_letter": {bound: value}}).to_string();
        let answer = api.send("PUT", "/v1/queues/q", "", &config);
        let problem = answer.problem(422, "validation_failed");
        assert_eq!(
            problem["errors"][0]["pointer"],
            format!("/dead_letter/{bound}"),
            "{config}"
        );
    }
}

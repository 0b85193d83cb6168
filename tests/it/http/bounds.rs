//! The bounds `max_tasks` and `max_bytes` over HTTP, and the responses for producers at these bounds.

use serde_json::{Value, json};

use super::api::{Answer, Api, served};

fn configure(api: &Api, body: &str) -> Value {
    let answer = api.send("PATCH", "/v1/queues/q", "", body);
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

fn put(api: &Api, body: &str) -> Answer {
    api.post("/v1/queues/q/tasks", body)
}

fn full(answer: &Answer) {
    let problem = answer.problem(429, "queue_full");
    let seconds = answer.header("retry-after").expect("a throttled caller is told");
    assert_eq!(problem["retry_after_seconds"].to_string(), seconds);
}

fn of_mebibytes(mebibytes: f64) -> String {
    let bytes = (mebibytes * f64::from(1 << 20)) as usize;
    format!(r#"{{"payload":"{}"}}"#, "x".repeat(bytes - 200))
}

/// I28 I29.
#[test]
fn a_full_queue_refuses_producers_and_nobody_else() {
    let (_service, api, _dir) = served();
    assert_eq!(configure(&api, r#"{"max_tasks":3}"#)["config"]["max_tasks"], 3);
    api.enqueue("{}");
    api.enqueue(r#"{"delay_seconds":60}"#);
    let task = api.lease_one();

    let batch = r#"{"tasks":[{},{"priority":-1},{}]}"#;
    let answer = api.post("/v1/queues/q/tasks/batch", batch).expect(200);
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&1.into(), &2.into()));
    let codes: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["error"]["code"].as_str().unwrap_or("accepted"))
        .collect();
    assert_eq!(codes, ["accepted", "validation_failed", "queue_full"]);
    assert_eq!(answer["results"][2]["error"]["retry_after_seconds"], 5);

    full(&put(&api, "{}"));
    full(&api.post("/v1/queues/q/tasks/batch", r#"{"tasks":[{},{}]}"#));
    full(&api.post("/v1/queues/q/tasks/batch", r#"{"tasks":[{}],"atomic":true}"#));
    full(&api.send_as("application/x-ndjson", "/v1/queues/q/tasks/batch", "{}\n{}\n"));
    api.post("/v1/queues/other/tasks", "{}").expect(201);

    api.settle(&task, "release", "").expect(200);
    let task = api.lease_one();
    api.settle(&task, "ack", "").expect(200);
    api.enqueue("{}");
    full(&put(&api, "{}"));
    // Lowered, it keeps what it has; without a bound it takes anything.
    configure(&api, r#"{"max_tasks":1}"#);
    assert_eq!(api.lease(r#"{"max_tasks":9}"#).len(), 2);
    full(&put(&api, "{}"));
    let shown = configure(&api, r#"{"max_tasks":null}"#);
    assert_eq!(shown["config"]["max_tasks"], Value::Null);
    api.enqueue("{}");
}

/// I5: all or none.
#[test]
fn an_atomic_batch_that_does_not_fit_stores_nothing() {
    let (_service, api, _dir) = served();
    configure(&api, r#"{"max_tasks":2}"#);
    full(&api.post(
        "/v1/queues/q/tasks/batch",
        r#"{"tasks":[{},{},{}],"atomic":true}"#,
    ));
    let stats = api.get("/v1/queues/q/stats").expect(200);
    assert_eq!(
        (&stats["accepted_total"], &stats["unfinished_bytes"]),
        (&0.into(), &0.into())
    );
    let two = api.post("/v1/queues/q/tasks/batch", r#"{"tasks":[{},{}],"atomic":true}"#);
    assert_eq!(two.expect(200)["accepted"], 2);
}

/// I28.
#[test]
fn bytes_are_bounded_whatever_their_number() {
    let (_service, api, _dir) = served();
    configure(&api, r#"{"max_bytes":2097152}"#);
    api.enqueue(&of_mebibytes(1.0));
    api.enqueue(&of_mebibytes(0.75));
    let bytes = || {
        let stats = api.get("/v1/queues/q/stats").expect(200);
        stats["unfinished_bytes"].as_u64().unwrap()
    };
    assert!((1_834_000..1_836_000).contains(&bytes()), "{}", bytes());
    full(&put(&api, &of_mebibytes(0.26)));
    api.settle(&api.lease_one(), "ack", r#"{"result":"done"}"#)
        .expect(200);
    assert!(bytes() < 800_000, "{}", bytes());
    api.enqueue(&of_mebibytes(1.0));
    assert_eq!(
        api.post("/v1/queues/q/verify", "").expect(200)["problems"],
        json!([])
    );
}

/// I14: replaying is operators' work, and there is a bound to a queue all the same.
#[test]
fn dead_letters_wait_for_room() {
    let (_service, api, _dir) = served();
    for _ in 0..3 {
        api.enqueue("{}");
        api.settle(&api.lease_one(), "nack", r#"{"retry":false}"#)
            .expect(200);
    }
    configure(&api, r#"{"max_tasks":2}"#);
    let bulk = api.post("/v1/queues/q/dlq/replay", "").expect(200);
    assert_eq!(
        (&bulk["matched"], &bulk["replayed"], &bulk["skipped"]),
        (&3.into(), &2.into(), &1.into())
    );
    let left = api.get("/v1/queues/q/dlq").expect(200)["items"].clone();
    assert_eq!(left.as_array().unwrap().len(), 1);
    let path = format!("/v1/queues/q/dlq/{}/replay", left[0]["id"].as_str().unwrap());
    full(&api.post(&path, ""));
    api.settle(&api.lease_one(), "ack", "").expect(200);
    api.post(&path, "").expect(201);
}

/// I28.
#[test]
fn a_queue_has_no_more_names_than_a_queue_may_have() {
    let (_service, api, _dir) = served();
    let limit = api.get("/v1/limits").expect(200)["names_max"].as_u64().unwrap();
    let tasks: Vec<_> = (0..limit).map(|n| json!({"name": format!("n{n}")})).collect();
    let answer = api.post("/v1/queues/q/tasks/batch", &json!({"tasks": tasks}).to_string());
    assert_eq!(answer.expect(200)["accepted"], limit);
    for _ in 0..2 {
        let refused = put(&api, r#"{"name":"one-more"}"#);
        refused.problem(409, "names_full");
        assert_eq!(refused.header("retry-after"), None);
    }
    let batch = r#"{"tasks":[{"name":"n7"},{"name":"one-more"}]}"#;
    let mixed = api.post("/v1/queues/q/tasks/batch", batch).expect(200);
    assert_eq!(
        (&mixed["accepted"], &mixed["results"][1]["error"]["code"]),
        (&1.into(), &"names_full".into())
    );
    let batch = r#"{"tasks":[{"name":"n7"},{"name":"one-more"}],"atomic":true}"#;
    api.post("/v1/queues/q/tasks/batch", batch)
        .problem(409, "names_full");
    api.post("/v1/queues/other/tasks", r#"{"name":"one-more"}"#)
        .expect(201);
    let stats = api.get("/v1/queues/q/stats").expect(200);
    assert_eq!(stats["ready"], limit + 1);
}

#[test]
fn bounds_that_make_no_sense_are_refused_by_name() {
    let (_service, api, _dir) = served();
    for (body, pointer) in [
        (r#"{"max_tasks":0}"#, "/max_tasks"),
        (r#"{"max_tasks":-1}"#, "/max_tasks"),
        (r#"{"max_tasks":1.5}"#, "/max_tasks"),
        (r#"{"max_tasks":1e99}"#, "/max_tasks"),
        (r#"{"max_tasks":1000000001}"#, "/max_tasks"),
        (r#"{"max_tasks":"9"}"#, "/max_tasks"),
        (r#"{"max_bytes":2097151}"#, "/max_bytes"),
        (r#"{"max_bytes":true}"#, "/max_bytes"),
        (r#"{"max_bytes":1e300}"#, "/max_bytes"),
    ] {
        for method in ["PUT", "PATCH"] {
            let problem = api
                .send(method, "/v1/queues/q", "", body)
                .problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
        }
    }
    api.get("/v1/queues/q").problem(404, "queue_unknown");
}

//! ack, nack, extend, release: what they answer, once and again.

use serde_json::{Value, json};

use super::api::{Api, each, served};

fn leased(api: &Api, body: &str) -> Value {
    api.enqueue(body);
    api.lease_one()
}

fn without_times(mut answer: Value) -> Value {
    for name in ["next_attempt_at", "run_at", "lease_expires_at"] {
        if let Some(value) = answer.get_mut(name) {
            assert!(value.as_str().unwrap().ends_with('Z'));
            *value = json!("T");
        }
    }
    answer
}

/// I9, I10.
#[test]
fn settling_answers_what_became_of_the_task_and_a_repeat_says_already() {
    let (_service, api, _dir) = served();
    let rows = [
        ("ack", "", json!({"state": "completed"})),
        (
            "nack",
            // Full jitter may be no delay at all, once in a thousand times: so it is stated.
            r#"{"error":"smtp timeout","delay_seconds":20}"#,
            json!({"state": "scheduled", "attempt": 1, "attempts_left": 4, "next_attempt_at": "T"}),
        ),
        (
            "nack",
            r#"{"error":{"type":"Bad","message":"m","stack":"s"},"retry":false}"#,
            json!({"state": "dead", "attempt": 1, "attempts_left": 0}),
        ),
        (
            "release",
            r#"{"retry_after":30}"#,
            json!({"state": "scheduled", "run_at": "T"}),
        ),
        ("release", "", json!({"state": "ready"})),
    ];
    for (verb, body, mut expected) in rows {
        let task = leased(&api, "{}");
        expected["id"] = task["id"].clone();
        let answer = api.settle(&task, verb, body).expect(200);
        assert_eq!(without_times(answer), expected, "{verb} {body}");
        expected["already"] = true.into();
        let again = api.settle(&task, verb, body).expect(200);
        assert_eq!(without_times(again), expected, "{verb} {body}, again");
        let other = if verb == "ack" { "nack" } else { "ack" };
        api.settle(&task, other, "").problem(409, "lease_lost");
        api.settle(&task, "extend", "").problem(409, "lease_lost");
    }
}

#[test]
fn an_extended_lease_ends_when_it_was_told() {
    let (_service, api, _dir) = served();
    let task = leased(&api, "{}");
    let answer = api
        .settle(&task, "extend", r#"{"lease_seconds":600,"progress":{"done":3}}"#)
        .expect(200);
    assert_eq!(answer["cancel_requested"], false);
    assert!(answer["lease_expires_at"].as_str() > task["lease_expires_at"].as_str());
    let read = api.task(task["id"].as_str().unwrap());
    assert_eq!(read["lease_expires_at"], answer["lease_expires_at"]);
    assert_eq!(read["progress"], json!({"done": 3}));
}

/// I7.
#[test]
fn a_forged_or_cut_lease_id_is_unknown() {
    let (_service, api, _dir) = served();
    let task = leased(&api, "{}");
    let real = task["lease_id"].as_str().unwrap();
    let last = if real.ends_with('A') { 'g' } else { 'A' };
    let forged = [
        "x".to_owned(),
        real[..real.len() - 1].to_owned(),
        format!("{real}A"),
        format!("{}{last}", &real[..real.len() - 1]),
    ];
    for lease_id in forged {
        for verb in ["ack", "nack", "extend", "release"] {
            let answer = api.post(&format!("/v1/leases/{lease_id}/{verb}"), "");
            answer.problem(404, "lease_unknown");
        }
    }
    api.settle(&task, "ack", "").expect(200);
}

/// I7: whatever is not ours is unknown, and not a route, a queue or a limit that the caller missed.
#[test]
fn a_lease_id_of_any_bytes_is_unknown() {
    let (_service, api, _dir) = served();
    let long = "A".repeat(30_000);
    let junk = [
        "%ff",
        "%00",
        "%2F",
        "%2e%2e",
        "%",
        "%zz",
        "%F0%9F%92%A9",
        "a%20b",
        &long,
    ];
    for lease_id in junk {
        for verb in ["ack", "nack", "extend", "release"] {
            let answer = api.post(&format!("/v1/leases/{lease_id}/{verb}"), "");
            answer.problem(404, "lease_unknown");
        }
    }
    let ids = ["", "\0", "../", "%ff", "\u{1f4a9}", &long];
    let operations: Vec<Value> = ids
        .iter()
        .flat_map(|id| ["ack", "nack", "extend", "release"].map(|op| json!({"op": op, "lease_id": id})))
        .collect();
    let answer = api.post("/v1/leases/batch", &json!({"operations": operations}).to_string());
    for result in answer.expect(200)["results"].as_array().unwrap() {
        assert_eq!(result["error"]["code"], "lease_unknown", "{result}");
    }
}

#[test]
fn a_path_that_is_no_text_names_no_queue_and_no_task() {
    let (_service, api, _dir) = served();
    api.get("/v1/queues/q/tasks/%ff").problem(404, "task_unknown");
    for path in ["/v1/queues/%ff/stats", "/v1/queues/%20/stats"] {
        let problem = api.get(path).problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "path:queue");
    }
}

/// I7.
#[test]
fn the_lease_of_an_earlier_grant_is_lost() {
    let (_service, api, _dir) = served();
    let first = leased(&api, "{}");
    api.settle(&first, "release", "").expect(200);
    let second = api.lease_one();
    assert_eq!((&second["id"], &second["attempt"]), (&first["id"], &1.into()));
    assert!(second["grant"].as_u64() > first["grant"].as_u64());
    api.settle(&first, "ack", "").problem(409, "lease_lost");
    api.settle(&second, "ack", "").expect(200);
}

/// I29.
#[test]
fn many_settles_in_one_request_succeed_and_fail_alone() {
    let (_service, api, _dir) = served();
    let tasks: Vec<Value> = (0..4).map(|_| leased(&api, "{}")).collect();
    let id = |n: usize| &tasks[n]["lease_id"];
    let body = json!({"operations": [
        {"op": "ack", "lease_id": id(0), "result": [1]},
        {"op": "nack", "lease_id": id(1), "error": "e", "delay_seconds": 20},
        {"op": "ack", "lease_id": "forged"},
        {"op": "extend", "lease_id": id(2), "lease_seconds": 60},
        {"op": "release", "lease_id": id(3)},
        {"op": "drop", "lease_id": id(3)},
        {"op": "ack", "lease_id": id(0)},
    ]});
    let answer = api.post("/v1/leases/batch", &body.to_string()).expect(200);
    let results = answer["results"].as_array().unwrap();
    assert_eq!(each(results, "index"), ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(
        each(results, "state"),
        [
            "completed",
            "scheduled",
            "null",
            "null",
            "ready",
            "null",
            "completed"
        ]
    );
    let codes: Vec<_> = results
        .iter()
        .map(|result| result["error"]["code"].as_str())
        .collect();
    let (unknown, invalid) = (Some("lease_unknown"), Some("validation_failed"));
    assert_eq!(codes, [None, None, unknown, None, None, invalid, None]);
    assert_eq!(results[5]["error"]["errors"][0]["pointer"], "/operations/5/op");
    assert_eq!(results[6]["already"], true);
}

/// I12.
#[test]
fn a_task_that_used_its_attempts_is_one_dead_letter() {
    let (_service, api, _dir) = served();
    let id = api.enqueue(r#"{"max_attempts":2,"payload":{"to": "a"}}"#);
    for attempt in 1..=2 {
        let task = api.lease_one();
        assert_eq!(task["attempt"], attempt);
        api.settle(
            &task,
            "nack",
            r#"{"error":{"type":"Smtp","message":"no"},"delay_seconds":0}"#,
        )
        .expect(200);
    }
    assert!(api.lease(r#"{"wait_seconds":0}"#).is_empty());
    let listed = api.get("/v1/queues/q/tasks?state=dead").expect(200);
    let items = listed["items"].as_array().unwrap();
    assert_eq!(each(items, "id"), [id]);
    assert_eq!(
        (&items[0]["attempt"], &items[0]["last_error"]["type"]),
        (&2.into(), &"Smtp".into())
    );
    assert_eq!(items[0]["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(api.get("/v1/queues/q/stats").expect(200)["dead"], 1);
}

/// I25.
#[test]
fn a_result_can_be_read_as_it_was_given() {
    let (_service, api, _dir) = served();
    let task = leased(&api, "{}");
    let result = r#"{"big":9007199254740993, "a":1,"a":[ ]}"#;
    api.settle(&task, "ack", &format!(r#"{{"result":{result}}}"#))
        .expect(200);
    let path = format!("/v1/queues/q/tasks/{}", task["id"].as_str().unwrap());
    let read = api.get(&path);
    assert_eq!(read.expect(200)["state"], "completed");
    assert!(
        read.body.contains(&format!(r#""result":{result}"#)),
        "{}",
        read.body
    );
}

//! Enqueue: what is answered is stored, byte for byte.

use super::api::{each, served};

const NDJSON: &str = "application/x-ndjson";

#[test]
fn an_enqueue_says_where_the_task_is_and_how_safe() {
    let (_service, api, _dir) = served();
    let answer = api.post("/v1/queues/q/tasks", r#"{"name":"welcome","payload":1}"#);
    let told = answer.expect(201);
    let id = told["id"].as_str().unwrap();
    assert_eq!(
        answer.header("location"),
        Some(&*format!("/v1/queues/q/tasks/{id}"))
    );
    assert_eq!(answer.header("leaseq-durability"), Some("fsync"));
    assert_eq!(
        (&told["state"], &told["duplicate"]),
        (&"ready".into(), &false.into())
    );

    let task = api.get(answer.header("location").unwrap()).expect(200);
    assert_eq!((&task["id"], &task["name"]), (&told["id"], &"welcome".into()));
    let later = api
        .post("/v1/queues/q/tasks", r#"{"delay_seconds":60}"#)
        .expect(201);
    assert_eq!(later["state"], "scheduled");
    assert!(later["run_at"].as_str().unwrap().ends_with('Z'));
}

/// I2, in every way in and out.
#[test]
fn a_payload_comes_back_byte_for_byte() {
    let (_service, api, _dir) = served();
    let payloads = [
        "[]",
        "{}",
        "9007199254740993",
        r#"{"a":1,"a":2,"A":{}}"#,
        "[1,  2 ,\t3 ]",
        "1.10e+02",
        "-0.0",
        r#""\u00e9 é \/ \ud83d\ude00""#,
        r#"{"z":null,"a":[[],{}]}"#,
    ];
    for payload in payloads {
        let item = format!(r#"{{"payload":{payload}}}"#);
        api.enqueue(&item);
        let batch = format!(r#"{{"tasks":[{item}]}}"#);
        assert_eq!(
            api.post("/v1/queues/q/tasks/batch", &batch).expect(200)["accepted"],
            1
        );
        let line = api.send_as(NDJSON, "/v1/queues/q/tasks/batch", &item);
        assert_eq!(line.expect(200)["accepted"], 1);
        let shown = format!(r#""payload":{payload},"#);
        for _ in 0..3 {
            let leased = api.post("/v1/queues/q/lease", "{}");
            assert!(leased.body.contains(&shown), "{payload}: {}", leased.body);
            let id = leased.expect(200)["tasks"][0]["id"].as_str().unwrap().to_owned();
            let read = api.get(&format!("/v1/queues/q/tasks/{id}"));
            assert!(read.body.contains(&shown), "{payload}: {}", read.body);
        }
    }
}

/// I29.
#[test]
fn a_bad_task_of_a_batch_fails_alone() {
    let (_service, api, _dir) = served();
    let answer = api
        .post(
            "/v1/queues/q/tasks/batch",
            r#"{"tasks":[{"payload":1},{"priority":-1},{"payload":3}]}"#,
        )
        .expect(200);
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&2.into(), &1.into()));
    let bad = &answer["results"][1];
    assert_eq!(bad["error"]["errors"][0]["pointer"], "/tasks/1/priority");
    assert_eq!(each(&api.lease(r#"{"max_tasks":9}"#), "payload"), ["1", "3"]);
}

/// I5.
#[test]
fn an_atomic_batch_is_accepted_as_a_whole_or_not_at_all() {
    let (_service, api, _dir) = served();
    let path = "/v1/queues/q/tasks/batch";
    let refused = api.post(path, r#"{"atomic":true,"tasks":[{"payload":1},{"priority":-1}]}"#);
    let problem = refused.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/tasks/1/priority");
    let many = format!(r#"{{"atomic":true,"tasks":[{}]}}"#, vec!["{}"; 257].join(","));
    api.post(path, &many).problem(413, "batch_too_large");
    assert!(api.lease(r#"{"wait_seconds":0}"#).is_empty());

    let told = api.post(path, r#"{"atomic":true,"tasks":[{"payload":1},{"payload":2}]}"#);
    assert_eq!(told.expect(200)["accepted"], 2);
    assert_eq!(each(&api.lease(r#"{"max_tasks":9}"#), "payload"), ["1", "2"]);
}

#[test]
fn lines_of_json_are_a_batch() {
    let (_service, api, _dir) = served();
    let lines = "{\"payload\":[ 1 ]}\n\n{\"payload\":\n{\"nmae\":1}\r\n{\"payload\":2}";
    let answer = api.send_as(NDJSON, "/v1/queues/q/tasks/batch", lines);
    let told = answer.expect(200);
    let codes: Vec<_> = (0..4)
        .map(|index| told["results"][index]["error"]["code"].as_str())
        .collect();
    assert_eq!(
        codes,
        [None, Some("malformed_json"), Some("validation_failed"), None]
    );
    let ids = [&told["results"][0]["id"], &told["results"][3]["id"]];
    let leased = api.lease(r#"{"max_tasks":9}"#);
    assert_eq!([&leased[0]["id"], &leased[1]["id"]], ids);
}

/// A thousand in one request, in order of acceptance (I17), cut into chunks on the way.
#[test]
fn a_large_batch_keeps_its_order() {
    let (_service, api, _dir) = served();
    let items: Vec<String> = (0..1000).map(|n| format!(r#"{{"payload":{n}}}"#)).collect();
    let body = format!(r#"{{"tasks":[{}]}}"#, items.join(","));
    let told = api.post("/v1/queues/q/tasks/batch", &body).expect(200);
    assert_eq!(told["accepted"], 1000);
    let mut payloads = Vec::new();
    while payloads.len() < 1000 {
        let leased = api.lease(r#"{"max_tasks":1000,"wait_seconds":0}"#);
        assert!(!leased.is_empty(), "only {} came", payloads.len());
        payloads.extend(each(&leased, "payload"));
    }
    assert!(payloads.iter().map(|n| n.parse::<usize>().unwrap()).eq(0..1000));
}

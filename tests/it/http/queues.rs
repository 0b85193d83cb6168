//! Queues: config under ETag, and the numbers.

use super::api::{Api, served, tasks};
use crate::process::service::Service;

#[test]
fn a_config_is_written_over_the_version_that_was_read_or_not_at_all() {
    let (_service, api, _dir) = served();
    let path = "/v1/queues/q";
    let made = api.send("PUT", path, "if-none-match: *\r\n", r#"{"max_attempts":3}"#);
    assert_eq!(made.expect(201)["config"]["max_attempts"], 3);
    let first = format!("if-match: {}\r\n", made.header("etag").unwrap());
    let changed = api.send("PATCH", path, &first, r#"{"lease_seconds":90}"#);
    let told = changed.expect(200);
    assert_eq!(
        (&told["config"]["max_attempts"], &told["config"]["lease_seconds"]),
        (&3.into(), &90.into())
    );

    for method in ["PUT", "PATCH"] {
        let late = api.send(method, path, &first, r#"{"max_attempts":9}"#);
        late.problem(412, "version_mismatch");
    }
    let read = api.get(path);
    assert_eq!(read.header("etag"), changed.header("etag"));
    assert_eq!(
        read.expect(200)["set"],
        serde_json::json!({"lease_seconds": 90, "max_attempts": 3})
    );

    api.enqueue("{}");
    let task = api.lease_one();
    assert_eq!(
        (&task["max_attempts"], &task["lease_seconds"]),
        (&3.into(), &90.into())
    );
    let second = format!("if-match: {}\r\n", read.header("etag").unwrap());
    let reset = api
        .send("PATCH", path, &second, r#"{"max_attempts":null}"#)
        .expect(200);
    assert_eq!(reset["config"]["max_attempts"], 5);
}

/// I28: whoever would make it, and through whichever door.
#[test]
fn a_service_has_no_more_queues_than_it_may_have() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--data-dir", dir.path().to_str().unwrap(), "--max-queues", "2"];
    let service = Service::start(&args);
    let api = Api::of(&service);
    let make = |queue: &str| api.post(&format!("/v1/queues/{queue}/tasks"), "{}");
    make("a").expect(201);
    api.send("PUT", "/v1/queues/b", "", "{}").expect(201);
    for _ in 0..2 {
        make("c").problem(409, "queues_full");
        api.post("/v1/queues/c/tasks/batch", r#"{"tasks":[{},{}]}"#)
            .problem(409, "queues_full");
        for method in ["PUT", "PATCH"] {
            api.send(method, "/v1/queues/c", "", "{}")
                .problem(409, "queues_full");
        }
    }
    api.get("/v1/queues/c").problem(404, "queue_unknown");
    make("b").expect(201);
    assert!(
        tasks(
            &api.post("/v1/queues/c/lease", r#"{"wait_seconds":0}"#)
                .expect(200)
        )
        .is_empty()
    );
    // One that goes makes room.
    api.send("DELETE", "/v1/queues/a?confirm=a", "", "").expect(200);
    make("c").expect(201);
    make("a").problem(409, "queues_full");
}

#[test]
fn a_service_that_makes_no_queues_by_itself_refuses_tasks_for_unknown_ones() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--data-dir", dir.path().to_str().unwrap(), "--auto-create=false"];
    let service = Service::start(&args);
    let api = Api::of(&service);
    api.post("/v1/queues/q/tasks", "{}").problem(404, "queue_unknown");
    api.post("/v1/queues/q/tasks/batch", r#"{"tasks":[{}]}"#)
        .problem(404, "queue_unknown");
    let empty = api
        .post("/v1/queues/q/lease", r#"{"wait_seconds":0}"#)
        .expect(200);
    assert_eq!(empty["reason"], "empty", "it may be made while somebody waits");
    api.get("/v1/queues/q").problem(404, "queue_unknown");
    api.send("PUT", "/v1/queues/q", "", "{}").expect(201);
    api.enqueue("{}");
    api.lease_one();
}

/// I3.
#[test]
fn the_numbers_of_a_queue_add_up() {
    let (_service, api, _dir) = served();
    for body in [
        "{}",
        "{}",
        "{}",
        r#"{"delay_seconds":60}"#,
        r#"{"max_attempts":1}"#,
    ] {
        api.enqueue(body);
    }
    let leased = api.lease(r#"{"max_tasks":9}"#);
    api.settle(&leased[0], "ack", "").expect(200);
    api.settle(&leased[1], "release", "").expect(200);
    api.settle(&leased[3], "nack", "").expect(200);
    let stats = api.get("/v1/queues/q/stats").expect(200);
    for (name, count) in [
        ("accepted_total", 5),
        ("ready", 1),
        ("scheduled", 1),
        ("leased", 1),
        ("backlog", 2),
        ("dead", 1),
        ("completed_total", 1),
    ] {
        assert_eq!(stats[name], count, "{name} of {stats}");
    }
}

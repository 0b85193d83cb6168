//! Queues: config under ETag, and the numbers.

use super::api::served;

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

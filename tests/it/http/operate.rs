//! Cancel, patch, run-now, purge and delete over HTTP: answers, bad input, and many at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use leaseq::domain::Millis;
use serde_json::{Value, json};

use super::api::{Api, each, served, tasks};
use crate::process::service::Service;
use crate::support::redis::Redis;

fn path(id: &str, verb: &str) -> String {
    format!("/v1/queues/q/tasks/{id}{verb}")
}

fn cancel(api: &Api, id: &str) -> Value {
    api.post(&path(id, "/cancel"), "").expect(200)
}

/// I23.
#[test]
fn a_waiting_task_is_cancelled_now_and_a_leased_one_when_its_lease_ends() {
    let (_service, api, _dir) = served();
    let scheduled = api.enqueue(r#"{"delay_seconds":60}"#);
    let leased = api.enqueue("{}");
    let task = api.lease_one();
    let ready = api.enqueue("{}");
    for id in [&scheduled, &ready, &ready] {
        let expected = json!({"id": id, "state": "cancelled", "cancel_requested": false});
        assert_eq!(cancel(&api, id), expected);
        assert_eq!(api.task(id)["state"], "cancelled");
    }
    for _ in 0..2 {
        let expected = json!({"id": leased, "state": "leased", "cancel_requested": true});
        assert_eq!(cancel(&api, &leased), expected);
    }
    assert_eq!(api.task(&leased)["cancel_requested"], true);
    assert_eq!(
        api.settle(&task, "extend", "").expect(200)["cancel_requested"],
        true
    );
    assert_eq!(api.settle(&task, "nack", "").expect(200)["state"], "cancelled");
    assert_eq!(api.lease(r#"{"wait_seconds":0,"max_tasks":9}"#), [] as [Value; 0]);
    let stats = api.get("/v1/queues/q/stats").expect(200);
    assert_eq!(
        (&stats["cancelled_total"], &stats["backlog"]),
        (&3.into(), &0.into())
    );
    let listed = api.get("/v1/queues/q/tasks?state=cancelled").expect(200);
    assert_eq!(
        each(listed["items"].as_array().unwrap(), "id"),
        [leased, ready, scheduled]
    );
}

#[test]
fn what_cannot_be_done_in_a_state_is_refused_with_the_state() {
    let (_service, api, _dir) = served();
    let id = api.enqueue("{}");
    let task = api.lease_one();
    for (method, verb, body) in [("PATCH", "", r#"{"priority":1}"#), ("POST", "/run-now", "")] {
        let problem = api
            .send(method, &path(&id, verb), "", body)
            .problem(409, "task_state");
        assert_eq!(problem["detail"], "the task is leased");
    }
    api.settle(&task, "ack", "").expect(200);
    let problem = api.post(&path(&id, "/cancel"), "").problem(409, "task_state");
    assert_eq!(problem["detail"], "the task is completed");
    for id in ["0".repeat(23), "no-id".to_owned()] {
        api.post(&path(&id, "/cancel"), "").problem(404, "task_unknown");
        api.post(&path(&id, "/run-now"), "").problem(404, "task_unknown");
        let answer = api.send("PATCH", &path(&id, ""), "", r#"{"priority":1}"#);
        answer.problem(404, "task_unknown");
    }
}

/// I17 I19.
#[test]
fn a_task_is_moved_in_order_and_in_time() {
    let (_service, api, _dir) = served();
    let first = api.enqueue("{}");
    let second = api.enqueue("{}");
    let before = api.task(&second);
    let patched = api
        .send("PATCH", &path(&second, ""), "", r#"{"priority":50}"#)
        .expect(200);
    assert_eq!(
        patched,
        json!({"id": second, "state": "ready", "priority": 50, "ready_at": before["ready_at"]})
    );
    let soon = seconds_from_now(3_600);
    let body = format!(r#"{{"run_at":"{soon}"}}"#);
    let patched = api.send("PATCH", &path(&first, ""), "", &body).expect(200);
    assert_eq!(
        (&patched["state"], &patched["run_at"]),
        (&"scheduled".into(), &soon.clone().into())
    );
    assert_eq!(api.task(&first)["run_at"], soon);
    assert_eq!(api.lease_one()["id"], second);
    let ran = api.post(&path(&first, "/run-now"), "").expect(200);
    assert_eq!(ran["state"], "ready");
    assert_eq!(api.lease_one()["id"], first);
    let third = api.enqueue("{}");
    let body = r#"{"run_at":"2126-01-01T00:00:00Z"}"#;
    let problem = api
        .send("PATCH", &path(&third, ""), "", body)
        .problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/run_at");
}

/// An instant so many seconds from now, as the API writes it.
fn seconds_from_now(seconds: u64) -> String {
    Millis::local().plus(seconds * 1000).to_string()
}

/// I26: who waits hears of it.
#[test]
fn a_task_that_is_run_now_wakes_who_waits_through_another_replica() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = [(); 2].map(|()| {
        let service = Service::start(&["--redis-url", &redis.url()]);
        let api = Api::of(&service);
        (service, api)
    });
    // A busy machine may stop a process for a moment; it does not stop it every time.
    let mut times = [(); 3].map(|()| {
        let id = a.enqueue(r#"{"delay_seconds":600}"#);
        let waiter = b.waiting("/v1/queues/q/lease", r#"{"wait_seconds":30}"#, 1);
        let start = Instant::now();
        a.post(&path(&id, "/run-now"), "").expect(200);
        let leased = tasks(&waiter.join().unwrap().expect(200));
        let time = start.elapsed();
        assert_eq!(each(&leased, "id"), [id]);
        b.wait_for_waiters(0);
        time
    });
    times.sort();
    // Without a notification it would look each second.
    assert!(times[1] < Duration::from_millis(500), "{times:?}");
}

#[test]
fn bad_input_is_named_and_changes_nothing() {
    let (_service, api, _dir) = served();
    let id = api.enqueue("{}");
    let before = api.task(&id);
    let one = path(&id, "");
    let many = "/v1/queues/q/tasks/cancel";
    let purge = "/v1/queues/q/purge";
    for (method, path, body, pointer) in [
        ("PATCH", one.as_str(), r#"{"priority":1001}"#, "/priority"),
        ("PATCH", &one, r#"{"priority":"high"}"#, "/priority"),
        ("PATCH", &one, r#"{"run_at":"tomorrow"}"#, "/run_at"),
        ("PATCH", &one, r#"{"name":"x"}"#, "/name"),
        ("PATCH", &one, "{}", ""),
        ("POST", &path(&id, "/run-now"), r#"{"at":1}"#, "/at"),
        ("POST", &path(&id, "/cancel"), r#"{"reason":"x"}"#, "/reason"),
        ("POST", many, "{}", "/filter"),
        ("POST", many, r#"{"filter":[]}"#, "/filter"),
        ("POST", many, r#"{"filter":{"state":"dead"}}"#, "/filter/state"),
        ("POST", many, r#"{"filter":{"nmae":"x"}}"#, "/filter/nmae"),
        ("POST", many, r#"{"filter":{"group":""}}"#, "/filter/group"),
        ("POST", many, r#"{"filter":{},"dry_run":"yes"}"#, "/dry_run"),
        ("POST", many, r#"{"filter":{},"cursor":"bm8"}"#, "/cursor"),
        ("POST", purge, r#"{"state":"gone","confirm":"q"}"#, "/state"),
        ("POST", purge, r#"{"confirm":"q","cursor":"bm8"}"#, "/cursor"),
        ("DELETE", "/v1/queues/q?confirm=a%20b", "", "query:confirm"),
        ("DELETE", "/v1/queues/q?force=1", "", "query:force"),
    ] {
        let problem = api.send(method, path, "", body).problem(422, "validation_failed");
        assert_eq!(
            problem["errors"][0]["pointer"], pointer,
            "{path} {body}: {problem}"
        );
    }
    for body in ["", "{}", r#"{"confirm":"p"}"#, r#"{"state":"ready"}"#] {
        api.post(purge, body).problem(400, "confirmation_required");
    }
    api.send("DELETE", "/v1/queues/q?confirm=p", "", "")
        .problem(400, "confirmation_required");
    api.send("DELETE", "/v1/queues/q", "", "")
        .problem(409, "queue_not_empty");
    assert_eq!(api.task(&id), before);
    for (method, path, body) in [
        ("POST", "/v1/queues/p/tasks/cancel", r#"{"filter":{}}"#),
        ("POST", "/v1/queues/p/purge", r#"{"confirm":"p"}"#),
        ("DELETE", "/v1/queues/p", ""),
    ] {
        api.send(method, path, "", body).problem(404, "queue_unknown");
    }
}

fn enqueue_many(api: &Api, tasks: &[Value]) {
    for batch in tasks.chunks(1_000) {
        let body = json!({ "tasks": batch }).to_string();
        assert_eq!(
            api.post("/v1/queues/q/tasks/batch", &body).expect(200)["rejected"],
            0
        );
    }
}

/// I28: at most 1,000 a call, and all of them in the end.
#[test]
fn many_are_cancelled_page_by_page_as_a_dry_run_said() {
    let (_service, api, _dir) = served();
    let mut all = vec![json!({"name": "keep"}); 300];
    all.extend(vec![json!({"name": "drop", "group": "acme"}); 1_300]);
    all.extend(vec![json!({"name": "drop", "delay_seconds": 60}); 200]);
    enqueue_many(&api, &all);
    let run = |filter: Value, dry_run: bool| {
        let (mut sums, mut cursor) = ([0, 0, 0], Value::Null);
        loop {
            let body = json!({"filter": filter, "dry_run": dry_run, "cursor": cursor});
            let page = api
                .post("/v1/queues/q/tasks/cancel", &body.to_string())
                .expect(200);
            let counts =
                ["matched", "cancelled", "cancel_requested"].map(|name| page[name].as_u64().unwrap());
            assert!(counts[0] <= 1_000, "{page}");
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                return sums;
            }
        }
    };
    let leased = api.lease(r#"{"max_tasks":1,"names":["drop"]}"#);
    let filter = json!({"name": "drop"});
    assert_eq!(run(filter.clone(), true), [1_500, 0, 0]);
    assert_eq!(run(filter.clone(), false), [1_500, 1_499, 1]);
    assert_eq!(run(filter, false), [1, 0, 1], "only the leased one is left");
    assert_eq!(run(json!({"state": "ready", "group": "acme"}), true), [0, 0, 0]);
    api.settle(&leased[0], "release", "").expect(200);
    let stats = api.get("/v1/queues/q/stats").expect(200);
    assert_eq!((&stats["ready"], &stats["scheduled"]), (&300.into(), &0.into()));
    assert_eq!(stats["cancelled_total"], 1_500);
}

/// I3: who cancels and who leases share the tasks; nobody has one that the other has.
#[test]
fn a_task_is_cancelled_or_leased_never_both() {
    let (_service, api, _dir) = served();
    enqueue_many(&api, &vec![json!({}); 400]);
    let canceller = {
        let api = api.clone();
        std::thread::spawn(move || {
            let body = r#"{"filter":{"state":"ready"}}"#;
            api.post("/v1/queues/q/tasks/cancel", body).expect(200)["cancelled"].as_u64()
        })
    };
    let mut leased = BTreeSet::new();
    loop {
        let some = api.lease(r#"{"max_tasks":20,"wait_seconds":0}"#);
        if some.is_empty() {
            break;
        }
        leased.extend(each(&some, "id"));
    }
    let cancelled = canceller.join().unwrap().unwrap();
    assert_eq!(leased.len() as u64 + cancelled, 400);
    let stats = api.get("/v1/queues/q/stats").expect(200);
    assert_eq!(stats["cancelled_total"], cancelled);
    assert_eq!(stats["leased"], leased.len());
}

/// I3 I14.
#[test]
fn a_purge_removes_what_it_reports() {
    let (_service, api, _dir) = served();
    enqueue_many(&api, &vec![json!({}); 700]);
    enqueue_many(&api, &vec![json!({"delay_seconds": 60}); 50]);
    let leased = api.lease(r#"{"max_tasks":3}"#);
    api.settle(&leased[0], "ack", "").expect(200);
    api.settle(&leased[1], "nack", r#"{"retry":false}"#).expect(200);
    let purge = |state: &str| {
        let (mut purged, mut requested, mut cursor) = (0, 0, Value::Null);
        loop {
            let state = Some(state).filter(|state| !state.is_empty());
            let body = json!({"state": state, "confirm": "q", "cursor": cursor});
            let page = api.post("/v1/queues/q/purge", &body.to_string()).expect(200);
            purged += page["purged"].as_u64().unwrap();
            requested += page["cancel_requested"].as_u64().unwrap();
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                return (purged, requested);
            }
        }
    };
    assert_eq!(purge("scheduled"), (50, 0));
    assert_eq!(purge("leased"), (0, 1));
    assert_eq!(purge(""), (699, 1));
    let stats = api.get("/v1/queues/q/stats").expect(200);
    for (name, count) in [
        ("ready", 0),
        ("scheduled", 0),
        ("dead", 0),
        ("leased", 1),
        ("purged_total", 748),
    ] {
        assert_eq!(stats[name], count, "{name} of {stats}");
    }
    assert_eq!(
        api.settle(&leased[2], "release", "").expect(200)["state"],
        "cancelled"
    );
}

/// I5 I24.
#[test]
fn a_deleted_queue_is_unknown_to_every_replica_with_all_its_leases() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = [(); 2].map(|()| {
        let service = Service::start(&["--redis-url", &redis.url()]);
        let api = Api::of(&service);
        (service, api)
    });
    a.send(
        "PUT",
        "/v1/queues/q",
        "",
        r#"{"max_attempts":3,"lease_seconds":90}"#,
    )
    .expect(201);
    let tag = a.get("/v1/queues/q");
    let tag = format!("if-match: {}\r\n", tag.header("etag").unwrap());
    b.enqueue("{}");
    let task = a.lease_one();
    let id = b.enqueue("{}");
    a.send("DELETE", "/v1/queues/q", "", "")
        .problem(409, "queue_not_empty");
    let deleted = a.send("DELETE", "/v1/queues/q?confirm=q", "", "").expect(200);
    assert_eq!(deleted, json!({"queue": "q", "tasks": 2}));
    for api in [&a, &b] {
        api.get("/v1/queues/q").problem(404, "queue_unknown");
        api.get(&path(&id, "")).problem(404, "task_unknown");
        api.settle(&task, "ack", "").problem(404, "lease_unknown");
        let listed = api.get("/v1/queues").expect(200);
        assert_eq!(listed["items"], json!([]));
    }
    let waiter = b.waiting("/v1/queues/q/lease", r#"{"wait_seconds":30}"#, 1);
    let new = a.enqueue("{}");
    let leased = tasks(&waiter.join().unwrap().expect(200));
    assert_eq!(each(&leased, "id"), [new]);
    assert_eq!(
        leased[0]["max_attempts"], 5,
        "of the new queue, not of the old one"
    );
    b.enqueue("{}");
    assert_eq!(b.lease_one()["lease_seconds"], 30);
    let late = a.send("PATCH", "/v1/queues/q", &tag, r#"{"max_attempts":9}"#);
    late.problem(412, "version_mismatch");
    assert_eq!(
        a.get("/v1/queues").expect(200)["items"].as_array().unwrap().len(),
        1
    );
}

/// I26: for who waits it is a queue that is not there yet.
#[test]
fn who_waits_for_a_queue_waits_on_when_it_is_deleted() {
    let (_service, api, _dir) = served();
    api.send("PUT", "/v1/queues/q", "", "{}").expect(201);
    let waiter = api.waiting("/v1/queues/q/lease", r#"{"wait_seconds":30}"#, 1);
    api.send("DELETE", "/v1/queues/q", "", "").expect(200);
    api.wait_for_waiters(1);
    let id = api.enqueue("{}");
    assert_eq!(each(&tasks(&waiter.join().unwrap().expect(200)), "id"), [id]);
}

/// I28: what is rare among many is listed in short pages, never by looking at all of them at once.
#[test]
fn a_filtered_list_gives_each_match_once() {
    let (_service, api, _dir) = served();
    let mut all = vec![json!({"name": "many"}); 2_500];
    all.extend(vec![json!({"name": "rare", "group": "acme"}); 30]);
    enqueue_many(&api, &all);
    for filter in ["name=rare", "group=acme", "name=rare&group=acme"] {
        let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
        loop {
            let page = api.get(&format!(
                "/v1/queues/q/tasks?state=ready&limit=7&{filter}{cursor}"
            ));
            let page = page.expect(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 7 && items.iter().all(|task| task["name"] == "rare"));
            for id in each(items, "id") {
                assert!(ids.insert(id), "listed twice");
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(ids.len(), 30, "{filter}");
    }
}

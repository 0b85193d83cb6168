//! Dead letters over HTTP: looked at, exported, replayed, purged; by one caller and by several, to the end
//! and interrupted.

use std::collections::BTreeSet;
use std::io::Read;

use serde_json::{Value, json};

use super::api::{Answer, Api, each, served};
use crate::process::running::{kill, until};
use crate::process::service::Service;
use crate::support::redis::Redis;

const DLQ: &str = "/v1/queues/q/dlq";
const REPLAY: &str = "/v1/queues/q/dlq/replay";
const PURGE: &str = "/v1/queues/q/dlq/purge";
const EXPORT: &str = "/v1/queues/q/dlq/export";

/// Tasks that died at their first attempt with this error; their ids in the order of death.
pub(crate) fn die(api: &Api, bodies: &[String], error: &str) -> Vec<String> {
    for bodies in bodies.chunks(1000) {
        let batch = format!(r#"{{"tasks":[{}]}}"#, bodies.join(","));
        let accepted = api.post("/v1/queues/q/tasks/batch", &batch).expect(200);
        assert_eq!(accepted["accepted"], bodies.len());
    }
    let mut died = Vec::new();
    while died.len() < bodies.len() {
        let leased = api.lease(r#"{"max_tasks":1000,"wait_seconds":0}"#);
        let nack = |task: &Value| {
            let lease_id = task["lease_id"].as_str().unwrap();
            format!(r#"{{"op":"nack","lease_id":"{lease_id}","retry":false,"error":{error}}}"#)
        };
        let nacks: Vec<_> = leased.iter().map(nack).collect();
        let settled = api.post(
            "/v1/leases/batch",
            &format!(r#"{{"operations":[{}]}}"#, nacks.join(",")),
        );
        assert_eq!(settled.status, 200, "{settled:?}");
        died.extend(each(&leased, "id"));
    }
    died
}

fn numbered(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!(r#"{{"payload":{n},"max_attempts":2}}"#))
        .collect()
}

fn stats(api: &Api) -> Value {
    api.get("/v1/queues/q/stats").expect(200)
}

/// Follows the cursors of a call to its end; the answers.
fn to_the_end(api: &Api, path: &str, body: &Value) -> Vec<Value> {
    let mut answers: Vec<Value> = Vec::new();
    loop {
        let mut body = body.clone();
        if let Some(last) = answers.last() {
            body["cursor"] = last["next_cursor"].clone();
        }
        answers.push(api.post(path, &body.to_string()).expect(200));
        if answers.last().unwrap().get("next_cursor").is_none() {
            return answers;
        }
    }
}

fn sum(answers: &[Value], field: &str) -> u64 {
    answers.iter().map(|answer| answer[field].as_u64().unwrap()).sum()
}

/// Payloads of everything that a lease still gives, sorted.
fn payloads(api: &Api) -> Vec<u64> {
    let mut payloads = Vec::new();
    loop {
        let leased = api.lease(r#"{"max_tasks":1000,"wait_seconds":0}"#);
        if leased.is_empty() {
            payloads.sort_unstable();
            return payloads;
        }
        payloads.extend(leased.iter().map(|task| task["payload"].as_u64().unwrap()));
    }
}

#[test]
fn a_dead_letter_tells_why_it_died_and_becomes_a_new_task() {
    let (_service, api, _dir) = served();
    let body = r#"{"name":"welcome","group":"acme","payload":[ 1.10 ],"priority":7,"max_attempts":1,"headers":{"a":"b"}}"#;
    let id = &die(
        &api,
        &[body.to_owned()],
        r#"{"type":"Timeout","message":"no answer"}"#,
    )[0];
    let page = api.get(DLQ).expect(200);
    assert_eq!(page["next_cursor"], Value::Null);
    let dead = api.get(&format!("{DLQ}/{id}"));
    assert!(dead.body.contains(r#""payload":[ 1.10 ],"#), "{}", dead.body);
    let dead = dead.expect(200);
    assert_eq!(page["items"], json!([dead]));
    assert_eq!((&dead["id"], &dead["state"]), (&json!(id), &json!("dead")));
    assert_eq!(
        (&dead["reason"], &dead["died_at"]),
        (&json!("rejected"), &dead["finished_at"])
    );
    assert_eq!(
        dead["last_error"],
        json!({"type": "Timeout", "message": "no answer"})
    );
    assert_eq!(dead["attempts"][0]["number"], 1);

    let replayed = api.post(
        &format!("{DLQ}/{id}/replay"),
        r#"{"max_attempts":3,"priority":50}"#,
    );
    let told = replayed.expect(201);
    assert_eq!(told["replayed_from"], json!(id));
    let new = api.get(replayed.header("location").unwrap()).expect(200);
    assert_eq!((&new["id"], &new["replayed_from"]), (&told["id"], &json!(id)));
    assert_eq!(
        (&new["state"], &new["attempt"], &new["attempts"]),
        (&json!("ready"), &json!(0), &json!([]))
    );
    assert_eq!((&new["max_attempts"], &new["priority"]), (&json!(3), &json!(50)));
    for kept in ["name", "group", "payload", "headers", "lease_seconds"] {
        assert_eq!(new[kept], dead[kept], "{kept}");
    }
    let leased = api.lease_one();
    assert_eq!(
        (&leased["id"], &leased["replayed_from"]),
        (&told["id"], &json!(id))
    );

    // Once is once.
    api.post(&format!("{DLQ}/{id}/replay"), "")
        .problem(404, "task_unknown");
    api.get(&format!("{DLQ}/{id}")).problem(404, "task_unknown");
    api.send("DELETE", &format!("{DLQ}/{id}"), "", "")
        .problem(404, "task_unknown");
    let other = &die(&api, &["{}".to_owned()], r#""e""#)[0];
    let purged = api.send("DELETE", &format!("{DLQ}/{other}"), "", "").expect(200);
    assert_eq!(purged, json!({"id": other, "purged": true}));
    let stats = stats(&api);
    assert_eq!(
        (&stats["replayed_total"], &stats["purged_total"], &stats["dead"]),
        (&json!(1), &json!(1), &json!(0))
    );
}

#[test]
fn dead_letters_are_listed_newest_first_and_by_filters() {
    let (_service, api, _dir) = served();
    let named = |name: &str| vec![format!(r#"{{"name":"{name}","group":"Müller & Co"}}"#); 3];
    let mut ids = die(
        &api,
        &named("a"),
        r#"{"type":"Timeout","message":"no answer from db-7"}"#,
    );
    let between = api.get(&format!("{DLQ}/{}", ids[2])).expect(200)["died_at"].clone();
    ids.extend(die(
        &api,
        &named("b"),
        r#"{"type":"Refused","message":"50% off"}"#,
    ));
    ids.reverse();
    let mut listed = Vec::new();
    let mut path = format!("{DLQ}?limit=2");
    loop {
        let page = api.get(&path).expect(200);
        listed.extend(each(page["items"].as_array().unwrap(), "id"));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("{DLQ}?limit=2&cursor={cursor}");
    }
    // Within one millisecond by id: what died in one batch died at once.
    assert_eq!(listed.len(), 6);
    let set = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        (set(&listed[..3]), set(&listed[3..])),
        (set(&ids[..3]), set(&ids[3..]))
    );
    for (filter, count) in [
        ("name=a", 3),
        ("group=M%C3%BCller+%26+Co", 6),
        ("group=Miller", 0),
        ("reason=rejected", 6),
        ("reason=expired", 0),
        ("error_type=Timeout", 3),
        ("error=50%25+off", 3),
        ("error=DB-7", 0),
        (&format!("died_after={}", between.as_str().unwrap()), 6),
        (&format!("died_before={}", between.as_str().unwrap()), 0),
        ("name=a&error=off", 0),
    ] {
        let page = api.get(&format!("{DLQ}?{filter}")).expect(200);
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{filter}");
    }
}

/// Deliver: dead letters survive a way out and in.
#[test]
fn an_export_is_accepted_again_as_it_is() {
    let (_service, api, _dir) = served();
    let bodies = [
        r#"{"name":"a","payload":{"b":1.10,"a":[],"b":9007199254740993},"priority":3,"group":"g","max_attempts":2,"lease_seconds":1.5,"retry":{"strategy":"linear","base_seconds":7,"jitter":"none"},"expires_in_seconds":600,"headers":{"x":"y"}}"#,
        "{\"payload\":[\n1,\r\n\"two\\nlines\"]}",
        "{}",
    ];
    die(&api, &bodies.map(str::to_owned), r#""e""#);
    let lines = export(&api, "");
    assert_eq!(lines.lines().count(), 3);
    assert!(
        lines.contains(r#""payload":{"b":1.10,"a":[],"b":9007199254740993},"#),
        "{lines}"
    );

    api.post(PURGE, r#"{"confirm":"q"}"#).expect(200);
    let accepted = api.send_as("application/x-ndjson", "/v1/queues/q/tasks/batch", &lines);
    assert_eq!(accepted.expect(200)["accepted"], 3);
    let mut tasks = api.lease(r#"{"max_tasks":9}"#);
    tasks.sort_by_key(|task| task["priority"].as_u64());
    assert_eq!(
        [
            &tasks[0]["name"],
            &tasks[0]["group"],
            &tasks[0]["max_attempts"],
            &tasks[0]["lease_seconds"],
            &tasks[0]["headers"],
        ],
        [
            &json!("a"),
            &json!("g"),
            &json!(2),
            &json!(1.5),
            &json!({"x": "y"})
        ]
    );
    let others: Vec<_> = tasks[1..].iter().map(|task| &task["payload"]).collect();
    assert!(
        others.contains(&&json!([1, "two\nlines"])) && others.contains(&&Value::Null),
        "{others:?}"
    );
    let id = tasks[0]["id"].as_str().unwrap();
    let policy = &api.get(&format!("/v1/queues/q/tasks/{id}")).expect(200)["retry"];
    assert_eq!(
        (&policy["strategy"], &policy["base_seconds"], &policy["jitter"]),
        (&json!("linear"), &json!(7), &json!("none"))
    );
    // Filtered, and of a queue without any.
    assert_eq!(export(&api, "?name=nobody"), "");
}

fn export(api: &Api, query: &str) -> String {
    let mut text = String::new();
    let mut stream = api.open("GET", &format!("{EXPORT}{query}"), "", "");
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: application/x-ndjson"), "{head}");
    unchunked(body)
}

/// A body in chunks, which must end.
fn unchunked(body: &str) -> String {
    let (mut rest, mut text) = (body, String::new());
    loop {
        let (size, more) = rest.split_once("\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return text;
        }
        text.push_str(&more[..size]);
        rest = &more[size + 2..];
    }
}

/// A stream that the store broke off must not look like all there is.
#[test]
fn an_export_that_the_store_breaks_off_does_not_look_whole() {
    let mut redis = Redis::start();
    let service = Service::start(&["--redis-url", &redis.url()]);
    let api = Api::of(&service);
    // More than sockets hold, so that the service is in the midst of it while nobody reads.
    let padding = "x".repeat(100_000);
    let bodies: Vec<_> = (0..400)
        .map(|n| format!(r#"{{"payload":"{n} {padding}"}}"#))
        .collect();
    for bodies in bodies.chunks(50) {
        die(&api, bodies, r#""e""#);
    }
    let mut export = api.open("GET", EXPORT, "", "");
    let mut first = [0; 1000];
    export.read_exact(&mut first).unwrap();
    redis.kill();
    let mut rest = Vec::new();
    let ended = export.read_to_end(&mut rest);
    let whole = ended.is_ok() && rest.ends_with(b"0\r\n\r\n");
    assert!(!whole, "it ends as if it were whole");
    assert!(rest.len() < 400 * padding.len(), "the store was still there");
    api.get(EXPORT).problem(503, "store_unavailable");
}

#[test]
fn a_replay_of_many_follows_its_cursor_and_its_limits() {
    let (_service, api, _dir) = served();
    die(&api, &numbered(2100), r#""e""#);
    let dry = to_the_end(&api, REPLAY, &json!({"dry_run": true}));
    assert_eq!((sum(&dry, "matched"), sum(&dry, "replayed")), (2100, 0));
    assert_eq!(stats(&api)["dead"], 2100);
    let some = api.post(REPLAY, r#"{"limit":150}"#).expect(200);
    assert_eq!(
        (&some["matched"], &some["replayed"], &some["skipped"]),
        (&json!(150), &json!(150), &json!(0))
    );
    let rest = to_the_end(&api, REPLAY, &json!({"max_attempts": 3}));
    assert_eq!(sum(&rest, "replayed"), 1950);
    assert!(
        rest.iter()
            .all(|answer| answer["matched"].as_u64().unwrap() <= 1000)
    );
    assert_eq!(payloads(&api), (0..2100).collect::<Vec<_>>());
    let stats = stats(&api);
    assert_eq!(
        (&stats["replayed_total"], &stats["dead"]),
        (&json!(2100), &json!(0))
    );
}

/// A task that dies again during the work is left alone, so the work comes to an end.
#[test]
fn work_that_goes_on_by_cursors_handles_what_was_dead_when_it_began() {
    let (_service, api, _dir) = served();
    die(&api, &numbered(3), r#""e""#);
    let first = api.post(REPLAY, r#"{"limit":2}"#).expect(200);
    let again = api.lease(r#"{"max_tasks":9}"#);
    assert_eq!(again.len(), 2);
    for task in &again {
        api.settle(task, "nack", r#"{"retry":false}"#).expect(200);
    }
    let cursor = json!({"cursor": first["next_cursor"]});
    let rest = to_the_end(&api, REPLAY, &cursor);
    assert_eq!(sum(&rest, "replayed"), 1);
    assert_eq!(stats(&api)["dead"], 2);
}

/// I19
#[test]
fn a_rate_spreads_the_tasks_also_over_calls() {
    let (_service, api, _dir) = served();
    die(&api, &numbered(30), r#""e""#);
    let body = json!({"limit": 10, "rate_per_second": 2, "delay_seconds": 60});
    let answers = to_the_end(&api, REPLAY, &body);
    assert_eq!((answers.len(), sum(&answers, "replayed")), (3, 30));
    let page = api
        .get("/v1/queues/q/tasks?state=scheduled&limit=100")
        .expect(200);
    let due: Vec<u64> = each(page["items"].as_array().unwrap(), "run_at")
        .iter()
        .map(|at| leaseq::domain::Millis::parse(at).unwrap().get())
        .collect();
    assert_eq!(due.len(), 30);
    let gaps: Vec<u64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [500; 29]);
}

/// I14: two callers at once lose nothing and double nothing.
#[test]
fn two_replays_at_once_move_each_entry_once() {
    let (_service, api, _dir) = served();
    die(&api, &numbered(2000), r#""e""#);
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| to_the_end(&api, REPLAY, &json!({}))))
            .collect();
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect()
    });
    assert_eq!(sum(&answers, "replayed"), 2000);
    assert_eq!(sum(&answers, "matched"), 2000 + sum(&answers, "skipped"));
    assert_eq!(payloads(&api), (0..2000).collect::<Vec<_>>());
    assert_eq!(stats(&api)["replayed_total"], 2000);
}

/// I1 I14: wherever a service is killed, the same again goes on with what is left.
#[test]
fn a_replay_that_is_killed_midway_loses_and_doubles_nothing() {
    let (mut service, api, dir) = served();
    die(&api, &numbered(1000), r#""e""#);
    let _unanswered = api.open("POST", REPLAY, "", "{}");
    until("a first replay", || {
        (stats(&api)["replayed_total"] != 0).then_some(())
    });
    kill(service.process.id(), "-KILL");
    service.process.wait().unwrap();
    let service = Service::on(dir.path());
    let api = Api::of(&service);
    let before = stats(&api);
    let rest = to_the_end(&api, REPLAY, &json!({}));
    assert_eq!(
        sum(&rest, "replayed") + before["replayed_total"].as_u64().unwrap(),
        1000
    );
    assert_eq!(payloads(&api), (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_purge_wants_a_filter_or_the_queues_name() {
    let (_service, api, _dir) = served();
    die(&api, &numbered(3), r#""e""#);
    die(&api, &[r#"{"name":"other"}"#.to_owned()], r#""e""#);
    for body in [
        "{}",
        r#"{"filter":{}}"#,
        r#"{"confirm":"Q"}"#,
        r#"{"filter":{"name":"other"},"confirm":"p"}"#,
    ] {
        api.post(PURGE, body).problem(400, "confirmation_required");
    }
    let counted = api.post(PURGE, r#"{"dry_run":true}"#).expect(200);
    assert_eq!(counted, json!({"matched": 4, "purged": 0}));
    let other = api.post(PURGE, r#"{"filter":{"name":"other"}}"#).expect(200);
    assert_eq!(other, json!({"matched": 1, "purged": 1}));
    let all = api.post(PURGE, r#"{"confirm":"q"}"#).expect(200);
    assert_eq!(all, json!({"matched": 3, "purged": 3}));
    let stats = stats(&api);
    assert_eq!(
        (&stats["dead"], &stats["purged_total"], &stats["accepted_total"]),
        (&json!(0), &json!(4), &json!(4))
    );
}

#[test]
fn bad_input_is_named_and_nothing_is_done() {
    let (_service, api, _dir) = served();
    let id = &die(&api, &numbered(1), r#""e""#)[0];
    let one = format!("{DLQ}/{id}/replay");
    let long = format!(r#"{{"filter":{{"error":"{}"}}}}"#, "x".repeat(257));
    for (path, body, pointer) in [
        (&*one, r#"{"max_attempts":0}"#, "/max_attempts"),
        (&one, r#"{"max_attempts":1001}"#, "/max_attempts"),
        (&one, r#"{"delay_seconds":-1}"#, "/delay_seconds"),
        (&one, r#"{"delay_seconds":31536001}"#, "/delay_seconds"),
        (&one, r#"{"priority":1001}"#, "/priority"),
        (&one, r#"{"filter":{}}"#, "/filter"),
        (&one, r#"{"run_at":"2027-01-15T08:00:00Z"}"#, "/run_at"),
        (REPLAY, r#"{"filter":[]}"#, "/filter"),
        (REPLAY, r#"{"filter":{"nmae":"a"}}"#, "/filter/nmae"),
        (REPLAY, r#"{"filter":{"name":"a b"}}"#, "/filter/name"),
        (REPLAY, r#"{"filter":{"group":""}}"#, "/filter/group"),
        (REPLAY, r#"{"filter":{"reason":"failed"}}"#, "/filter/reason"),
        (REPLAY, r#"{"filter":{"error_type":""}}"#, "/filter/error_type"),
        (REPLAY, &long, "/filter/error"),
        (
            REPLAY,
            r#"{"filter":{"died_after":"yesterday"}}"#,
            "/filter/died_after",
        ),
        (
            REPLAY,
            r#"{"filter":{"died_after":"2027-01-15T08:00:00Z","died_before":"2027-01-15T08:00:00Z"}}"#,
            "/filter/died_before",
        ),
        (REPLAY, r#"{"limit":0}"#, "/limit"),
        (REPLAY, r#"{"limit":1001}"#, "/limit"),
        (REPLAY, r#"{"rate_per_second":0}"#, "/rate_per_second"),
        (REPLAY, r#"{"rate_per_second":"fast"}"#, "/rate_per_second"),
        (
            REPLAY,
            r#"{"rate_per_second":0.001,"delay_seconds":31535999}"#,
            "/rate_per_second",
        ),
        (REPLAY, r#"{"cursor":"x"}"#, "/cursor"),
        (REPLAY, r#"{"confirm":"q"}"#, "/confirm"),
        (PURGE, r#"{"confirm":"q","limit":1001}"#, "/limit"),
        (PURGE, r#"{"confirm":"q","max_attempts":1}"#, "/max_attempts"),
        (PURGE, r#"{"confirm":"q","cursor":"eA"}"#, "/cursor"),
    ] {
        let problem = api.post(path, body).problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    for (query, pointer) in [
        ("limit=501", "query:limit"),
        ("cursor=x", "query:cursor"),
        ("reason=failed", "query:reason"),
        ("error=", "query:error"),
        ("sort=name", "query:sort"),
        ("died_after=now", "query:died_after"),
        (
            "died_after=2027-01-15T08:00:00Z&died_before=2027-01-15T07:00:00Z",
            "query:died_before",
        ),
    ] {
        let problem = api
            .get(&format!("{DLQ}?{query}"))
            .problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}");
    }
    // A page's cursor is none of a bulk call, and the other way round.
    die(&api, &numbered(1), r#""e""#);
    let page = api.get(&format!("{DLQ}?limit=1")).expect(200)["next_cursor"].clone();
    let bulk = api.post(REPLAY, r#"{"limit":1,"dry_run":true}"#).expect(200)["next_cursor"].clone();
    api.post(REPLAY, &json!({"cursor": page}).to_string())
        .problem(422, "validation_failed");
    let path = format!("{DLQ}?cursor={}", bulk.as_str().unwrap());
    api.get(&path).problem(422, "validation_failed");

    api.get("/v1/queues/nobody/dlq").problem(404, "queue_unknown");
    api.get("/v1/queues/nobody/dlq/export")
        .problem(404, "queue_unknown");
    api.post("/v1/queues/nobody/dlq/replay", "{}")
        .problem(404, "queue_unknown");
    api.post("/v1/queues/nobody/dlq/purge", r#"{"confirm":"nobody"}"#)
        .problem(404, "queue_unknown");
    api.get(&format!("{DLQ}/no-id")).problem(404, "task_unknown");
    api.send("DELETE", REPLAY, "", "")
        .problem(405, "method_not_allowed");
    let large = format!(r#"{{"payload":"{}"}}"#, "x".repeat(1 << 20));
    api.post(&one, &large).problem(413, "payload_too_large");
    let stats = stats(&api);
    assert_eq!(
        (&stats["dead"], &stats["replayed_total"], &stats["purged_total"]),
        (&json!(2), &json!(0), &json!(0))
    );
}

/// I26: a worker that waits gets a replayed task at once; one that is due later, when it is due.
#[test]
fn a_waiting_worker_gets_what_is_replayed() {
    let (_service, api, _dir) = served();
    let ids = die(&api, &numbered(2), r#""e""#);
    for (id, body) in [(&ids[0], "{}"), (&ids[1], r#"{"delay_seconds":0.2}"#)] {
        let waiter = api.waiting("/v1/queues/q/lease", r#"{"wait_seconds":15}"#, 1);
        let replayed = api.post(&format!("{DLQ}/{id}/replay"), body).expect(201);
        let leased: Answer = waiter.join().unwrap();
        assert_eq!(leased.expect(200)["tasks"][0]["id"], replayed["id"]);
    }
}

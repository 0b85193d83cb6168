//! Pause and resume over HTTP: what stops, what goes on, and who is woken when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leaseq::domain::Millis;
use serde_json::{Value, json};

use super::api::{Api, each, served, tasks};
use super::replicas::replicas;
use crate::process::running::until;
use crate::support::redis::Redis;

fn pause(api: &Api, body: &str) -> Value {
    api.post("/v1/queues/q/pause", body).expect(200)
}

fn resume(api: &Api) -> Value {
    api.post("/v1/queues/q/resume", "").expect(200)
}

fn from_now(ms: u64) -> String {
    Millis::local().plus(ms).to_string()
}

fn empty(api: &Api, path: &str, body: &str) -> (String, Option<f64>) {
    let answer = api.post(path, body).expect(200);
    assert!(tasks(&answer).is_empty(), "{answer}");
    (
        answer["reason"].as_str().unwrap().to_owned(),
        answer["retry_after_seconds"].as_f64(),
    )
}

/// Without a notification, waiters look each second.
const ONLY_NOTIFIED: Duration = Duration::from_millis(500);

/// I23.
#[test]
fn after_a_pause_was_answered_no_replica_grants_anything_until_the_queue_is_resumed() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = replicas(&redis);
    let first = a.enqueue("{}");
    let leased = b.lease_one();
    assert_eq!(leased["id"], first);
    let second = a.enqueue("{}");
    let before = a.task(&second)["ready_at"].clone();

    let answer = pause(&a, r#"{"reason":"the provider is down"}"#);
    let paused = &answer["paused"];
    assert_eq!(
        (&answer["queue"], &paused["mode"], &paused["reason"]),
        (&"q".into(), &"lease".into(), &"the provider is down".into())
    );
    assert_eq!(paused["until"], Value::Null);
    for api in [&a, &b] {
        assert_eq!(
            empty(api, "/v1/queues/q/lease", r#"{"wait_seconds":0}"#),
            ("paused".to_owned(), None)
        );
        let shown = api.get("/v1/queues/q").expect(200);
        assert_eq!(shown["paused"], *paused);
        let stats = api.get("/v1/queues/q/stats").expect(200);
        assert_eq!(stats["paused"], true);
    }
    let third = b.enqueue("{}");
    let settled = b.post(
        "/v1/queues/q/lease",
        &json!({"wait_seconds": 0, "settle": [{"op": "ack", "lease_id": leased["lease_id"]}]}).to_string(),
    );
    let settled = settled.expect(200);
    assert_eq!(
        (&settled["settled"][0]["state"], &settled["reason"]),
        (&"completed".into(), &"paused".into())
    );

    let answer = resume(&b);
    assert_eq!(answer, json!({"queue": "q", "paused": null}));
    assert_eq!(resume(&a), answer, "a repeat changes nothing");
    let got = a.lease(r#"{"max_tasks":9}"#);
    assert_eq!(each(&got, "id"), [second, third]);
    assert_eq!(got[0]["ready_at"], before);
}

/// I23: whatever is on its way meanwhile. By Redis's clock, since an answer may overtake another on the wire.
#[test]
fn no_grant_is_later_than_the_pause_however_many_ask_at_once() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = replicas(&redis);
    a.send("PUT", "/v1/queues/q", "", "{}").expect(201);
    for _ in 0..3 {
        let batch = json!({"tasks": vec![json!({}); 1_000]}).to_string();
        a.post("/v1/queues/q/tasks/batch", &batch).expect(200);
        let stop = Arc::new(AtomicBool::new(false));
        let workers: Vec<_> = [&a, &b, &a, &b]
            .into_iter()
            .map(|api| {
                let (api, stop) = (api.clone(), stop.clone());
                std::thread::spawn(move || {
                    let mut granted = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        granted.extend(api.lease(r#"{"wait_seconds":0,"max_tasks":3}"#));
                    }
                    granted
                })
            })
            .collect();
        until("the first grants", || {
            let leased = b.get("/v1/queues/q/stats").expect(200)["leased"].clone();
            leased.as_u64().is_some_and(|leased| leased > 20).then_some(())
        });
        let paused = pause(&a, "")["paused"]["since"].clone();
        let leased = || b.get("/v1/queues/q/stats").expect(200)["leased"].clone();
        let then = leased();
        for _ in 0..20 {
            assert!(b.lease(r#"{"wait_seconds":0}"#).is_empty());
        }
        assert_eq!(leased(), then);
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            for task in worker.join().unwrap() {
                let granted = task["server_time"].as_str().unwrap();
                assert!(granted <= paused.as_str().unwrap(), "{granted} after {paused}");
            }
        }
        resume(&b);
        a.post("/v1/queues/q/purge", r#"{"confirm":"q"}"#).expect(200);
    }
}

/// I26.
#[test]
fn a_resume_wakes_those_who_wait_through_any_replica() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = replicas(&redis);
    a.send("PUT", "/v1/queues/q", "", "{}").expect(201);
    for (path, body) in [
        ("/v1/queues/q/lease", r#"{"wait_seconds":30}"#),
        ("/v1/lease", r#"{"queues":["p","q"],"wait_seconds":30}"#),
    ] {
        let mut times = [(); 3].map(|()| {
            pause(&a, "");
            let id = a.enqueue("{}");
            let waiter = b.waiting(path, body, 1);
            let start = Instant::now();
            resume(&a);
            let leased = tasks(&waiter.join().unwrap().expect(200));
            let time = start.elapsed();
            assert_eq!(each(&leased, "id"), [id]);
            b.wait_for_waiters(0);
            time
        });
        times.sort();
        assert!(times[1] < ONLY_NOTIFIED, "{times:?}");
    }
}

/// I19 I26: nobody says that it is over, and nobody polls for it.
#[test]
fn those_who_wait_get_their_tasks_when_a_pause_ends_by_itself() {
    let (_service, api, _dir) = served();
    let mut late = [(); 3].map(|()| {
        let id = api.enqueue("{}");
        let until = Millis::local().plus(1_300);
        pause(&api, &format!(r#"{{"mode":"both","until":"{until}"}}"#));
        let one = api.waiting("/v1/queues/q/lease", r#"{"wait_seconds":30}"#, 1);
        let leased = tasks(&one.join().unwrap().expect(200));
        let late = Millis::local().since(until);
        assert_eq!(each(&leased, "id"), [id]);
        let granted = Millis::parse(leased[0]["server_time"].as_str().unwrap()).unwrap();
        assert!(granted >= until, "never early");
        assert_eq!(api.get("/v1/queues/q").expect(200)["paused"], Value::Null);
        late
    });
    late.sort_unstable();
    assert!(late[1] < 400, "{late:?} ms late");
}

#[test]
fn an_empty_lease_says_that_its_queue_is_paused_and_when_that_ends() {
    let (_service, api, _dir) = served();
    api.enqueue("{}");
    pause(&api, &format!(r#"{{"until":"{}"}}"#, from_now(60_000)));
    for body in [r#"{"wait_seconds":0}"#, r#"{"wait_seconds":0.05}"#] {
        let (reason, after) = empty(&api, "/v1/queues/q/lease", body);
        assert_eq!(reason, "paused");
        assert!((55.0..=60.0).contains(&after.unwrap()), "{after:?}");
    }
    let many = r#"{"queues":["p","q"],"wait_seconds":0}"#;
    assert_eq!(
        empty(&api, "/v1/lease", many).0,
        "paused",
        "it frees at a known time"
    );
    pause(&api, "");
    assert_eq!(
        empty(&api, "/v1/lease", many).0,
        "empty",
        "the other may get a task at any time"
    );
    assert_eq!(
        empty(&api, "/v1/lease", r#"{"queues":["q"],"wait_seconds":0}"#).0,
        "paused"
    );
    // While the wait lasts it may change why.
    let waiter = api.waiting("/v1/queues/q/lease", r#"{"wait_seconds":3,"names":["x"]}"#, 1);
    resume(&api);
    assert_eq!(waiter.join().unwrap().expect(200)["reason"], "empty");
}

#[test]
fn a_task_of_a_paused_queue_says_so() {
    let (_service, api, _dir) = served();
    let ready = api.enqueue("{}");
    let scheduled = api.enqueue(r#"{"delay_seconds":3600}"#);
    let reasons = |id: &str| api.task(id)["waiting"]["reasons"].clone();
    pause(&api, "");
    assert_eq!(reasons(&ready), json!([{"reason": "paused", "of": "queue"}]));
    assert_eq!(reasons(&scheduled)[1], json!({"reason": "paused", "of": "queue"}));
    let until = from_now(60_000);
    pause(&api, &format!(r#"{{"until":"{until}"}}"#));
    assert_eq!(
        reasons(&ready),
        json!([{"reason": "paused", "until": until, "of": "queue"}])
    );
    assert_eq!(
        reasons(&scheduled).as_array().unwrap().len(),
        1,
        "it is over before the task is due"
    );
    pause(&api, r#"{"mode":"enqueue"}"#);
    assert_eq!(reasons(&ready)[0]["reason"], "no_worker");
}

/// I29: what producers are told, and that nothing of it is stored.
#[test]
fn a_queue_that_is_paused_for_producers_refuses_new_tasks_and_nothing_else() {
    let (_service, api, _dir) = served();
    let keyed = |key: &str, path: &str, body: &str| {
        let header = format!("idempotency-key: {key}\r\n");
        api.send("POST", path, &header, body)
    };
    let first = keyed("k", "/v1/queues/q/tasks", "{}").expect(201)["id"].clone();
    api.enqueue(r#"{"max_attempts":1}"#);
    api.settle(&api.lease_one(), "nack", r#"{"retry":false}"#)
        .expect(200);
    let dead = api.get("/v1/queues/q/dlq").expect(200)["items"][0]["id"].clone();
    let scheduled = api.enqueue(r#"{"delay_seconds":60}"#);
    pause(&api, r#"{"mode":"enqueue"}"#);

    let refused = api.post("/v1/queues/q/tasks", "{}");
    refused.problem(409, "queue_paused");
    assert_eq!(refused.header("retry-after"), None, "nobody has said when");
    pause(
        &api,
        &format!(r#"{{"mode":"enqueue","until":"{}"}}"#, from_now(60_000)),
    );
    let refused = api.post("/v1/queues/q/tasks", "{}");
    let problem = refused.problem(409, "queue_paused");
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((55..=61).contains(&seconds), "{seconds}");
    assert_eq!(problem["retry_after_seconds"], seconds);
    for body in [
        r#"{"tasks":[{},{}]}"#,
        r#"{"tasks":[{},{"unique":{"key":"u"}}],"atomic":true}"#,
    ] {
        let refused = api.post("/v1/queues/q/tasks/batch", body);
        refused.problem(409, "queue_paused");
        assert!(refused.header("retry-after").is_some());
    }
    let mixed = api.post("/v1/queues/q/tasks/batch", r#"{"tasks":[{},{"priority":-1}]}"#);
    let mixed = mixed.expect(200);
    let codes: Vec<_> = mixed["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["error"]["code"])
        .collect();
    assert_eq!(codes, ["queue_paused", "validation_failed"]);
    assert!(mixed["results"][0]["error"]["retry_after_seconds"].is_u64());

    let repeated = keyed("k", "/v1/queues/q/tasks", "{}");
    assert_eq!(
        repeated.expect(201)["id"],
        first,
        "it was accepted before the pause"
    );
    let stats = api.get("/v1/queues/q/stats").expect(200);
    assert_eq!(
        (&stats["accepted_total"], &stats["ready"], &stats["scheduled"]),
        (&3.into(), &1.into(), &1.into())
    );

    // Operators and workers go on.
    let path = format!("/v1/queues/q/dlq/{}/replay", dead.as_str().unwrap());
    api.post(&path, "").expect(201);
    api.post(&format!("/v1/queues/q/tasks/{scheduled}/run-now"), "")
        .expect(200);
    assert_eq!(api.lease(r#"{"max_tasks":9}"#).len(), 3);
    resume(&api);
    api.enqueue("{}");
}

#[test]
fn a_pause_that_makes_no_sense_is_refused_by_name() {
    let (_service, api, _dir) = served();
    for verb in ["pause", "resume"] {
        let path = format!("/v1/queues/q/{verb}");
        api.post(&path, "").problem(404, "queue_unknown");
    }
    api.enqueue("{}");
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(257));
    for (body, pointer) in [
        (r#"{"mode":"leases"}"#, "/mode"),
        (r#"{"mode":1}"#, "/mode"),
        (r#"{"until":"2020-01-01T00:00:00Z"}"#, "/until"),
        (r#"{"until":"1970-01-01T00:00:00Z"}"#, "/until"),
        (r#"{"until":"2126-01-01T00:00:00Z"}"#, "/until"),
        (r#"{"until":60}"#, "/until"),
        (r#"{"reason":"a\nb"}"#, "/reason"),
        (long.as_str(), "/reason"),
        (r#"{"for_seconds":1}"#, "/for_seconds"),
    ] {
        let problem = api
            .post("/v1/queues/q/pause", body)
            .problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    api.post("/v1/queues/q/pause", "[").problem(400, "malformed_json");
    assert_eq!(api.get("/v1/queues/q").expect(200)["paused"], Value::Null);
    api.lease_one();
}

/// A pause is no setting: who changes the config changes no pause, and the other way about.
#[test]
fn a_pause_outlives_changes_of_the_config_and_changes_none() {
    let (_service, api, _dir) = served();
    api.enqueue("{}");
    let version = api.get("/v1/queues/q").expect(200)["version"].clone();
    pause(&api, "");
    assert_eq!(api.get("/v1/queues/q").expect(200)["version"], version);
    api.send("PUT", "/v1/queues/q", "", r#"{"max_attempts":3}"#)
        .expect(200);
    let shown = api.get("/v1/queues/q").expect(200);
    assert_eq!(shown["paused"]["mode"], "lease");
    assert_eq!(
        empty(&api, "/v1/queues/q/lease", r#"{"wait_seconds":0}"#).0,
        "paused"
    );
}

//! Unique tasks: one for each key, whoever asks for it, and everybody told of the same.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::api::{Answer, Api, each, served};
use super::dead_letters::die;
use crate::process::running::until;
use crate::process::service::Service;
use crate::support::audit::assert_sound;
use crate::support::redis::Redis;

const TASKS: &str = "/v1/queues/q/tasks";
const BATCH: &str = "/v1/queues/q/tasks/batch";

/// I15: the pattern behind it: the first caller's work, and its result for all others.
#[test]
fn a_duplicate_is_answered_with_the_first_task_its_state_and_its_result() {
    let (_service, api, _dir) = served();
    let charge = r#"{"payload":{"order":1},"unique":{"key":"charge:1"}}"#;
    let first = api.post(TASKS, charge).expect(201);
    assert_eq!(first["duplicate"], false);
    let again = api.post(TASKS, charge);
    let told = again.expect(200);
    assert_eq!(
        (&told["id"], &told["state"], &told["duplicate"]),
        (&first["id"], &json!("ready"), &json!(true))
    );
    assert_eq!(told.get("result"), None);
    let path = format!("/v1/queues/q/tasks/{}", first["id"].as_str().unwrap());
    assert_eq!(again.header("location"), Some(&*path));

    let held = api.lease_one();
    assert_eq!(held["unique_key"], "charge:1");
    assert_eq!(api.post(TASKS, charge).expect(200)["state"], "leased");
    let receipt = r#"{"receipt":9007199254740993,"lines":[]}"#;
    api.settle(&held, "ack", &format!(r#"{{"result":{receipt}}}"#))
        .expect(200);
    let told = api.post(TASKS, charge);
    assert_eq!(told.expect(200)["state"], "completed");
    assert!(
        told.body.contains(&format!(r#""result":{receipt}"#)),
        "{}",
        told.body
    );
    assert_eq!(api.get(&path).expect(200)["unique_key"], "charge:1");
    let stats = api.get("/v1/queues/q/stats").expect(200);
    assert_eq!(
        (&stats["accepted_total"], &stats["duplicates_total"]),
        (&json!(1), &json!(3))
    );
}

/// I16.
#[test]
fn a_duplicate_may_be_refused_and_leaves_nothing() {
    let (_service, api, _dir) = served();
    let id = api.enqueue(r#"{"unique":{"key":"k","scope":"until_finished"}}"#);
    let reject = r#"{"payload":2,"unique":{"key":"k","on_duplicate":"reject"}}"#;
    let problem = api.post(TASKS, reject).problem(409, "duplicate_task");
    assert!(problem["detail"].as_str().unwrap().contains(&id), "{problem}");
    let held = api.lease_one();
    api.settle(&held, "ack", "").expect(200);
    assert_eq!(api.post(TASKS, reject).expect(201)["duplicate"], false);
}

#[test]
fn a_task_that_waits_may_be_replaced() {
    let (_service, api, _dir) = served();
    let first = api.enqueue(r#"{"payload":1,"name":"mail","unique":{"key":"k"}}"#);
    let replace = r#"{"payload":2,"name":"fax","priority":50,"unique":{"key":"k","on_duplicate":"replace"}}"#;
    let told = api.post(TASKS, replace).expect(200);
    assert_eq!(
        (&told["id"], &told["duplicate"], &told["replaced"]),
        (&json!(first), &json!(true), &json!(true))
    );
    let task = api.task(&first);
    assert_eq!(
        (&task["payload"], &task["name"], &task["priority"]),
        (&json!(2), &json!("fax"), &json!(50))
    );
    assert_eq!(api.lease_one()["payload"], 2);
    let told = api.post(TASKS, &replace.replace('2', "3")).expect(200);
    assert_eq!(
        (&told["duplicate"], told.get("replaced")),
        (&json!(true), None),
        "somebody has it"
    );
    assert_eq!(api.task(&first)["payload"], 2);
}

/// I15, in one request; I5 for an atomic one.
#[test]
fn of_two_with_one_key_in_a_batch_the_first_is_made() {
    let (_service, api, _dir) = served();
    let batch = r#"{"tasks":[{"unique":{"key":"a"}},{"unique":{"key":"a"}},{},
        {"unique":{"key":"a","on_duplicate":"reject"}},{"unique":{"key":""}}]}"#;
    let told = api.post(BATCH, batch).expect(200);
    assert_eq!(
        [&told["accepted"], &told["duplicates"], &told["rejected"]],
        [&json!(2), &json!(1), &json!(2)]
    );
    let results = told["results"].as_array().unwrap();
    assert_eq!(results[0]["id"], results[1]["id"]);
    assert_eq!(each(&results[..3], "duplicate"), ["false", "true", "false"]);
    assert_eq!(results[3]["error"]["code"], "duplicate_task");
    assert_eq!(results[4]["error"]["errors"][0]["pointer"], "/tasks/4/unique/key");

    let atomic = r#"{"atomic":true,"tasks":[{},{"unique":{"key":"b"}},{"unique":{"key":"a","on_duplicate":"reject"}}]}"#;
    let problem = api.post(BATCH, atomic).problem(409, "duplicate_task");
    assert_eq!(problem["errors"][0]["pointer"], "/tasks/2/unique/key");
    assert_eq!(api.get("/v1/queues/q/stats").expect(200)["accepted_total"], 2);
    let told = api.post(BATCH, &atomic.replace("reject", "return")).expect(200);
    assert_eq!([&told["accepted"], &told["duplicates"]], [&json!(2), &json!(1)]);
}

#[test]
fn what_is_wrong_with_a_key_is_named_and_nothing_is_stored() {
    let (_service, api, _dir) = served();
    for (unique, pointer) in [
        (r#""k""#, "/unique"),
        ("{}", "/unique/key"),
        (r#"{"key":7}"#, "/unique/key"),
        (r#"{"key":"k","ttl_seconds":0}"#, "/unique/ttl_seconds"),
        (r#"{"key":"k","ttl_seconds":31536001}"#, "/unique/ttl_seconds"),
        (
            r#"{"key":"k","scope":"until_finished","ttl_seconds":5}"#,
            "/unique/ttl_seconds",
        ),
        (r#"{"key":"k","scope":"forever"}"#, "/unique/scope"),
        (r#"{"key":"k","on_duplicate":"merge"}"#, "/unique/on_duplicate"),
        (r#"{"key":"k","on_duplikate":"reject"}"#, "/unique/on_duplikate"),
    ] {
        let problem = api
            .post(TASKS, &format!(r#"{{"unique":{unique}}}"#))
            .problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{unique}");
    }
    api.get("/v1/queues/q").problem(404, "queue_unknown");
}

/// Asks until the service has an answer, as a caller does who wants to know.
pub(super) fn answered(api: &Api, ask: impl Fn(&Api) -> Option<Answer>) -> Answer {
    until("an answer", || ask(api).filter(|answer| answer.status < 500))
}

/// The responses for a hundred callers that ask at once through two replicas, while Redis is killed and
/// restarted.
pub(super) fn a_hundred_callers_and_a_restart(
    ask: impl Fn(&Api) -> Option<Answer> + Sync,
) -> (Vec<Answer>, Value) {
    let mut redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let replicas = [(); 2].map(|()| Service::start(&["--redis-url", &redis.url()]));
    let apis = [Api::of(&replicas[0]), Api::of(&replicas[1])];
    let done = AtomicUsize::new(0);
    let answers = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..100)
            .map(|n: usize| {
                let (api, ask, done) = (&apis[n % 2], &ask, &done);
                scope.spawn(move || {
                    // The others come when Redis has gone once.
                    if n >= 50 {
                        until("the first", || (done.load(Ordering::Relaxed) >= 10).then_some(()));
                    }
                    let answer = answered(api, ask);
                    done.fetch_add(1, Ordering::Relaxed);
                    answer
                })
            })
            .collect();
        until("the first", || (done.load(Ordering::Relaxed) >= 10).then_some(()));
        redis.kill();
        redis.start_again();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let stats = until("it serves", || {
        let answer = apis[0].get("/v1/queues/q/stats");
        (answer.status == 200).then(|| answer.expect(200))
    });
    assert_sound(&redis, "q");
    (answers, stats)
}

/// I15: a replay takes the key along, unless another task has it by now.
#[test]
fn a_dead_letter_whose_key_another_task_holds_is_not_replayed() {
    let (_service, api, _dir) = served();
    let body = r#"{"unique":{"key":"k","scope":"until_finished"}}"#.to_owned();
    let dead = die(&api, std::slice::from_ref(&body), r#""e""#).remove(0);
    let holder = api.enqueue(&body);
    let one = format!("/v1/queues/q/dlq/{dead}/replay");
    let refused = api.post(&one, "").problem(409, "duplicate_task");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains(&holder), "{detail}");
    let told = api.post("/v1/queues/q/dlq/replay", "{}").expect(200);
    assert_eq!(
        (&told["matched"], &told["replayed"], &told["skipped"]),
        (&json!(1), &json!(0), &json!(1))
    );
    api.get(&format!("/v1/queues/q/dlq/{dead}")).expect(200);

    // A cancel frees it.
    api.post(&format!("/v1/queues/q/tasks/{holder}/cancel"), "")
        .expect(200);
    let new = api.post(&one, "").expect(201)["id"].clone();
    assert_eq!(api.post(TASKS, &body).expect(200)["id"], new);
}

/// I15.
#[test]
fn a_hundred_callers_with_one_key_make_one_task_also_while_redis_restarts() {
    let body = r#"{"payload":1,"unique":{"key":"k","scope":"until_finished"}}"#;
    let (answers, stats) = a_hundred_callers_and_a_restart(|api| api.try_post(TASKS, body));
    let ids: BTreeSet<String> = answers
        .iter()
        .map(|answer| answer.expect(answer.status)["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(made <= 1, "{made} were told that theirs is the first");
    assert_eq!(stats["accepted_total"], 1);
}

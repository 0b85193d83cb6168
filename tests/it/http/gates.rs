//! Gates as clients meet them: weights, limits, holds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::{Api, each, served, tasks};

const QUEUE: &str = "/v1/queues/q";
const LEASE: &str = "/v1/queues/q/lease";

fn configure(api: &Api, config: &Value) -> Value {
    api.send("PUT", QUEUE, "", &config.to_string()).expect(201)
}

fn enqueue(api: &Api, count: usize, body: &str) {
    for _ in 0..count {
        api.enqueue(body);
    }
}

/// An answer without tasks, at once: why, and when to come again.
fn in_vain(api: &Api, body: &str) -> (String, Option<f64>) {
    let answer = api.post(LEASE, body).expect(200);
    assert!(tasks(&answer).is_empty(), "{answer}");
    let reason = answer["reason"].as_str().expect("an empty answer has a reason");
    (reason.to_owned(), answer["retry_after_seconds"].as_f64())
}

const AT_ONCE: &str = r#"{"max_tasks":9,"wait_seconds":0}"#;

#[test]
fn groups_have_turns_by_their_weight() {
    let (_service, api, _dir) = served();
    let told = configure(&api, &json!({"group_weights": {"big": 3}}));
    assert_eq!(told["config"]["group_weights"], json!({"big": 3.0}));
    for group in ["big", "small"] {
        enqueue(&api, 8, &format!(r#"{{"group":"{group}"}}"#));
    }
    let groups = each(&api.lease(r#"{"max_tasks":8}"#), "group");
    assert_eq!(
        groups.iter().filter(|group| *group == "big").count(),
        6,
        "{groups:?}"
    );
}

/// I20 I26: the waiting lease is woken when there is a token, not by asking again and again.
#[test]
fn a_limited_name_is_granted_at_its_rate() {
    let (_service, api, _dir) = served();
    let limits = json!({"rate_per_second": 5, "burst": 1});
    let told = configure(&api, &json!({"names": {"mail": {"limits": limits}}}));
    assert_eq!(
        told["set"]["names"]["mail"]["limits"],
        json!({"rate_per_second": 5.0, "burst": 1.0})
    );
    enqueue(&api, 8, r#"{"name":"mail"}"#);
    api.enqueue(r#"{"name":"free"}"#);

    assert_eq!(api.lease(AT_ONCE).len(), 2, "one of each");
    let (reason, after) = in_vain(&api, AT_ONCE);
    assert_eq!(reason, "rate_limited");
    assert!(
        after.is_some_and(|after| after > 0.0 && after <= 0.2),
        "{after:?}"
    );
    let start = Instant::now();
    for _ in 0..5 {
        assert_eq!(api.lease(r#"{"wait_seconds":10}"#).len(), 1);
    }
    let took = start.elapsed();
    assert!(
        took > Duration::from_millis(780) && took < Duration::from_secs(5),
        "{took:?}"
    );
}

/// I21 I26: a lease that ends lets the next one in, whichever way.
#[test]
fn a_freed_place_wakes_who_waits_for_it() {
    let (_service, api, _dir) = served();
    configure(&api, &json!({"limits": {"max_leased": 1}}));
    enqueue(&api, 4, "{}");
    let mut held = api.lease(AT_ONCE);
    assert_eq!(in_vain(&api, AT_ONCE), ("concurrency_limited".to_owned(), None));
    for (verb, body) in [
        ("ack", "{}"),
        ("nack", r#"{"retry":false}"#),
        ("release", r#"{"retry_after":60}"#),
    ] {
        let waiter = api.waiting(LEASE, r#"{"wait_seconds":30}"#, 1);
        let start = Instant::now();
        api.settle(&held[0], verb, body).expect(200);
        held = tasks(&waiter.join().unwrap().expect(200));
        assert_eq!(held.len(), 1);
        assert!(
            start.elapsed() < Duration::from_millis(900),
            "{verb}: {:?}",
            start.elapsed()
        );
    }
}

/// I19.
#[test]
fn a_release_holds_its_siblings() {
    let (_service, api, _dir) = served();
    enqueue(&api, 3, r#"{"name":"mail","group":"acme"}"#);
    let id = api.enqueue(r#"{"name":"mail","group":"zeta"}"#);
    let held = api.lease_one();
    let released = api
        .settle(&held, "release", r#"{"retry_after":"1","hold":"group"}"#)
        .expect(200);
    assert_eq!(released["state"], "scheduled");
    assert_eq!(each(&api.lease(AT_ONCE), "id"), [id]);
    let (reason, after) = in_vain(&api, AT_ONCE);
    assert_eq!(reason, "held");
    assert!(after.is_some_and(|after| after <= 1.0), "{after:?}");
    let mut came = 0;
    while came < 3 {
        came += api.lease(r#"{"max_tasks":9,"wait_seconds":10}"#).len();
    }
}

#[test]
fn an_operator_holds_and_ends_a_hold() {
    let (_service, api, _dir) = served();
    let id = api.enqueue(r#"{"name":"mail","group":"a/b"}"#);
    for (path, of, named) in [
        ("hold", "queue", Value::Null),
        ("names/mail/hold", "name", "mail".into()),
        ("groups/a%2Fb/hold", "group", "a/b".into()),
    ] {
        let path = format!("{QUEUE}/{path}");
        let held = api.post(&path, r#"{"for_seconds":60}"#).expect(200);
        assert!(
            held["held_until"].is_string() && held[of] == named || of == "queue",
            "{held}"
        );
        let (reason, after) = in_vain(&api, AT_ONCE);
        assert_eq!(reason, "held");
        assert!(
            after.is_some_and(|after| after > 58.0 && after <= 60.0),
            "{after:?}"
        );
        let waiting = api.get(&format!("{QUEUE}/tasks/{id}")).expect(200)["waiting"].clone();
        let reason = &waiting["reasons"][0];
        assert_eq!(
            (&reason["reason"], &reason["of"]),
            (&"held".into(), &of.into()),
            "{waiting}"
        );
        assert_eq!(reason["until"], held["held_until"]);

        let waiter = api.waiting(LEASE, r#"{"wait_seconds":30}"#, 1);
        let start = Instant::now();
        let ended = api.send("DELETE", &path, "", "").expect(200);
        assert_eq!(ended["held_until"], Value::Null);
        let task = tasks(&waiter.join().unwrap().expect(200)).remove(0);
        assert!(
            start.elapsed() < Duration::from_millis(900),
            "{:?}",
            start.elapsed()
        );
        api.settle(&task, "release", "").expect(200);
    }
}

/// A limit that is lifted wakes who waits for it.
#[test]
fn a_changed_config_wakes_who_waits() {
    let (_service, api, _dir) = served();
    configure(&api, &json!({"limits": {"rate_per_second": 0.001}}));
    enqueue(&api, 2, "{}");
    assert_eq!(api.lease(AT_ONCE).len(), 1);
    let waiter = api.waiting(LEASE, r#"{"wait_seconds":30}"#, 1);
    let start = Instant::now();
    api.send("PATCH", QUEUE, "", r#"{"limits":null}"#).expect(200);
    assert_eq!(tasks(&waiter.join().unwrap().expect(200)).len(), 1);
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
}

/// With several queues the answer is of the one that may have something first.
#[test]
fn of_several_queues_the_soonest_says_why() {
    let (_service, api, _dir) = served();
    for (queue, seconds) in [("a", 60), ("b", 30)] {
        api.post(&format!("/v1/queues/{queue}/tasks"), "{}").expect(201);
        api.post(
            &format!("/v1/queues/{queue}/hold"),
            &format!(r#"{{"for_seconds":{seconds}}}"#),
        )
        .expect(200);
    }
    let answer = api
        .post("/v1/lease", r#"{"queues":["a","c","b"],"wait_seconds":0}"#)
        .expect(200);
    assert_eq!(answer["reason"], "held");
    assert!(
        answer["retry_after_seconds"]
            .as_f64()
            .is_some_and(|after| after <= 30.0),
        "{answer}"
    );
}

#[test]
fn bad_gates_are_refused_and_the_old_config_stays() {
    let (_service, api, _dir) = served();
    configure(&api, &json!({"limits": {"max_leased": 7}}));
    for (body, pointer) in [
        (r#"{"limits":{"rate_per_second":0}}"#, "/limits/rate_per_second"),
        (r#"{"limits":{"rate_per_second":-1}}"#, "/limits/rate_per_second"),
        (
            r#"{"limits":{"rate_per_second":"NaN"}}"#,
            "/limits/rate_per_second",
        ),
        (
            r#"{"limits":{"rate_per_second":1e30}}"#,
            "/limits/rate_per_second",
        ),
        (r#"{"limits":{"burst":3}}"#, "/limits/burst"),
        (r#"{"limits":{"max_leased":0}}"#, "/limits/max_leased"),
        (r#"{"limits":{"rate":3}}"#, "/limits/rate"),
        (
            r#"{"group_limits":{"g":{"max_leased":-1}}}"#,
            "/group_limits/g/max_leased",
        ),
        (r#"{"group_weights":{"g":0}}"#, "/group_weights/g"),
        (r#"{"group_weights":{"g":1e9}}"#, "/group_weights/g"),
        (
            r#"{"names":{"n":{"limits":{"rate_per_second":null,"burst":1}}}}"#,
            "/names/n/limits/burst",
        ),
    ] {
        for method in ["PUT", "PATCH"] {
            let problem = api
                .send(method, QUEUE, "", body)
                .problem(422, "validation_failed");
            assert_eq!(
                each(problem["errors"].as_array().unwrap(), "pointer"),
                [pointer],
                "{method} {body}"
            );
        }
    }
    assert_eq!(
        api.get(QUEUE).expect(200)["set"],
        json!({"limits": {"max_leased": 7}})
    );

    for (path, body, pointer) in [
        ("hold", "", "/for_seconds"),
        ("hold", r#"{"for_seconds":0}"#, "/for_seconds"),
        ("names/n/hold", r#"{"for_seconds":1e9}"#, "/for_seconds"),
        ("groups/g/hold", r#"{"for_seconds":1,"x":1}"#, "/x"),
        ("names/a%20b/hold", r#"{"for_seconds":1}"#, "path:name"),
        ("groups/a%0Ab/hold", r#"{"for_seconds":1}"#, "path:group"),
    ] {
        let problem = api
            .post(&format!("{QUEUE}/{path}"), body)
            .problem(422, "validation_failed");
        assert_eq!(each(problem["errors"].as_array().unwrap(), "pointer"), [pointer]);
    }
    api.post("/v1/queues/nobody/hold", r#"{"for_seconds":1}"#)
        .problem(404, "queue_unknown");
    api.send("DELETE", "/v1/queues/nobody/names/n/hold", "", "")
        .problem(404, "queue_unknown");
}

/// I22 I26: half-open, the waiting lease gets the probe; its ack closes the breaker.
#[test]
fn a_breaker_opens_probes_and_closes() {
    let (_service, api, _dir) = served();
    let breaker = json!({"failure_threshold": 2, "reset_seconds": 0.3});
    let told = configure(&api, &json!({"breaker": breaker}));
    let holds =
        json!({"failure_threshold": 2, "reset_seconds": 0.3, "half_open_max": 1, "success_threshold": 1});
    assert_eq!(
        (&told["config"]["breaker"], &told["set"]["breaker"]),
        (&holds, &breaker)
    );
    enqueue(&api, 5, r#"{"name":"mail"}"#);
    for task in api.lease(r#"{"max_tasks":2}"#) {
        api.settle(&task, "nack", r#"{"error":"503","delay_seconds":0}"#)
            .expect(200);
    }
    let (reason, after) = in_vain(&api, AT_ONCE);
    assert_eq!(reason, "breaker_open");
    assert!(after.is_some_and(|after| after <= 0.3), "{after:?}");
    let probe = api.lease(r#"{"max_tasks":9,"wait_seconds":10}"#);
    assert_eq!(probe.len(), 1);
    let waiter = api.waiting(LEASE, r#"{"max_tasks":9,"wait_seconds":30}"#, 1);
    let start = Instant::now();
    api.settle(&probe[0], "ack", "").expect(200);
    assert!(!tasks(&waiter.join().unwrap().expect(200)).is_empty());
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn an_operator_opens_and_closes_a_breaker() {
    let (_service, api, _dir) = served();
    api.enqueue(r#"{"name":"mail"}"#);
    let path = format!("{QUEUE}/names/mail/breaker");
    let open = api
        .post(&path, r#"{"state":"open","for_seconds":60}"#)
        .expect(200);
    assert!(
        open["state"] == "open" && open["open_until"].is_string(),
        "{open}"
    );
    let open = api.post(&path, r#"{"state":"open"}"#).expect(200);
    assert_eq!(open, json!({"queue": "q", "name": "mail", "state": "open"}));
    assert_eq!(in_vain(&api, AT_ONCE), ("breaker_open".to_owned(), None));
    let waiter = api.waiting(LEASE, r#"{"wait_seconds":30}"#, 1);
    let start = Instant::now();
    assert_eq!(
        api.post(&path, r#"{"state":"closed"}"#).expect(200)["state"],
        "closed"
    );
    assert_eq!(tasks(&waiter.join().unwrap().expect(200)).len(), 1);
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    for (body, pointer) in [
        ("", "/state"),
        (r#"{"state":"half_open"}"#, "/state"),
        (r#"{"state":"closed","for_seconds":1}"#, "/for_seconds"),
        (r#"{"state":"open","for_seconds":-1}"#, "/for_seconds"),
    ] {
        let problem = api.post(&path, body).problem(422, "validation_failed");
        assert_eq!(each(problem["errors"].as_array().unwrap(), "pointer"), [pointer]);
    }
    api.post("/v1/queues/nobody/names/n/breaker", r#"{"state":"open"}"#)
        .problem(404, "queue_unknown");
}

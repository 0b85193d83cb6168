//! The numbers that explain a queue: stats, charts, workers, events, metrics; the same from each replica.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::api::{Api, served};
use super::replicas::replicas;
use crate::process::running::{kill, until};
use crate::process::service::Service;
use crate::support::redis::Redis;

fn stats(api: &Api, queue: &str) -> Value {
    api.get(&format!("/v1/queues/{queue}/stats")).expect(200)
}

/// I24: each replica saw a part, and each answers with the whole.
#[test]
fn stats_are_the_same_from_each_replica_and_of_what_all_of_them_did() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = replicas(&redis);
    for (one, other) in [(&a, &b), (&b, &a)] {
        one.enqueue("{}");
        let task = other.lease_one();
        one.settle(&task, "ack", "").expect(200);
    }
    a.enqueue("{}");
    let task = b.lease_one();
    a.settle(&task, "nack", r#"{"error":"no","retry":false}"#)
        .expect(200);
    let (seen_by_a, seen_by_b) = until("what both told", || {
        let (seen_by_a, seen_by_b) = (stats(&a, "q"), stats(&b, "q"));
        let whole = seen_by_a["throughput_per_second"] == json!(0.033)
            && seen_by_a["error_rate_per_minute"] == json!(1.0);
        (whole && seen_by_a == seen_by_b).then_some((seen_by_a, seen_by_b))
    });
    assert_eq!(seen_by_a, seen_by_b);
    for field in ["wait", "run", "end_to_end"] {
        for number in ["avg", "p50", "p95", "p99"] {
            let name = format!("{field}_seconds_{number}");
            assert!(
                seen_by_a[&name].as_f64().is_some_and(|seconds| seconds < 60.0),
                "{name}"
            );
        }
    }
    assert_eq!(
        seen_by_a["avg_latency_seconds"],
        seen_by_a["end_to_end_seconds_avg"]
    );
    assert_eq!(
        (&seen_by_a["held"], &seen_by_a["paused"]),
        (&json!(0), &json!(false))
    );
}

/// I24: those who wait at any replica are counted by each, and those of a replica that stopped no more.
#[test]
fn waiting_workers_are_those_of_all_replicas() {
    let redis = Redis::start();
    let [(mut stopped, a), (_b, b)] = replicas(&redis);
    a.send("PUT", "/v1/queues/q", "", "{}").expect(201);
    let path = "/v1/queues/q/lease";
    let _waiting = [&a, &b, &b].map(|api| api.open("POST", path, "", r#"{"wait_seconds":60}"#));
    for api in [&a, &b] {
        until("three that wait", || {
            (stats(api, "q")["workers_waiting"] == 3).then_some(())
        });
    }
    kill(stopped.process.id(), "-TERM");
    stopped.process.wait().unwrap();
    until("the end of one", || {
        (stats(&b, "q")["workers_waiting"] == 2).then_some(())
    });
}

#[test]
fn charts_outlive_the_service_and_count_exactly_what_happened() {
    let (mut service, api, dir) = served();
    for _ in 0..3 {
        api.enqueue("{}");
    }
    let task = api.lease_one();
    api.settle(&task, "ack", "").expect(200);
    let sum = |history: &Value, series: &str| -> u64 {
        history[series]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .sum()
    };
    let history = |api: &Api, query: &str| api.get(&format!("/v1/queues/q/history{query}")).expect(200);
    // An orderly end tells what was seen last.
    kill(service.process.id(), "-TERM");
    service.process.wait().unwrap();
    let service = Service::on(dir.path());
    let api = Api::of(&service);
    for (query, steps, step_seconds) in [
        ("", 360, 10),
        ("?range=15m", 90, 10),
        ("?range=48h&step=5m", 576, 300),
    ] {
        let history = history(&api, query);
        assert_eq!(history["step_seconds"], step_seconds);
        assert_eq!(
            (sum(&history, "accepted"), sum(&history, "completed")),
            (3, 1),
            "{query}"
        );
        for series in [
            "ready",
            "leased",
            "failed",
            "died",
            "wait_seconds_p50",
            "end_to_end_seconds_p95",
        ] {
            assert_eq!(history[series].as_array().unwrap().len(), steps, "{series}");
        }
        let last = |series: &str| history[series].as_array().unwrap().last().unwrap().clone();
        assert_eq!((last("ready"), last("leased")), (json!(2), json!(0)));
        let measured = history["wait_seconds_p50"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|p50| p50.is_number());
        assert!(measured.count() >= 1);
    }
}

#[test]
fn a_range_that_no_chart_has_is_refused_with_those_that_there_are() {
    let (_service, api, _dir) = served();
    api.enqueue("{}");
    let problem = api
        .get("/v1/queues/q/history?range=2h&step=10s")
        .problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "query:range");
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("10s to 1h") && detail.contains("5m to 48h"),
        "{detail}"
    );
    let problem = api
        .get("/v1/queues/q/history?step=7s")
        .problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "query:step");
    for path in ["stats", "history"] {
        api.get(&format!("/v1/queues/unknown/{path}"))
            .problem(404, "queue_unknown");
    }
}

/// I24.
#[test]
fn workers_are_listed_with_their_leases_and_last_call_by_each_replica() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = replicas(&redis);
    for queue in ["p", "q"] {
        for _ in 0..2 {
            a.post(&format!("/v1/queues/{queue}/tasks"), "{}").expect(201);
        }
    }
    a.post("/v1/queues/q/lease", r#"{"worker":"w-1","max_tasks":2}"#)
        .expect(200);
    b.post("/v1/queues/p/lease", r#"{"worker":"w-1"}"#).expect(200);
    b.post(
        "/v1/queues/p/lease",
        r#"{"worker":"w 2","names":["other"],"wait_seconds":0}"#,
    )
    .expect(200);
    let list = |api: &Api, query: &str| -> Vec<Value> {
        let page = api.get(&format!("/v1/workers{query}")).expect(200);
        assert!(page["next_cursor"].is_null());
        page["items"].as_array().unwrap().clone()
    };
    let shown = |items: &[Value]| -> Vec<String> {
        let mut shown: Vec<_> = items
            .iter()
            .map(|item| format!("{} {} {}", item["queue"], item["worker"], item["leases"]))
            .collect();
        shown.sort();
        shown
    };
    let expected = [r#""p" "w 2" 0"#, r#""p" "w-1" 1"#, r#""q" "w-1" 2"#];
    for api in [&a, &b] {
        let items = until("workers that were told of", || {
            let items = list(api, "");
            let told = items.iter().all(|item| item["last_call_at"].is_string());
            (told && items.len() == 3).then_some(items)
        });
        assert_eq!(shown(&items), expected);
        let idle = items.iter().find(|item| item["leases"] == 0).unwrap();
        assert!(idle["oldest_lease_at"].is_null() && idle["at_least"] == false);
    }
    assert_eq!(shown(&list(&a, "?queue=p")), expected[..2]);
    // Page by page the same.
    let (mut paged, mut query) = (Vec::new(), "?limit=1".to_owned());
    loop {
        let page = b.get(&format!("/v1/workers{query}")).expect(200);
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=1&cursor={cursor}");
    }
    assert_eq!(shown(&paged), expected);
    a.get("/v1/workers?queue=unknown").problem(404, "queue_unknown");
    let problem = a.get("/v1/workers?cursor=x").problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "query:cursor");
}

#[test]
fn totals_are_over_all_queues() {
    let (_service, api, _dir) = served();
    for queue in ["p", "q", "r"] {
        api.post(&format!("/v1/queues/{queue}/tasks"), "{}").expect(201);
    }
    let task = api.lease_one();
    api.settle(&task, "ack", "").expect(200);
    let totals = until("what was told", || {
        let totals = api.get("/v1/stats").expect(200);
        (totals["throughput_per_second"] == json!(0.017)).then_some(totals)
    });
    for (field, value) in [
        ("queues", 3),
        ("ready", 2),
        ("accepted_total", 3),
        ("completed_total", 1),
    ] {
        assert_eq!(totals[field], value, "{field}");
    }
    assert!(totals["next_cursor"].is_null());
    api.get("/v1/stats?cursor=x").problem(422, "validation_failed");
}

struct Events(BufReader<TcpStream>);

impl Events {
    fn open(api: &Api, query: &str) -> Self {
        Self(BufReader::new(api.open(
            "GET",
            &format!("/v1/events{query}"),
            "",
            "",
        )))
    }

    /// The next event's kind and data; `None` at the end.
    fn next(&mut self) -> Option<(String, Value)> {
        let (mut kind, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(found) = line.strip_prefix("event: ") {
                found.trim().clone_into(&mut kind);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((kind, serde_json::from_str(data).unwrap()));
            }
        }
    }

    /// Passes over others up to one of this kind.
    fn find(&mut self, kind: &str) -> Value {
        loop {
            let (found, data) = self.next().expect("the stream goes on");
            if found == kind {
                return data;
            }
        }
    }
}

#[test]
fn who_watches_at_one_replica_hears_what_happens_through_another() {
    let redis = Redis::start();
    let [(mut service, a), (_b, b)] = replicas(&redis);
    let (mut all, mut one) = (Events::open(&a, ""), Events::open(&a, "?queue=q"));
    assert_eq!(
        (all.next().unwrap().0, one.next().unwrap().0),
        ("reset".into(), "reset".into())
    );

    b.send("PUT", "/v1/queues/p", "", "{}").expect(201);
    assert_eq!(all.find("queue_created")["queue"], "p");
    b.send("PUT", "/v1/queues/p", "", r#"{"max_attempts":3}"#)
        .expect(200);
    assert_eq!(all.find("queue_configured")["queue"], "p");
    b.enqueue("{}");
    assert_eq!(one.find("queue_created"), json!({"queue": "q"}));
    assert_eq!(
        one.find("queue"),
        json!({"queue": "q", "ready": 1, "scheduled": 0, "leased": 0, "dead": 0})
    );
    let task = b.lease_one();
    b.settle(&task, "nack", r#"{"error":"no","retry":false}"#)
        .expect(200);
    assert_eq!(
        one.find("dead_letters"),
        json!({"queue": "q", "died": 1, "dead": 1})
    );
    b.send("DELETE", "/v1/queues/q?confirm=q", "", "").expect(200);
    assert_eq!(all.find("queue_deleted"), json!({"queue": "q", "tasks": 1}));

    // An orderly end ends the streams, and does not wait for them.
    kill(service.process.id(), "-TERM");
    while all.next().is_some() {}
    while one.next().is_some() {}
    assert!(service.process.wait().unwrap().success());
}

#[test]
fn dead_letters_that_make_room_raise_an_alarm() {
    let (_service, api, _dir) = served();
    api.send("PUT", "/v1/queues/q", "", r#"{"dead_letter":{"max_size":1}}"#)
        .expect(201);
    let mut events = Events::open(&api, "?queue=q");
    assert_eq!(events.next().unwrap().0, "reset");
    for _ in 0..3 {
        api.enqueue("{}");
        let task = api.lease_one();
        api.settle(&task, "nack", r#"{"error":"no","retry":false}"#)
            .expect(200);
    }
    let mut evicted = 0;
    while evicted < 2 {
        let alarm = events.find("alarm");
        assert_eq!(alarm["alarm"], "dead_evicted");
        evicted += alarm["count"].as_u64().unwrap();
    }
    assert_eq!(evicted, 2);
}

#[test]
fn metrics_of_queues_are_the_same_at_each_replica_and_names_are_counted_on_request() {
    let redis = Redis::start();
    let url = redis.url();
    let services = [vec![], vec!["--metrics-names", "1"]].map(|more| {
        let args = [vec!["--redis-url", &url], more].concat();
        let service = Service::start(&args);
        let api = Api::of(&service);
        (service, api)
    });
    let (a, b) = (&services[0].1, &services[1].1);
    for name in ["x", "x", "y"] {
        b.enqueue(&format!(r#"{{"name":"{name}"}}"#));
    }
    let task = a.lease_one();
    b.settle(&task, "ack", "").expect(200);
    let has = |api: &Api, line: &str| api.get("/metrics").body.lines().any(|found| found == line);
    for api in [a, b] {
        for line in [
            r#"leaseq_queue_tasks{queue="q",state="ready"} 2"#,
            r#"leaseq_queue_tasks{queue="q",state="leased"} 0"#,
            r#"leaseq_queue_completed_total{queue="q"} 1"#,
        ] {
            until(line, || has(api, line).then_some(()));
        }
    }
    assert!(has(a, r#"leaseq_task_wait_seconds_count{queue="q"} 1"#));
    assert!(has(b, r#"leaseq_task_end_to_end_seconds_count{queue="q"} 1"#));
    assert!(has(
        b,
        r#"leaseq_name_tasks_enqueued_total{name="x",queue="q"} 2"#
    ));
    assert!(has(
        b,
        r#"leaseq_name_tasks_enqueued_total{name="_other",queue="_other"} 1"#
    ));
    // How names stand: of those with labels, and of a breaker only where there is one.
    for line in [
        r#"leaseq_name_tasks{name="x",queue="q",state="ready"} 1"#,
        r#"leaseq_name_tasks{name="x",queue="q",state="leased"} 0"#,
        r#"leaseq_name_held{name="x",queue="q"} 0"#,
    ] {
        until(line, || has(b, line).then_some(()));
    }
    let shown = b.get("/metrics").body;
    assert!(
        !shown.contains("name=\"y\"") && !shown.contains("leaseq_name_breaker{"),
        "{shown}"
    );
    a.post("/v1/queues/q/names/x/hold", r#"{"for_seconds":60}"#)
        .expect(200);
    a.post("/v1/queues/q/names/x/breaker", r#"{"state":"open"}"#)
        .expect(200);
    for line in [
        r#"leaseq_name_held{name="x",queue="q"} 1"#,
        r#"leaseq_name_breaker{name="x",queue="q",state="open"} 1"#,
        r#"leaseq_name_breaker{name="x",queue="q",state="closed"} 0"#,
    ] {
        until(line, || has(b, line).then_some(()));
    }
    assert!(!a.get("/metrics").body.contains("leaseq_name_"));
}

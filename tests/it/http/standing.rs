//! The names and the groups of a queue, as operators see them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::api::{Api, each, served};

const QUEUE: &str = "/v1/queues/q";

fn page(api: &Api, path: &str) -> (Vec<Value>, Option<String>) {
    let answer = api.get(path).expect(200);
    let items = answer["items"].as_array().unwrap().clone();
    (items, answer["next_cursor"].as_str().map(str::to_owned))
}

/// Page after page.
fn all(api: &Api, list: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let (more, next) = page(api, &format!("{QUEUE}/{list}?limit={limit}{cursor}"));
        assert!(more.len() <= limit);
        items.extend(more);
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

fn find(items: Vec<Value>, field: &str, value: &Value) -> Value {
    let mut found = items.into_iter().filter(|item| item[field] == *value);
    let item = found.next().unwrap();
    assert_eq!(found.next(), None);
    item
}

#[test]
fn names_and_groups_show_what_waits_and_what_keeps_it_back() {
    let (_service, api, _dir) = served();
    let config = json!({
        "names": {"mail": {"limits": {"rate_per_second": 0.001, "burst": 2}, "breaker": {"failure_threshold": 3}}},
        "group_weights": {"acme": 7.3},
        "group_limits": {"*": {"max_leased": 4}},
    });
    api.send("PUT", QUEUE, "", &config.to_string()).expect(201);
    for group in ["acme", "zeta"] {
        api.enqueue(&json!({"name": "mail", "group": group}).to_string());
    }
    api.enqueue(r#"{"name":"sync"}"#);
    api.enqueue(r#"{"name":"later","delay_seconds":60}"#);
    let held = api.lease(r#"{"names":["mail"],"max_tasks":1}"#);
    let leased_group = held[0]["group"].clone();

    let mut mail = find(all(&api, "names", 500), "name", &json!("mail"));
    let tokens = mail["tokens"].take().as_f64().unwrap();
    assert!((1.0..1.1).contains(&tokens), "{tokens}");
    assert_eq!(
        mail,
        json!({
            "name": "mail", "ready": 1, "at_least": false, "leased": 1, "limits": {"rate_per_second": 0.001, "burst": 2.0},
            "tokens": null, "held_until": null, "breaker": {"state": "closed", "since": null, "failures": 0},
        })
    );
    let sync = find(all(&api, "names", 500), "name", &json!("sync"));
    assert_eq!(
        sync,
        json!({
            "name": "sync", "ready": 1, "at_least": false, "leased": 0, "limits": {}, "tokens": null,
            "held_until": null, "breaker": null,
        })
    );
    let acme = find(all(&api, "groups", 500), "group", &json!("acme"));
    let leased = u64::from(leased_group == "acme");
    assert_eq!(
        acme,
        json!({
            "group": "acme", "ready": 1 - leased, "at_least": false, "leased": leased, "backlog": 1, "weight": 7.3,
            "limits": {"max_leased": 4}, "tokens": null, "held_until": null,
        })
    );
    let none = find(all(&api, "groups", 500), "group", &Value::Null);
    assert_eq!(
        (&none["ready"], &none["weight"], &none["limits"]),
        (&json!(1), &json!(1.0), &json!({}))
    );

    api.post(&format!("{QUEUE}/names/mail/hold"), r#"{"for_seconds":60}"#)
        .expect(200);
    api.post(
        &format!("{QUEUE}/names/sync/breaker"),
        r#"{"state":"open","for_seconds":60}"#,
    )
    .expect(200);
    let names = all(&api, "names", 500);
    let held_until = &find(names.clone(), "name", &json!("mail"))["held_until"];
    assert!(held_until.is_string());
    let breaker = &find(names, "name", &json!("sync"))["breaker"];
    assert_eq!(breaker["state"], "open");
    assert!(breaker["open_until"].is_string() && breaker["since"].is_string());
    let stats = api.get(&format!("{QUEUE}/stats")).expect(200);
    assert_eq!(
        (
            &stats["held"],
            &stats["breakers_open"],
            &stats["breakers_half_open"]
        ),
        (&json!(2), &json!(1), &json!(0))
    );
    let metrics = api.get("/metrics").body;
    for line in [
        "leaseq_queue_held_tasks{queue=\"q\"} 2",
        "leaseq_queue_breakers{queue=\"q\",state=\"open\"} 1",
        "leaseq_queue_breakers{queue=\"q\",state=\"half_open\"} 0",
        "leaseq_queue_paused{queue=\"q\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}

#[test]
fn many_names_and_groups_are_walked_page_by_page() {
    let (_service, api, _dir) = served();
    let tasks: Vec<_> = (0..1_000)
        .map(|n| json!({"name": format!("n{n}"), "group": format!("g {n}")}))
        .collect();
    let body = json!({ "tasks": tasks }).to_string();
    api.post(&format!("{QUEUE}/tasks/batch"), &body).expect(200);
    let tasks: Vec<_> = (1_000..1_500)
        .map(|n| json!({"name": "n1", "group": format!("g {n}")}))
        .collect();
    let body = json!({ "tasks": tasks }).to_string();
    api.post(&format!("{QUEUE}/tasks/batch"), &body).expect(200);
    api.post(&format!("{QUEUE}/names/idle/hold"), r#"{"for_seconds":60}"#)
        .expect(200);
    for (list, field, count) in [("names", "name", 1_001), ("groups", "group", 1_500)] {
        let (first, next) = page(&api, &format!("{QUEUE}/{list}"));
        assert!(first.len() == 20 && next.is_some(), "{list}");
        let items = each(&all(&api, list, 500), field);
        let distinct: BTreeSet<_> = items.iter().collect();
        assert_eq!((items.len(), distinct.len()), (count, count), "{list}");
    }
    let first = find(all(&api, "names", 500), "name", &json!("n1"));
    assert_eq!((&first["ready"], &first["at_least"]), (&json!(128), &json!(true)));
}

#[test]
fn what_is_no_page_is_refused() {
    let (_service, api, _dir) = served();
    for list in ["names", "groups"] {
        api.get(&format!("/v1/queues/gone/{list}"))
            .problem(404, "queue_unknown");
    }
    api.enqueue(r#"{"group":"acme"}"#);
    api.enqueue(r#"{"group":"zeta"}"#);
    let (_, cursor) = page(&api, &format!("{QUEUE}/groups?limit=1"));
    let foreign = format!("names?cursor={}", cursor.unwrap());
    for (query, pointer) in [
        ("names?limit=0", "query:limit"),
        ("groups?limit=501", "query:limit"),
        ("names?cursor=x", "query:cursor"),
        ("groups?cursor=Z3IxIDI", "query:cursor"),
        (foreign.as_str(), "query:cursor"),
        ("names?state=ready", "query:state"),
    ] {
        let problem = api
            .get(&format!("{QUEUE}/{query}"))
            .problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}");
    }
}

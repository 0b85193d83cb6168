//! Producers and workers of queues with gates.

use std::sync::Arc;

use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::json;

use crate::histories::crew::{Manners, Shift, patience};
use crate::histories::history::{Gate, Grant, History, Outcome, Settled, Turned, Until, Verb};
use crate::histories::phone::{Draft, Phone, Plan, QUEUES};

const NAMES: [&str; 4] = ["mail", "sync", "free", super::FAILING.name];
const GROUPS: [Option<&str>; 3] = [None, Some("acme"), Some("zeta")];

pub(super) fn producer(mut phone: Phone, me: usize, shift: &Shift) -> History {
    let mut sent = 0;
    while shift.is_on() {
        let count = phone.rng.random_range(1..12);
        let queue = *QUEUES.choose(&mut phone.rng).unwrap();
        let mut draft = |nth: usize| Draft {
            queue,
            tag: format!("{me}.{}", sent + nth),
            name: NAMES.choose(&mut phone.rng).unwrap(),
            group: *GROUPS.choose(&mut phone.rng).unwrap(),
            priority: 10,
            delay_seconds: 0.0,
            max_attempts: 50,
        };
        let drafts: Vec<Draft> = (0..count).map(&mut draft).collect();
        sent += count;
        phone.enqueue(&drafts);
        shift.sent(count);
    }
    phone.history
}

/// Leases a few, from one queue or from both, and holds some of them until the next call.
pub(super) fn worker(mut phone: Phone, shift: &Shift, manners: Manners) -> History {
    let mut later: Vec<Plan> = Vec::new();
    while shift.is_on() {
        patience(&mut phone, manners);
        let mut body = json!({
            "max_tasks": phone.rng.random_range(1..7),
            "wait_seconds": f64::from(phone.rng.random_range(0..3)) / 10.0,
            "lease_seconds": f64::from(phone.rng.random_range(10..15)) / 10.0,
        });
        if phone.rng.random_ratio(1, 6) {
            body["names"] = json!([NAMES.choose(&mut phone.rng).unwrap()]);
        }
        let queue = match phone.rng.random_range(0..5) {
            0 => {
                body["queues"] = json!(QUEUES);
                None
            }
            1 => Some("r"),
            _ => Some("q"),
        };
        let plans = std::mem::take(&mut later);
        let grants = phone.lease(queue, body, &plans);
        shift.seen(grants.len());
        for grant in &grants {
            patience(&mut phone, manners);
            work(&mut phone, &mut later, grant);
        }
    }
    phone.history
}

fn plan(grant: &Grant, verb: Verb, fields: serde_json::Value) -> Plan {
    Plan {
        verb,
        task: grant.task.clone(),
        lease_id: grant.lease_id.clone(),
        fields,
    }
}

fn work(phone: &mut Phone, later: &mut Vec<Plan>, grant: &Grant) {
    let fails = grant.name == super::FAILING.name;
    match phone.rng.random_range(0..100) {
        // Forgotten until its lease has run out.
        0..4 => {}
        4..12 => phone.settle(&[plan(grant, Verb::Release, json!({}))]),
        12..18 if grant.queue == "q" => hold_siblings(phone, grant),
        _ if fails => {
            let delay_seconds = f64::from(phone.rng.random_range(0..2)) / 10.0;
            let nack = json!({"error": "it is down", "delay_seconds": delay_seconds});
            phone.settle(&[plan(grant, Verb::Nack, nack)]);
        }
        18..60 => later.push(plan(grant, Verb::Ack, json!({}))),
        _ => phone.settle(&[plan(grant, Verb::Ack, json!({}))]),
    }
}

/// The effect of a 429 of an upstream: no task of the name or group runs before the given time.
fn hold_siblings(phone: &mut Phone, grant: &Grant) {
    let (hold, gate) = match (grant.name.as_str(), grant.group.as_str()) {
        ("sync", _) => ("name", Gate::HoldOfName("sync")),
        (_, "zeta") => ("group", Gate::HoldOfGroup("zeta")),
        _ => return phone.settle(&[plan(grant, Verb::Release, json!({"retry_after": 0.1}))]),
    };
    let retry_after = f64::from(phone.rng.random_range(1..4)) / 10.0;
    let release = json!({"retry_after": retry_after, "hold": hold});
    phone.settle(&[plan(grant, Verb::Release, release)]);
    let told = phone.history.settles.last().expect("it was noted just now");
    let outcome = match &told.outcome {
        Outcome::Done(Settled {
            state,
            already: false,
            until_ms: Some(ms),
        }) if state == "scheduled" => Outcome::Done(Until::Ms(*ms)),
        _ => return,
    };
    let turned = Turned {
        span: told.span,
        queue: "q",
        gate,
        outcome,
        only_longer: true,
    };
    phone.history.turned.push(turned);
}

/// Takes what there is and acks it in its next call, at once and again.
pub(super) fn taker(mut phone: Phone, _me: usize, shift: &Arc<Shift>, _manners: Manners) -> History {
    let mut done: Vec<Plan> = Vec::new();
    while shift.is_on() {
        let body = json!({"max_tasks": phone.rng.random_range(1..8), "wait_seconds": 0, "lease_seconds": 1});
        let acks = std::mem::take(&mut done);
        let grants = phone.lease(Some("q"), body, &acks);
        done = grants
            .iter()
            .map(|grant| plan(grant, Verb::Ack, json!({})))
            .collect();
    }
    phone.history
}

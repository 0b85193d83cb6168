//! Producers and workers, each with choices of its own, all from one seed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::json;

use super::history::{Grant, History, Verb};
use super::phone::{Draft, Phone, Plan, QUEUES};

const NAMES: [&str; 2] = ["send", "bill"];
const GROUPS: [Option<&str>; 3] = [None, Some("acme"), Some("Ωmega")];
const PRIORITIES: [u16; 4] = [10, 10, 10, 50];
/// Tasks that producers let wait before they pause: enough for workers never to run dry, and quickly drained.
const BACKLOG_MAX: usize = 200;

/// When to stop, and how far the producers are ahead.
#[derive(Default)]
pub(super) struct Shift {
    over: AtomicBool,
    ahead: Mutex<usize>,
    caught_up: Condvar,
}

impl Shift {
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.caught_up.notify_all();
    }

    pub(super) fn is_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    pub(super) fn sent(&self, tasks: usize) {
        let mut ahead = self.ahead.lock().unwrap();
        *ahead += tasks;
        while *ahead > BACKLOG_MAX && self.is_on() {
            // Messages to the workers may be lost for a while. Then the work goes on at a slower pace.
            let (guard, waited) = self
                .caught_up
                .wait_timeout(ahead, Duration::from_millis(200))
                .unwrap();
            ahead = guard;
            if waited.timed_out() {
                *ahead -= (*ahead).min(20);
            }
        }
    }

    pub(super) fn seen(&self, tasks: usize) {
        let mut ahead = self.ahead.lock().unwrap();
        *ahead -= (*ahead).min(tasks);
        self.caught_up.notify_all();
    }
}

/// Whether clients hang up on a slow service now and then.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    Patient,
    Impatient,
}

/// How long this call may take before the client leaves.
pub(super) fn patience(phone: &mut Phone, manners: Manners) {
    let ms = match manners {
        Manners::Impatient if phone.rng.random_ratio(1, 20) => phone.rng.random_range(1..60),
        Manners::Impatient => phone.rng.random_range(800..3000),
        Manners::Patient => 20_000,
    };
    phone.patience = Duration::from_millis(ms);
}

pub(super) fn producer(mut phone: Phone, me: usize, shift: &Arc<Shift>, manners: Manners) -> History {
    let mut sent = 0;
    while shift.is_on() {
        patience(&mut phone, manners);
        let count = if phone.rng.random_ratio(2, 3) {
            1
        } else {
            phone.rng.random_range(2..20)
        };
        let queue = *QUEUES.choose(&mut phone.rng).unwrap();
        let drafts: Vec<Draft> = (0..count)
            .map(|n| draft(&mut phone, queue, format!("{me}.{}", sent + n)))
            .collect();
        sent += count;
        phone.enqueue(&drafts);
        shift.sent(count);
    }
    phone.history
}

fn draft(phone: &mut Phone, queue: &'static str, tag: String) -> Draft {
    let rng = &mut phone.rng;
    Draft {
        queue,
        tag,
        name: NAMES.choose(rng).unwrap(),
        group: *GROUPS.choose(rng).unwrap(),
        priority: *PRIORITIES.choose(rng).unwrap(),
        delay_seconds: if rng.random_ratio(1, 20) { 0.3 } else { 0.0 },
        max_attempts: rng.random_range(1..6),
    }
}

/// The memory of a worker.
#[derive(Default)]
struct Desk {
    /// To be sent along with the next lease call.
    later: Vec<Plan>,
    /// Done, abandoned or run out; tried again now and then, when it should do nothing.
    old: Vec<Plan>,
}

pub(super) fn worker(mut phone: Phone, me: usize, shift: &Arc<Shift>, manners: Manners) -> History {
    let mut desk = Desk::default();
    for turn in 0.. {
        if !shift.is_on() {
            break;
        }
        patience(&mut phone, manners);
        let mut body = json!({
            "max_tasks": phone.rng.random_range(1..8),
            "wait_seconds": f64::from(phone.rng.random_range(0..4)) / 10.0,
            "lease_seconds": f64::from(phone.rng.random_range(10..20)) / 10.0,
        });
        if phone.rng.random_ratio(1, 3) {
            body["worker"] = format!("w-{me}").into();
        }
        if phone.rng.random_ratio(1, 8) {
            body["names"] = json!([NAMES.choose(&mut phone.rng).unwrap()]);
        }
        let queue = match phone.rng.random_range(0..4) {
            0 => {
                body["queues"] = json!(QUEUES);
                None
            }
            1 => {
                body["queues"] = QUEUES
                    .iter()
                    .map(|queue| json!({"queue": queue, "weight": 1}))
                    .collect();
                None
            }
            _ => Some(*QUEUES.choose(&mut phone.rng).unwrap()),
        };
        let named = phone.rng.random_ratio(1, 4);
        if named {
            body["request_id"] = format!("{me}-{turn}").into();
        }
        let plans = std::mem::take(&mut desk.later);
        let mut grants = phone.lease(queue, body.clone(), &plans);
        desk.old.extend(plans);
        if named && phone.may_repeat && phone.rng.random() {
            // As one would whose answer got lost, and as some were. A worker that hung up or got a failure
            // leaves the task: a task on its way back to the queue may still be recalled.
            patience(&mut phone, manners);
            grants.extend(phone.lease(queue, body, &[]));
        }
        shift.seen(grants.len());
        for grant in &grants {
            work(&mut phone, &mut desk, grant, manners);
        }
        if !desk.old.is_empty() && phone.rng.random_ratio(1, 4) {
            again(&mut phone, &desk);
        }
    }
    phone.history
}

fn plan(phone: &mut Phone, verb: Verb, task: &str, lease_id: &str) -> Plan {
    let rng = &mut phone.rng;
    let fields = match verb {
        Verb::Ack => json!({"result": task}),
        Verb::Nack => json!({"error": "it broke", "delay_seconds": f64::from(rng.random_range(0..4)) / 10.0}),
        Verb::Reject => json!({"error": {"type": "Bad", "message": "never"}, "retry": false}),
        // Longer than any lease, so that an extend that nobody answered cannot have shortened one.
        Verb::Extend => json!({"lease_seconds": 2}),
        Verb::Release if rng.random_ratio(1, 3) => json!({"retry_after": 0.2}),
        Verb::Release => json!({}),
    };
    Plan {
        verb,
        task: task.to_owned(),
        lease_id: lease_id.to_owned(),
        fields,
    }
}

fn work(phone: &mut Phone, desk: &mut Desk, grant: &Grant, manners: Manners) {
    patience(phone, manners);
    let (task, lease_id) = (grant.task.as_str(), grant.lease_id.as_str());
    if phone.rng.random_ratio(1, 10) {
        let extend = plan(phone, Verb::Extend, task, lease_id);
        phone.settle(&[extend]);
    }
    let verb = match phone.rng.random_range(0..100) {
        0..66 => Verb::Ack,
        66..82 => Verb::Nack,
        82..85 => Verb::Reject,
        85..95 => Verb::Release,
        // Forgotten until the lease has run out, and acked long after.
        _ => {
            let ack = plan(phone, Verb::Ack, task, lease_id);
            return desk.old.push(ack);
        }
    };
    let plan = plan(phone, verb, task, lease_id);
    if phone.rng.random_ratio(1, 3) {
        desk.later.push(plan);
    } else {
        phone.settle(std::slice::from_ref(&plan));
        desk.old.push(plan);
    }
}

/// Repeats something old, or tries something else with its lease.
fn again(phone: &mut Phone, desk: &Desk) {
    let count = phone.rng.random_range(1..4);
    let plans: Vec<Plan> = (0..count)
        .map(|_| {
            let old = desk.old.choose(&mut phone.rng).unwrap().clone();
            if phone.rng.random_ratio(2, 3) {
                return old;
            }
            let verbs = [Verb::Ack, Verb::Nack, Verb::Extend, Verb::Release];
            let verb = *verbs.choose(&mut phone.rng).unwrap();
            plan(phone, verb, &old.task, &old.lease_id)
        })
        .collect();
    phone.settle(&plans);
}

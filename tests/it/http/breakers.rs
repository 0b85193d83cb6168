//! Circuit breakers over HTTP, through three replicas in turn: what happened, and how many grants there are
//! then, exactly (I22).

use deadpool_redis::redis::cmd;
use leaseq::domain::Millis;
use serde_json::{Value, json};

use super::api::{Api, tasks};
use crate::process::running::until;
use crate::process::service::Service;
use crate::support::redis::Redis;

const QUEUE: &str = "/v1/queues/q";

/// The end of a lease, or an action of an operator.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// So many of the oldest leases fail, or end in another way.
    Fail(usize),
    Ack(usize),
    Release(usize),
    /// The last one that was granted, whichever are older.
    FailLatest,
    AckLatest,
    /// Until the breaker is half-open.
    Reset,
    OpenByHand,
    OpenFor(&'static str),
    CloseByHand,
}
use Event::*;

/// The number of tasks that a lease of up to nine then gets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gets {
    Tasks(usize),
    /// Nothing before a time that it is told.
    Open,
    /// Nothing until somebody does something.
    Shut,
}
use Gets::{Open, Shut, Tasks};

struct Three {
    redis: Redis,
    _services: Vec<Service>,
    apis: Vec<Api>,
    next: usize,
    held: Vec<Value>,
}

impl Three {
    fn with(breaker: &Value) -> Self {
        let redis = Redis::start();
        let services: Vec<_> = (0..3)
            .map(|_| Service::start(&["--redis-url", &redis.url()]))
            .collect();
        let apis: Vec<_> = services.iter().map(Api::of).collect();
        let config = json!({"names": {"mail": {"breaker": breaker}}, "max_attempts": 100});
        apis[0].send("PUT", QUEUE, "", &config.to_string()).expect(201);
        let batch = json!({"tasks": vec![json!({"name": "mail"}); 60]});
        apis[0]
            .post("/v1/queues/q/tasks/batch", &batch.to_string())
            .expect(200);
        Self {
            redis,
            _services: services,
            apis,
            next: 0,
            held: Vec::new(),
        }
    }

    /// The next replica: no two calls in a row go to the same.
    fn api(&mut self) -> Api {
        self.next = (self.next + 1) % self.apis.len();
        self.apis[self.next].clone()
    }

    /// Redis's clock, in ms.
    fn now_ms(&self) -> u64 {
        let (seconds, us): (u64, u64) = self.redis.command(&cmd("TIME"));
        seconds * 1_000 + us / 1_000
    }

    fn settle(&mut self, task: &Value, verb: &str, body: &str) {
        self.api().settle(task, verb, body).expect(200);
    }

    fn lease(&mut self, body: &str) -> Gets {
        let answer = self.api().post("/v1/queues/q/lease", body).expect(200);
        let granted = tasks(&answer);
        if granted.is_empty() {
            assert_eq!(answer["reason"], "breaker_open", "{answer}");
            return if answer["retry_after_seconds"].is_number() {
                Open
            } else {
                Shut
            };
        }
        self.held.extend(granted.iter().cloned());
        Tasks(granted.len())
    }

    fn nine(&mut self) -> Gets {
        self.lease(r#"{"max_tasks":9,"wait_seconds":0,"lease_seconds":60}"#)
    }

    fn breaker(&mut self, body: &str) {
        self.api()
            .post(&format!("{QUEUE}/names/mail/breaker"), body)
            .expect(200);
    }

    /// Until when it is or was open, as Redis remembers it: an answer would come too late on a slow machine.
    fn open_until_ms(&self) -> u64 {
        let breaker: Vec<u8> = self
            .redis
            .command(cmd("HGET").arg("lq:1:{q}:breaker").arg("mail"));
        let until = f64::from_le_bytes(breaker[16..24].try_into().unwrap());
        format!("{until}").parse().expect("whole milliseconds")
    }

    /// A time of the last task that was granted.
    fn ms_of_latest(&self, field: &str) -> u64 {
        let time = self.held.last().unwrap()[field].as_str().unwrap();
        Millis::parse(time).unwrap().get()
    }

    /// Waits until Redis's clock says so.
    fn pass(&self, until_ms: u64) {
        until("a time", || (self.now_ms() >= until_ms).then_some(()));
    }

    fn perform(&mut self, event: Event) {
        const FAILED: &str = r#"{"error":"503","delay_seconds":0}"#;
        let (verb, body, these) = match event {
            Fail(count) => ("nack", FAILED, 0..count),
            Ack(count) => ("ack", "", 0..count),
            Release(count) => ("release", "", 0..count),
            FailLatest => ("nack", FAILED, self.held.len() - 1..self.held.len()),
            AckLatest => ("ack", "", self.held.len() - 1..self.held.len()),
            Reset => {
                let until_ms = self.open_until_ms();
                return self.pass(until_ms);
            }
            OpenByHand => return self.breaker(r#"{"state":"open"}"#),
            OpenFor(seconds) => {
                return self.breaker(&format!(r#"{{"state":"open","for_seconds":{seconds}}}"#));
            }
            CloseByHand => return self.breaker(r#"{"state":"closed"}"#),
        };
        for task in self.held.drain(these).collect::<Vec<_>>() {
            self.settle(&task, verb, body);
        }
    }

    /// Each event, and what a lease gets behind it.
    #[track_caller]
    fn trace(&mut self, steps: &[(&[Event], Gets)]) {
        for (nth, (events, gets)) in steps.iter().enumerate() {
            for event in *events {
                self.perform(*event);
            }
            assert_eq!(self.nine(), *gets, "step {nth}, after {events:?}");
        }
    }
}

/// I22: every failed attempt counts once, and in a row; half-open there are two probes at a time; two
/// successes close.
#[test]
fn a_breaker_goes_through_its_states_exactly() {
    let breaker =
        json!({"failure_threshold": 3, "reset_seconds": 1, "half_open_max": 2, "success_threshold": 2});
    let mut three = Three::with(&breaker);
    three.trace(&[
        (&[], Tasks(9)),
        (&[Fail(2)], Tasks(9)),
        // A success begins the row anew; a release says nothing.
        (&[Ack(1), Fail(2), Release(1)], Tasks(9)),
        (&[Fail(1)], Open),
        // Grants from before the opening.
        (&[Fail(3), Ack(3)], Open),
        (&[Reset], Tasks(2)),
        (&[], Shut),
        (&[Fail(2), Ack(1), Release(1)], Shut),
        // One success is not enough; its place is free for another probe.
        (&[AckLatest], Tasks(1)),
        (&[FailLatest], Open),
        (&[Reset], Tasks(2)),
        (&[AckLatest], Tasks(1)),
        (&[AckLatest], Tasks(9)),
        // Failures of what was granted before it closed.
        (&[Fail(4)], Tasks(9)),
    ]);
}

/// I22: by an operator's word, with and without an end, whatever the attempts did before.
#[test]
fn an_operator_opens_and_closes_a_breaker_through_any_replica() {
    let breaker = json!({"failure_threshold": 2, "reset_seconds": 60});
    let mut three = Three::with(&breaker);
    three.trace(&[
        (&[], Tasks(9)),
        (&[OpenByHand], Shut),
        (&[Ack(2)], Shut),
        (&[CloseByHand], Tasks(9)),
        // Failures of what was granted before.
        (&[Fail(3)], Tasks(9)),
        (&[FailLatest, FailLatest], Open),
        (&[CloseByHand], Tasks(9)),
        (&[OpenFor("1")], Open),
        (&[Reset], Tasks(1)),
        (&[], Shut),
        (&[AckLatest], Tasks(9)),
        (&[OpenFor("0.2"), Reset], Tasks(1)),
        (&[CloseByHand], Tasks(9)),
    ]);
}

/// I22: each failed probe doubles the time up to ten times, to the millisecond; a probe that a dead worker
/// took with it is a failed one when its lease is over; and a success begins anew.
#[test]
fn a_breaker_is_open_for_longer_with_each_failed_probe() {
    let breaker = json!({"failure_threshold": 1, "reset_seconds": 0.1});
    let mut three = Three::with(&breaker);
    assert_eq!(three.nine(), Tasks(9));
    for reset_ms in [100, 200, 400, 800, 1_000, 1_000] {
        let before = three.now_ms();
        three.perform(FailLatest);
        let after = three.now_ms();
        let until_ms = three.open_until_ms();
        assert!(
            until_ms >= before + reset_ms && until_ms <= after + reset_ms,
            "{} ms, not {reset_ms}",
            until_ms - before
        );
        // The waiting worker gets the probe, and no other worker gets a task.
        let waits = r#"{"max_tasks":9,"wait_seconds":10,"lease_seconds":60}"#;
        assert_eq!(three.lease(waits), Tasks(1), "after {reset_ms} ms");
        assert!(three.ms_of_latest("server_time") >= until_ms);
        assert_eq!(three.nine(), Shut);
    }

    three.perform(FailLatest);
    three.perform(Reset);
    assert_eq!(three.lease(r#"{"max_tasks":9,"lease_seconds":1}"#), Tasks(1));
    let over = three.ms_of_latest("lease_expires_at");
    let lost = three.held.pop().unwrap();
    until("the end of a lease", || (three.nine() == Open).then_some(()));
    let until_ms = three.open_until_ms();
    assert!(until_ms >= over + 1_000 && until_ms <= three.now_ms() + 1_000);
    three.api().settle(&lost, "nack", "").problem(409, "lease_lost");
    three.trace(&[(&[Reset], Tasks(1)), (&[], Shut), (&[AckLatest], Tasks(9))]);

    let before = three.now_ms();
    three.perform(FailLatest);
    let until_ms = three.open_until_ms();
    assert!(until_ms >= before + 100 && until_ms <= three.now_ms() + 100);
}

//! Examples of responses for the OpenAPI document, written by the types that write the responses.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::batch;
use super::dead_letters::ReplayedAnswer;
use super::dead_letters::bulk::BulkReplayAnswer;
use super::doctor;
use super::leases;
use super::problem::Code;
use super::queues;
use super::settle::answer::SettleAnswer;
use super::tasks::EnqueueAnswer;
use super::tasks::cancel::{CancelAnswer, CancelManyAnswer};
use super::tasks::change::ChangeAnswer;
use super::tasks::view::TaskAnswer;
use crate::domain::audit::{Audit, Disagreement, Kind};
use crate::domain::change::{Cancelled, Changed};
use crate::domain::checkup::Check;
use crate::domain::counts::Counts;
use crate::domain::latency::Spread;
use crate::domain::pause::{PauseMode, Paused};
use crate::domain::pulse::Rates;
use crate::domain::queue::QueueConfig;
use crate::domain::settle::Settled;
use crate::domain::task::{
    Attempt, AttemptOutcome, DeadReason, Enqueued, Json, LeasedTask, Meta, Priority, TaskError, TaskView,
};
use crate::domain::{Millis, QueueName, RetryPolicy, TaskId, TaskName, TaskState};
use crate::engine::{Progress, QueueInfo, QueueStats, Snapshot};

const ACCEPTED: Millis = Millis::new(1_800_000_000_120);

/// Operation, status, and an example of the response.
pub(super) fn answers() -> Vec<(&'static str, &'static str, Value)> {
    let queue = QueueName::parse("emails").expect("a sound name");
    let enqueued = Enqueued::new(id(), None);
    let results = [Ok(enqueued.clone()), Err(Code::PayloadTooLarge.problem())];
    let info = || QueueInfo {
        queue: queue.clone(),
        config: QueueConfig {
            max_attempts: Some(3),
            ..QueueConfig::default()
        },
        version: 7,
        created_at: ACCEPTED,
        stats: QueueStats {
            counts: Counts {
                ready: 120,
                leased: 4,
                accepted_total: 5_000,
                completed_total: 4_876,
                ..Counts::default()
            },
            ..QueueStats::default()
        },
    };
    let settled = |settled| json(&SettleAnswer::from(settled));
    vec![
        ("enqueue", "201", json(&EnqueueAnswer::of(&queue, enqueued))),
        ("enqueue_batch", "200", json(&batch::answer(&results))),
        ("task", "200", json(&TaskAnswer::of(&queue, &dead()))),
        (
            "lease",
            "200",
            json(&leases::LeaseAnswer::of_tasks(&[leased(&queue)], &[])),
        ),
        (
            "ack",
            "200",
            settled(Settled::Acked {
                id: id(),
                late: false,
                already: false,
            }),
        ),
        ("nack", "200", settled(nacked())),
        (
            "extend",
            "200",
            settled(Settled::Extended {
                id: id(),
                lease_expires_at: ACCEPTED.plus(62_000),
                cancel_requested: false,
            }),
        ),
        (
            "release",
            "200",
            settled(Settled::Released {
                id: id(),
                state: TaskState::Scheduled,
                run_at: Some(ACCEPTED.plus(32_000)),
                already: false,
            }),
        ),
        ("dead_letter", "200", json(&TaskAnswer::of(&queue, &dead()))),
        (
            "replay_dead_letter",
            "201",
            json(&ReplayedAnswer {
                id: id(),
                replayed_from: TaskId::parse("068n61q8004v6q1m9k3a5c0").expect("a sound id"),
            }),
        ),
        (
            "replay_dead_letters",
            "200",
            json(&BulkReplayAnswer {
                matched: 1_000,
                replayed: 998,
                skipped: 2,
                next_cursor: Some("YgAAAaMYV9h4".to_owned()),
            }),
        ),
        ("verify", "200", json(&queues::verify::AuditAnswer::of(&audit()))),
        ("doctor", "200", json(&doctor::CheckupAnswer::of(&checkup()))),
        (
            "cancel",
            "200",
            json(&CancelAnswer::of(id(), Cancelled::Requested)),
        ),
        (
            "cancel_many",
            "200",
            json(&CancelManyAnswer::from(Progress {
                matched: 120,
                done: 118,
                cancel_requested: 2,
                next_cursor: None,
            })),
        ),
        ("patch_task", "200", json(&ChangeAnswer::from(changed()))),
        (
            "pause",
            "200",
            json(&queues::pause::PauseAnswer::of(queue.clone(), Some(paused()))),
        ),
        (
            "resume",
            "200",
            json(&queues::pause::PauseAnswer::of(queue.clone(), None)),
        ),
        ("queue", "200", json(&queues::QueueAnswer::of(info()))),
        (
            "stats",
            "200",
            json(&queues::stats::StatsAnswer::from(Snapshot {
                stats: info().stats,
                rates: rates(),
            })),
        ),
    ]
}

fn paused() -> Paused {
    Paused {
        mode: PauseMode::Lease,
        since: ACCEPTED,
        until: Some(ACCEPTED.plus(3_600_000)),
        reason: Some("the mail provider is down".to_owned()),
    }
}

fn json(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).expect("answers have only text and numbers")
}

fn id() -> TaskId {
    TaskId::parse("068o8dg2f04v6q1m9k3a5c0").expect("a sound id")
}

fn audit() -> Audit {
    Audit {
        checked: 120,
        tasks: 120,
        problems: vec![Disagreement {
            kind: Kind::Lost,
            id: Some(id()),
            detail: "it has a record and is in no state index".to_owned(),
        }],
        problems_total: 1,
        next_cursor: None,
    }
}

fn checkup() -> Vec<Check> {
    vec![
        Check::ok("version", "Redis 7.0.15"),
        Check::fail(
            "eviction",
            "allkeys-lru",
            "Set maxmemory-policy noeviction: an evicted key is a lost task.",
        ),
    ]
}

fn rates() -> Rates {
    let spread = |mean_ms, p50_ms| {
        Some(Spread {
            mean_ms,
            p50_ms,
            p95_ms: p50_ms * 3,
            p99_ms: p50_ms * 5,
        })
    };
    Rates {
        throughput_per_second: [12.5, 11.9, 12.1],
        error_rate_per_minute: 4.0,
        wait: spread(31.2, 20),
        run: spread(240.8, 180),
        end_to_end: spread(272.1, 200),
    }
}

fn payload() -> Json {
    Json::from_checked(r#"{"to":"a@example.com"}"#.into())
}

fn name() -> TaskName {
    TaskName::parse("welcome").expect("a sound name")
}

fn changed() -> Changed {
    Changed {
        id: id(),
        state: TaskState::Ready,
        priority: Priority::new(100).expect("within its limits"),
        ready_at: ACCEPTED,
    }
}

fn nacked() -> Settled {
    Settled::Nacked {
        id: id(),
        state: TaskState::Scheduled,
        attempt: 1,
        attempts_left: 2,
        next_attempt_at: Some(ACCEPTED.plus(2_700)),
        already: false,
    }
}

fn leased(queue: &QueueName) -> LeasedTask {
    LeasedTask {
        id: id(),
        queue: queue.clone(),
        name: name(),
        group: None,
        payload: payload(),
        priority: Priority::DEFAULT,
        attempt: 1,
        max_attempts: 3,
        deferrals: 0,
        grant: 1,
        lease_id: "AQZlbWFpbHMBoLmG4wF4zJ0".to_owned(),
        lease_ms: 30_000,
        lease_expires_at: ACCEPTED.plus(32_000),
        server_time: ACCEPTED.plus(2_000),
        enqueued_at: ACCEPTED,
        ready_at: ACCEPTED,
        expires_at: None,
        unique_key: None,
        meta: Arc::new(Meta::default()),
        last_error: None,
    }
}

fn dead() -> TaskView {
    let error = TaskError {
        kind: "Timeout".to_owned(),
        message: "no answer after 30 s".to_owned(),
        ..TaskError::default()
    };
    let attempt = Attempt {
        number: 1,
        grant: 1,
        worker: Some("w-1".to_owned()),
        started_at: ACCEPTED.plus(2_000),
        ended_at: ACCEPTED.plus(32_000),
        outcome: AttemptOutcome::Nacked,
        error,
    };
    TaskView {
        id: id(),
        name: name(),
        group: None,
        state: TaskState::Dead,
        payload: payload(),
        priority: Priority::DEFAULT,
        attempt: 1,
        max_attempts: 1,
        deferrals: 0,
        grant: 1,
        lease_ms: 30_000,
        retry: RetryPolicy::DEFAULT,
        enqueued_at: ACCEPTED,
        expires_at: None,
        ready_at: None,
        lease_expires_at: None,
        cancel_requested: false,
        worker: Some("w-1".to_owned()),
        progress: None,
        finished_at: Some(ACCEPTED.plus(32_000)),
        result: None,
        reason: Some(DeadReason::AttemptsExhausted),
        attempts: vec![attempt],
        unique_key: None,
        meta: Meta::default(),
    }
}

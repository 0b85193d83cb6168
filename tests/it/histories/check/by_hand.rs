//! Histories written by hand: times in the tens, short names.

use crate::histories::history::{
    Accepted, Enqueue, Final, Grant, History, Outcome, Settle, Settled, Span, Verb, payload,
};

pub(super) fn span(start: u64, end: u64) -> Span {
    Span { start, end }
}

pub(super) fn enqueue(task: &str, start: u64) -> Enqueue {
    Enqueue {
        span: span(start, start + 5),
        place: 0,
        tag: task.to_owned(),
        lane: "lane".to_owned(),
        group: "q/None".to_owned(),
        name: "mail".to_owned(),
        priority: 10,
        outcome: Outcome::Done(Accepted {
            task: task.to_owned(),
            run_at_ms: None,
        }),
    }
}

/// The `number`th grant of a task, at `at` on both clocks, for 100.
pub(super) fn grant(task: &str, number: u64, at: u64) -> Grant {
    Grant {
        span: span(at - 2, at + 2),
        place: 0,
        task: task.to_owned(),
        payload: payload(task),
        queue: "q".to_owned(),
        name: "mail".to_owned(),
        group: String::new(),
        by_name: false,
        lease_id: format!("{task}/{number}"),
        number,
        attempt: number,
        max_attempts: 5,
        at_ms: at,
        expires_ms: at + 100,
        recalled: false,
    }
}

/// The same on two clocks of one time: asked for half a millisecond before and answered as much after.
pub(super) fn timed(mut grant: Grant) -> Grant {
    grant.span = span_of_ms(grant.at_ms);
    grant
}

/// The interval of an action in the middle of a millisecond.
pub(super) fn span_of_ms(ms: u64) -> Span {
    span(ms * 1000, ms * 1000 + 999)
}

pub(super) fn settle(verb: Verb, lease_id: &str, at: u64, outcome: Outcome<Settled>) -> Settle {
    Settle {
        span: span(at - 2, at + 2),
        verb,
        task: lease_id.split('/').next().unwrap().to_owned(),
        lease_id: lease_id.to_owned(),
        outcome,
    }
}

pub(super) fn done(state: &str) -> Outcome<Settled> {
    Outcome::Done(Settled {
        state: state.to_owned(),
        ..Settled::default()
    })
}

pub(super) fn already(state: &str) -> Outcome<Settled> {
    Outcome::Done(Settled {
        state: state.to_owned(),
        already: true,
        ..Settled::default()
    })
}

pub(super) fn until(ms: u64) -> Outcome<Settled> {
    Outcome::Done(Settled {
        until_ms: Some(ms),
        ..Settled::default()
    })
}

pub(super) fn lost<T>() -> Outcome<T> {
    Outcome::Refused("lease_lost".to_owned())
}

pub(super) fn left(task: &str, state: &str) -> (String, Vec<Final>) {
    let left = Final {
        state: state.to_owned(),
        payload: payload(task),
        attempt: 1,
        max_attempts: 5,
        reason: String::new(),
    };
    (task.to_owned(), vec![left])
}

/// Two tasks and what usually becomes of them: one acked at once, one after a failure.
pub(super) fn ordinary() -> History {
    History {
        enqueues: vec![enqueue("a", 10), enqueue("b", 20)],
        grants: vec![grant("a", 1, 100), grant("b", 1, 110), grant("b", 2, 150)],
        settles: vec![
            settle(Verb::Ack, "a/1", 120, done("completed")),
            settle(Verb::Nack, "b/1", 130, until(140)),
            settle(Verb::Ack, "b/2", 160, done("completed")),
        ],
        finals: [left("a", "completed"), left("b", "completed")].into(),
        ..History::default()
    }
}

#[track_caller]
pub(super) fn assert_breach(breaches: &[String], invariant: &str) {
    assert!(
        breaches.iter().any(|breach| breach.starts_with(invariant)),
        "expected a breach of {invariant}, got {breaches:?}"
    );
}

#[test]
fn an_ordinary_history_has_no_breach() {
    assert_eq!(super::breaches(&ordinary()), Vec::<String>::new());
}

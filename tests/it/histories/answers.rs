//! Answers as facts.

use leaseq::domain::Millis;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::history::{Accepted, Grant, Outcome, Settled, Span};

/// The response to a request.
pub(super) enum Said {
    /// Status and body.
    Answer(u16, String),
    /// The connection was refused: nothing was sent.
    Nobody,
    Silence,
}

impl<T> Outcome<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done(done) => Outcome::Done(change(done)),
            Self::Refused(code) => Outcome::Refused(code),
            Self::Unknown => Outcome::Unknown,
        }
    }
}

pub(super) fn outcome(said: &Said) -> Outcome<Value> {
    match said {
        Said::Nobody => Outcome::Refused("nobody".to_owned()),
        Said::Silence => Outcome::Unknown,
        Said::Answer(200..=299, body) => Outcome::Done(serde_json::from_str(body).unwrap()),
        Said::Answer(_, body) => problem(&serde_json::from_str(body).unwrap()),
    }
}

pub(super) fn problem<T>(problem: &Value) -> Outcome<T> {
    if problem["outcome"] == "unknown" {
        Outcome::Unknown
    } else {
        Outcome::Refused(problem["code"].as_str().unwrap_or("no code").to_owned())
    }
}

/// The outcomes of the items of one request, which all have the request's own where that failed.
pub(super) fn items<T>(
    whole: &Outcome<Value>,
    count: usize,
    list: &str,
    read: impl Fn(&Value) -> T,
) -> Vec<Outcome<T>> {
    let each = |index: usize| match whole {
        Outcome::Refused(code) => Outcome::Refused(code.clone()),
        Outcome::Unknown => Outcome::Unknown,
        Outcome::Done(answer) => match &answer[list][index] {
            item if item["error"].is_object() => problem(&item["error"]),
            item => Outcome::Done(read(item)),
        },
    };
    (0..count).map(each).collect()
}

pub(super) fn ms(instant: &Value) -> Option<u64> {
    instant.as_str().map(|text| Millis::parse(text).unwrap().get())
}

pub(super) fn accepted(answer: &Value) -> Accepted {
    Accepted {
        task: answer["id"].as_str().unwrap_or("an answer without id").to_owned(),
        run_at_ms: ms(&answer["run_at"]),
    }
}

pub(super) fn done(answer: &Value) -> Settled {
    let until = ["lease_expires_at", "next_attempt_at", "run_at"].map(|field| ms(&answer[field]));
    Settled {
        state: answer["state"].as_str().unwrap_or_default().to_owned(),
        already: answer["already"] == true,
        until_ms: until.into_iter().flatten().next(),
    }
}

#[derive(Deserialize)]
pub(super) struct Leased<'a> {
    #[serde(borrow)]
    pub(super) tasks: Vec<LeasedTask<'a>>,
}

#[derive(Deserialize)]
pub(super) struct LeasedTask<'a> {
    id: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
    queue: &'a str,
    name: &'a str,
    group: Option<&'a str>,
    lease_id: &'a str,
    grant: u64,
    attempt: u64,
    max_attempts: u64,
    server_time: &'a str,
    lease_expires_at: &'a str,
}

impl LeasedTask<'_> {
    pub(super) fn grant(&self, span: Span, place: usize, by_name: bool, recalled: bool) -> Grant {
        Grant {
            span,
            place,
            task: self.id.to_owned(),
            payload: self.payload.get().to_owned(),
            queue: self.queue.to_owned(),
            name: self.name.to_owned(),
            group: self.group.unwrap_or_default().to_owned(),
            by_name,
            lease_id: self.lease_id.to_owned(),
            number: self.grant,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            at_ms: Millis::parse(self.server_time).unwrap().get(),
            expires_ms: Millis::parse(self.lease_expires_at).unwrap().get(),
            recalled,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow)]
    pub(super) items: Vec<Shown<'a>>,
    pub(super) next_cursor: Option<&'a str>,
}

#[derive(Deserialize)]
pub(super) struct Shown<'a> {
    pub(super) id: &'a str,
    pub(super) state: &'a str,
    #[serde(borrow)]
    pub(super) payload: &'a RawValue,
    pub(super) attempt: u64,
    pub(super) max_attempts: u64,
    pub(super) reason: Option<&'a str>,
}

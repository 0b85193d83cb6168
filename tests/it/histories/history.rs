//! The observations of clients as facts: the request, its start and end, and the response.

use std::collections::BTreeMap;

/// From before a request was sent until its answer was read, in microseconds of the test's one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Span {
    pub(super) fn is_before(self, other: Self) -> bool {
        self.end < other.start
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome<T> {
    Done(T),
    /// Answered, and nothing was done: the problem's code.
    Refused(String),
    /// No answer, or one that says it cannot tell.
    Unknown,
}

impl<T> Outcome<T> {
    pub(super) fn done(&self) -> Option<&T> {
        match self {
            Self::Done(done) => Some(done),
            Self::Refused(_) | Self::Unknown => None,
        }
    }
}

/// One task that a producer sent.
#[derive(Debug, Clone)]
pub(super) struct Enqueue {
    pub(super) span: Span,
    /// In its request.
    pub(super) place: usize,
    /// The number in the payload that identifies this task.
    pub(super) tag: String,
    /// Name, group and priority.
    pub(super) lane: String,
    /// The index of its queue.
    pub(super) group: String,
    pub(super) name: String,
    pub(super) priority: u16,
    pub(super) outcome: Outcome<Accepted>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) task: String,
    /// Scheduled tasks only, in milliseconds of Redis's clock.
    pub(super) run_at_ms: Option<u64>,
}

/// One task that a worker was handed.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) span: Span,
    /// In its answer.
    pub(super) place: usize,
    pub(super) task: String,
    /// As it came, byte for byte.
    pub(super) payload: String,
    pub(super) queue: String,
    pub(super) name: String,
    pub(super) group: String,
    /// Its call asked for this name alone.
    pub(super) by_name: bool,
    pub(super) lease_id: String,
    pub(super) number: u64,
    pub(super) attempt: u64,
    pub(super) max_attempts: u64,
    /// `server_time` and `lease_expires_at`, in milliseconds of Redis's clock.
    pub(super) at_ms: u64,
    pub(super) expires_ms: u64,
    /// Told to one who asked again: granted before `at_ms`, nobody knows how long.
    pub(super) recalled: bool,
}

/// A lease call with a `request_id` that was answered before.
#[derive(Debug, Clone)]
pub(super) struct Repeat {
    pub(super) span: Span,
    /// The contents of the earlier responses.
    pub(super) first: Vec<Grant>,
    pub(super) again: Vec<Grant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Ack,
    Nack,
    /// nack with `retry: false`
    Reject,
    Extend,
    Release,
}

impl Verb {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Nack | Self::Reject => "nack",
            Self::Extend => "extend",
            Self::Release => "release",
        }
    }
}

/// One operation with a lease.
#[derive(Debug, Clone)]
pub(super) struct Settle {
    pub(super) span: Span,
    pub(super) verb: Verb,
    pub(super) task: String,
    pub(super) lease_id: String,
    pub(super) outcome: Outcome<Settled>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Settled {
    pub(super) state: String,
    pub(super) already: bool,
    /// When the lease now ends, or when the task is due again, in milliseconds of Redis's clock.
    pub(super) until_ms: Option<u64>,
}

/// The gates that a request can shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gate {
    /// All leases.
    Pause,
    HoldOfName(&'static str),
    HoldOfGroup(&'static str),
    /// A name without a configured breaker.
    Breaker(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// In milliseconds of Redis's clock.
    Ms(u64),
    /// Until somebody opens it.
    Further,
    /// It was opened.
    Open,
}

/// One change of a gate by a client.
#[derive(Debug, Clone)]
pub(super) struct Turned {
    pub(super) span: Span,
    pub(super) queue: &'static str,
    pub(super) gate: Gate,
    pub(super) outcome: Outcome<Until>,
    /// By a release: it never opens what is shut, nor sooner.
    pub(super) only_longer: bool,
}

/// The remains of a task when all is quiet.
#[derive(Debug, Clone, Default)]
pub(super) struct Final {
    pub(super) state: String,
    pub(super) payload: String,
    pub(super) attempt: u64,
    pub(super) max_attempts: u64,
    pub(super) reason: String,
}

#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) enqueues: Vec<Enqueue>,
    pub(super) grants: Vec<Grant>,
    /// Redis does not know the task any more.
    pub(super) lost_grants: Vec<Grant>,
    pub(super) settles: Vec<Settle>,
    pub(super) repeats: Vec<Repeat>,
    pub(super) turned: Vec<Turned>,
    /// Answers that no client should ever get, in words.
    pub(super) absurd: Vec<String>,
    pub(super) finals: BTreeMap<String, Vec<Final>>,
}

impl History {
    pub(super) fn add(&mut self, other: Self) {
        self.enqueues.extend(other.enqueues);
        self.grants.extend(other.grants);
        self.lost_grants.extend(other.lost_grants);
        self.settles.extend(other.settles);
        self.repeats.extend(other.repeats);
        self.turned.extend(other.turned);
        self.absurd.extend(other.absurd);
        self.finals.extend(other.finals);
    }

    /// Grants of each task that somebody was handed, by number; without lost ones.
    pub(super) fn by_task(&self) -> BTreeMap<&str, Vec<&Grant>> {
        let mut tasks: BTreeMap<&str, Vec<&Grant>> = BTreeMap::new();
        for grant in &self.grants {
            tasks.entry(&grant.task).or_default().push(grant);
        }
        for grants in tasks.values_mut() {
            grants.sort_by_key(|grant| (grant.number, grant.at_ms));
        }
        tasks
    }

    /// Tasks that were ready as soon as they were accepted, with their very first grant: those of which
    /// somebody was handed it.
    pub(super) fn first_grants(&self) -> Vec<(&Enqueue, &Grant)> {
        let firsts: BTreeMap<&str, &Grant> = self
            .grants
            .iter()
            .filter(|grant| grant.number == 1 && !grant.recalled)
            .map(|grant| (grant.task.as_str(), grant))
            .collect();
        let first_of = |enqueue: &Enqueue| {
            let accepted = enqueue.outcome.done()?;
            let is_ready = accepted.run_at_ms.is_none();
            firsts.get(accepted.task.as_str()).copied().filter(|_| is_ready)
        };
        let enqueues = self.enqueues.iter();
        enqueues
            .filter_map(|enqueue| Some((enqueue, first_of(enqueue)?)))
            .collect()
    }

    /// Lost ones, too: their holders know nothing of it.
    pub(super) fn by_lease(&self) -> BTreeMap<&str, &Grant> {
        let grants = self.grants.iter().chain(&self.lost_grants);
        grants.map(|grant| (grant.lease_id.as_str(), grant)).collect()
    }

    /// Returns the requests on each lease, in the order of sending.
    pub(super) fn settles_by_lease(&self) -> BTreeMap<&str, Vec<&Settle>> {
        let mut leases: BTreeMap<&str, Vec<&Settle>> = BTreeMap::new();
        for settle in &self.settles {
            leases.entry(&settle.lease_id).or_default().push(settle);
        }
        for settles in leases.values_mut() {
            settles.sort_by_key(|settle| settle.span.start);
        }
        leases
    }

    /// Redis fell back to what it had synced at `synced`, and was gone at `gone` (both in microseconds of the
    /// test's clock): what was answered between no longer counts as done.
    pub(super) fn forget(&mut self, synced: u64, gone: u64) {
        let lost = |span: Span| span.end >= synced && span.start <= gone;
        for enqueue in self.enqueues.iter_mut().filter(|enqueue| lost(enqueue.span)) {
            enqueue.outcome = Outcome::Unknown;
        }
        for settle in self.settles.iter_mut().filter(|settle| lost(settle.span)) {
            settle.outcome = Outcome::Unknown;
        }
        self.repeats
            .retain(|repeat| !lost(repeat.span) && !repeat.first.iter().any(|grant| lost(grant.span)));
        self.lost_grants
            .extend(self.grants.extract_if(.., |grant| lost(grant.span)));
    }
}

/// The payload that belongs to a tag: what JSON libraries like to change, and now and then more than 2 KiB,
/// which lies elsewhere in Redis.
pub(super) fn payload(tag: &str) -> String {
    let large = tag.bytes().map(usize::from).sum::<usize>() % 16 == 0;
    let pad = "x".repeat(if large { 3000 } else { 40 });
    format!(r#"{{"tag":"{tag}", "b":9007199254740993,"a":[ ],"a":1.10,"pad":"{pad}"}}"#)
}

/// The tag inside a payload, or the whole of what is no payload of these tests.
pub(super) fn tag(payload: &str) -> &str {
    let tag = payload
        .strip_prefix(r#"{"tag":""#)
        .and_then(|rest| rest.split('"').next());
    tag.unwrap_or(payload)
}

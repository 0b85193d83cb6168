//! A task, and the one state it is in.

use bytes::Bytes;
use leaseq::domain::task::{AttemptOutcome, DeadReason};
use leaseq::domain::unique::Unique;
use leaseq::domain::{Millis, RetryPolicy, TaskId, TaskName};

/// Places of a millisecond. Tasks accepted within one stand in it one behind the other, so that no two share
/// a moment.
pub const PLACES: u64 = 2048;

#[derive(Debug, Clone)]
pub struct Task {
    pub id: TaskId,
    pub name: TaskName,
    /// Empty for tasks without one: they form one group.
    pub group: String,
    pub payload: Bytes,
    pub priority: u16,
    pub max_attempts: u16,
    pub lease_ms: u64,
    pub retry: RetryPolicy,
    /// The moment of acceptance, in [`PLACES`] of a millisecond. Breaks ties.
    pub accepted: u64,
    /// When it was to run first, if not at once.
    pub run_at: Option<Millis>,
    /// From then on nobody is granted it.
    pub expires_at: Option<Millis>,
    /// Where it stands among the ready ones, or stood last.
    pub place: u64,
    pub state: State,
    /// How often it was handed out. Never falls, not even when a grant is given back.
    pub grants: u32,
    /// The number of the latest grant.
    pub nonce: Option<Nonce>,
    /// Grants that counted and failed. Releases and give-backs are not among them.
    pub failed: u16,
    pub deferrals: u16,
    pub worker: Option<String>,
    pub progress: Option<Bytes>,
    pub cancel_requested: bool,
    pub attempts: Vec<Attempt>,
    pub unique: Option<Unique>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Scheduled {
        due: Millis,
        /// As below: it was put off since.
        ran_out: Option<Nonce>,
    },
    Ready {
        /// The lease that ran out, while nobody was granted the task since: its late ack would still complete
        /// it.
        ran_out: Option<Nonce>,
        /// Not after a lease met it there past its expiry: then it only waits to be buried.
        in_lane: bool,
    },
    Leased(Lease),
    Completed {
        at: Millis,
        result: Option<Bytes>,
        /// By a lease that had run out and was counted as a failed attempt already.
        after_expiry: bool,
    },
    Cancelled {
        at: Millis,
    },
    Dead {
        at: Millis,
        reason: DeadReason,
    },
}

impl State {
    pub const READY: Self = Self::Ready {
        ran_out: None,
        in_lane: true,
    };
}

/// The part of a lease that nobody can guess.
pub type Nonce = u16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub nonce: Nonce,
    pub granted_at: Millis,
    pub expires_at: Millis,
    /// The length of an extend that names none.
    pub lease_ms: u64,
}

/// The facts that a `lease_id` proves: this grant of this task, and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    pub task: TaskId,
    pub grant: u32,
    pub nonce: Nonce,
}

/// A grant that counted and failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub number: u16,
    pub grant: u32,
    pub worker: Option<String>,
    pub started_at: Millis,
    pub ended_at: Millis,
    pub outcome: AttemptOutcome,
    pub error_type: String,
    pub message: String,
}

/// The report of a worker on a failure, and the part of it that groups failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub kind: &'static str,
    pub message: &'static str,
    pub masked: &'static str,
}

pub const FAULTS: [Fault; 4] = [
    fault("error", "it broke", "it broke"),
    fault("Timeout", "order 17 took 2.5 s", "order <n> took <n> s"),
    fault("Timeout", "order 18 took 31 s", "order <n> took <n> s"),
    fault("Refused", "order 17 took 2.5 s", "order <n> took <n> s"),
];

const fn fault(kind: &'static str, message: &'static str, masked: &'static str) -> Fault {
    Fault {
        kind,
        message,
        masked,
    }
}

impl Attempt {
    pub fn masked(&self) -> &str {
        let fault = FAULTS.iter().find(|fault| fault.message == self.message);
        fault.map_or(self.message.as_str(), |fault| fault.masked)
    }
}

impl Task {
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Leased(lease) => Some(lease),
            _ => None,
        }
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    pub fn is_in_lane(&self) -> bool {
        matches!(self.state, State::Ready { in_lane: true, .. })
    }

    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Ready { .. } | State::Scheduled { .. })
    }

    /// Neither finished nor dead.
    pub fn is_unfinished(&self) -> bool {
        self.is_waiting() || self.lease().is_some()
    }

    pub fn is_completed(&self) -> bool {
        matches!(self.state, State::Completed { .. })
    }

    /// The lease that this proof is of, run out or not.
    pub fn held_by(&self, proof: Proof) -> Option<&Lease> {
        self.lease()
            .filter(|lease| lease.nonce == proof.nonce && self.grants == proof.grant)
    }

    /// The lease is known not to have been settled, though no mark says anything of it: it ran out, or it is
    /// of a grant that this task has not had.
    pub fn was_never_settled_by(&self, proof: Proof) -> bool {
        let is_latest = self.grants == proof.grant;
        let not_had = proof.grant > self.grants
            || (is_latest && (self.nonce != Some(proof.nonce) || self.lease().is_some()));
        let mut attempts = self
            .attempts
            .iter()
            .filter(|attempt| attempt.grant == proof.grant);
        not_had || attempts.any(|attempt| attempt.outcome == AttemptOutcome::LeaseExpired)
    }

    /// Where it will stand once ready at `at`. Nothing is ready before it was accepted: within one
    /// millisecond the order of acceptance holds.
    pub fn place_at(&self, at: Millis) -> u64 {
        (at.get() * PLACES).max(self.accepted)
    }

    /// An attempt that ended now or earlier, as it will be remembered.
    pub fn failed_attempt(
        &self,
        lease: &Lease,
        outcome: AttemptOutcome,
        (error_type, message): (&str, &str),
        ended_at: Millis,
    ) -> Attempt {
        Attempt {
            number: self.failed + 1,
            grant: self.grants,
            worker: self.worker.clone(),
            started_at: lease.granted_at,
            ended_at,
            outcome,
            error_type: error_type.to_owned(),
            message: message.to_owned(),
        }
    }
}

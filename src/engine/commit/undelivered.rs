//! Grants that no caller has yet, and their give-back.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::domain::{Lease, Millis, QueueName, TaskId};
use crate::store::ops::lease::Grant;

/// A lease is handed out only while more than a tenth of it is left, so that its holder can at least extend
/// it.
const LEFT_AT_LEAST: u32 = 10;

/// Grants of one lease call that no caller got: their leases are returned at once.
#[derive(Debug)]
pub(in crate::engine) struct GiveBack {
    pub(super) queue: QueueName,
    pub(super) leases: Vec<Lease>,
    /// Owner and `request_id` of the lease call, if it had one.
    pub(super) call: Option<String>,
}

/// A guard for grants that no caller has yet. Dropping it gives their tasks back at once, without counting an
/// attempt.
pub(in crate::engine) struct Undelivered {
    /// The committer that granted them.
    home: mpsc::Sender<GiveBack>,
    queue: QueueName,
    /// Owner and `request_id` of the lease call, if it had one.
    call: Option<String>,
    /// An earlier caller with the same `request_id` may hold the leases, so they are never given back.
    recalled: bool,
    leases: Vec<Pledge>,
}

/// One lease that is still the service's.
#[derive(Debug, Clone, Copy)]
struct Pledge {
    task: TaskId,
    grant: u32,
    nonce: u16,
    /// From then on too little of the lease would be left for a worker.
    not_after: Instant,
}

/// Returns until when a lease of this length may be handed out.
///
/// Redis granted it some unknown time after `asked_at`: Redis, the wire or this process may have stalled
/// before the script or behind it. So the process counts from `asked_at`, by its own clock.
fn not_after(asked_at: Instant, length: Duration) -> Instant {
    asked_at + (length - length / LEFT_AT_LEAST)
}

impl Undelivered {
    /// Guards the grants of one call that was sent at `asked_at`, and that Redis executed at `now`.
    pub(super) fn new(
        home: mpsc::Sender<GiveBack>,
        queue: QueueName,
        call: Option<String>,
        grants: &[Grant],
        (asked_at, now): (Instant, Millis),
    ) -> Self {
        let pledge = |grant: &Grant| {
            let length = Duration::from_millis(grant.expires_at().since(now));
            let (number, nonce) = grant.identity();
            Pledge {
                task: grant.id,
                grant: number,
                nonce,
                not_after: not_after(asked_at, length),
            }
        };
        Self {
            home,
            queue,
            call,
            recalled: false,
            leases: grants.iter().map(pledge).collect(),
        }
    }

    /// Marks the leases as recalled: they are not given back.
    pub(super) fn recalled(mut self) -> Self {
        self.recalled = true;
        self
    }

    pub(in crate::engine) fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// The response is being written: the leases belong to the caller from now on.
    pub(in crate::engine) fn deliver(mut self) {
        self.leases.clear();
    }

    /// Returns whether one of the leases has expired or is about to.
    pub(in crate::engine) fn is_over(&self) -> bool {
        let now = Instant::now();
        self.leases.iter().any(|lease| lease.not_after <= now)
    }

    /// Gives the leases back that have expired or are about to. Returns which were kept, in order.
    pub(in crate::engine) fn keep_in_time(&mut self) -> Vec<bool> {
        let now = Instant::now();
        let kept = self.leases.iter().map(|lease| lease.not_after > now).collect();
        let over: Vec<Pledge> = self
            .leases
            .extract_if(.., |lease| lease.not_after <= now)
            .collect();
        self.give_back(over);
        kept
    }

    /// Leaves the leases of the grants that `readable` refuses to run out by themselves. Giving a damaged
    /// task back would hand it out again at once, forever.
    pub(in crate::engine) fn retain(&mut self, readable: &[bool]) {
        let mut readable = readable.iter();
        self.leases.retain(|_| readable.next() == Some(&true));
    }

    /// Takes over the leases of another call on the same queue.
    pub(in crate::engine) fn append(&mut self, mut other: Self) {
        self.leases.append(&mut other.leases);
    }

    /// Called by a destructor, so it cannot wait: if the channel is full, the leases expire instead.
    fn give_back(&mut self, leases: Vec<Pledge>) {
        if leases.is_empty() || self.recalled {
            return;
        }
        let lease = |pledge: Pledge| Lease {
            queue: self.queue.clone(),
            task: pledge.task,
            grant: pledge.grant,
            nonce: pledge.nonce,
            granted_at: Millis::default(),
            age_ms: 0,
            size: 0,
            holds_key: false,
        };
        let leases = leases.into_iter().map(lease).collect();
        let give_back = GiveBack {
            queue: self.queue.clone(),
            leases,
            call: self.call.clone(),
        };
        if self.home.try_send(give_back).is_err() {
            tracing::warn!(queue = %self.queue, "a give-back found its channel full; its leases will expire instead");
        }
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        let leases = std::mem::take(&mut self.leases);
        self.give_back(leases);
    }
}

/// Grants as Redis replied them, on their way from the committer to the task of the caller, which decodes
/// them.
pub(in crate::engine) struct RawGrants {
    /// Time of Redis's clock when it granted them.
    pub(in crate::engine) now: Millis,
    pub(in crate::engine) grants: Vec<Grant>,
    pub(in crate::engine) guard: Undelivered,
}

#[cfg(test)]
impl Undelivered {
    /// Guards one lease of `length` that was asked for at `asked_at`. Returns the guard, and the channel that
    /// receives a give-back.
    pub(in crate::engine) fn of_one(asked_at: Instant, length: Duration) -> (Self, mpsc::Receiver<GiveBack>) {
        let (home, given_back) = mpsc::channel(1);
        let guard = Self {
            home,
            queue: QueueName::parse("q").expect("a valid name"),
            call: None,
            recalled: false,
            leases: vec![Pledge {
                task: TaskId::new(Millis::local()),
                grant: 1,
                nonce: 0,
                not_after: not_after(asked_at, length),
            }],
        };
        (guard, given_back)
    }

    /// Guards nothing.
    pub(in crate::engine) fn of_none() -> Self {
        let (mut guard, _) = Self::of_one(Instant::now(), Duration::ZERO);
        guard.leases.clear();
        guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    fn asked(seconds_ago: u64) -> (Undelivered, mpsc::Receiver<GiveBack>) {
        Undelivered::of_one(Instant::now() - Duration::from_secs(seconds_ago), LENGTH)
    }

    #[test]
    fn a_lease_is_handed_out_while_more_than_a_tenth_of_it_is_left() {
        let (mut guard, mut given_back) = asked(8);
        assert_eq!(guard.keep_in_time(), [true]);
        guard.deliver();
        assert!(given_back.try_recv().is_err());
    }

    #[test]
    fn a_lease_that_is_nearly_over_is_given_back() {
        let (mut guard, mut given_back) = asked(9);
        assert!(guard.is_over());
        assert_eq!(guard.keep_in_time(), [false]);
        assert!(
            matches!(given_back.try_recv(), Ok(GiveBack { leases, call: None, .. }) if leases.len() == 1)
        );
    }

    #[test]
    fn a_dropped_guard_gives_its_leases_back_once() {
        let (guard, mut given_back) = asked(0);
        drop(guard);
        assert!(
            matches!(given_back.try_recv(), Ok(GiveBack { leases, call: None, .. }) if leases.len() == 1)
        );
        assert!(given_back.try_recv().is_err());
    }

    /// I6: a caller that repeats a request cannot take a lease away from the first caller, which may hold it.
    #[test]
    fn a_recalled_lease_is_never_given_back() {
        let (late, mut given_back) = asked(9);
        let mut late = late.recalled();
        assert_eq!(late.keep_in_time(), [false]);
        assert!(given_back.try_recv().is_err());
        let (left, mut given_back) = asked(0);
        drop(left.recalled());
        assert!(given_back.try_recv().is_err());
    }
}

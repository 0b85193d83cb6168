//! Grants in the hands of a request, until they are in the hands of its caller.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Engine;
use super::command::{Command, Grants, give_back};
use crate::domain::task::Json;
use crate::domain::{Lease, LeasedTask, QueueName};

/// Whoever drops it without [`Granted::delivered`] gives the tasks back at once, attempt not counted.
pub struct Granted {
    tasks: Vec<LeasedTask>,
    bytes: usize,
    queue: QueueName,
    /// Owner and `request_id` of the call, if any.
    call: Option<String>,
    /// Beside the tasks; none once delivered.
    holds: Vec<Hold>,
    home: mpsc::Sender<Command>,
}

/// One grant that is still the service's.
struct Hold {
    lease: Lease,
    /// From then on nobody could work on it any more.
    not_after: Instant,
    /// An earlier caller may have it, so it is not given back.
    recalled: bool,
}

/// A lease is handed out only while more than a tenth of it is left, so that its holder can at least extend it.
const LEFT_LEAST: u32 = 10;

/// Until when a lease of `lasts` may be handed out. Redis granted it after `asked_at`, nobody knows how long after: it or the wire may
/// have stalled before or behind the script, or this process itself. Its own clock knows no more than this, and needs no other.
fn not_after(asked_at: Instant, lasts: Duration) -> Instant {
    asked_at + (lasts - lasts / LEFT_LEAST)
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Granted({} tasks of {})", self.tasks.len(), self.queue)
    }
}

impl Granted {
    pub fn tasks(&self) -> &[LeasedTask] {
        &self.tasks
    }

    /// Bytes of all payloads.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The payloads are written down: an answer to a slow caller must not hold them twice.
    pub fn forget_payloads(&mut self) {
        for task in &mut self.tasks {
            task.payload = Json::null();
        }
    }

    /// The answer is being written: the grants are the caller's now.
    pub fn delivered(mut self) {
        self.holds.clear();
    }

    /// A lease among them is over, or nearly: the answer came too late, and must not reach anybody.
    pub fn is_over(&self) -> bool {
        let now = Instant::now();
        self.holds.iter().any(|hold| hold.not_after <= now)
    }

    /// Only leases that are not over; the others are given back. `None` when all are over.
    pub(super) fn in_time(mut self) -> Option<Self> {
        if !self.is_over() {
            return Some(self);
        }
        let now = Instant::now();
        let in_time: Vec<bool> = self.holds.iter().map(|hold| hold.not_after > now).collect();
        let mut keeps = in_time.into_iter();
        self.tasks.retain(|_| keeps.next() == Some(true));
        let over: Vec<Hold> = self.holds.extract_if(.., |hold| hold.not_after <= now).collect();
        tracing::warn!(queue = %self.queue, leases = over.len(), "leases were over before they could be handed out: Redis, the wire to it or this process stalled");
        self.give_back(over);
        self.bytes = self.tasks.iter().map(|task| task.payload.bytes().len()).sum();
        (!self.tasks.is_empty()).then_some(self)
    }

    fn give_back(&self, holds: Vec<Hold>) {
        let leases: Vec<Lease> = holds
            .into_iter()
            .filter(|hold| !hold.recalled)
            .map(|hold| hold.lease)
            .collect();
        if !leases.is_empty() {
            give_back(&self.home, self.queue.clone(), leases, self.call.clone());
        }
    }

    #[cfg(test)]
    pub(crate) fn of_nothing() -> Self {
        let queue = QueueName::parse("q").expect("a valid name");
        Self {
            tasks: Vec::new(),
            bytes: 0,
            queue,
            call: None,
            holds: Vec::new(),
            home: mpsc::channel(1).0,
        }
    }

    pub(super) fn append(&mut self, mut more: Self) {
        self.bytes += more.bytes;
        self.tasks.append(&mut more.tasks);
        self.holds.append(&mut more.holds);
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        let holds = std::mem::take(&mut self.holds);
        self.give_back(holds);
    }
}

impl Engine {
    /// Decodes grants and seals their lease ids; `None` when there are none. A task that cannot be read is left to
    /// its lease and its attempts: giving it back would hand it out again at once, for ever.
    pub(super) fn open(&self, grants: Grants) -> Option<Granted> {
        let (queue, now, home) = (grants.queue.clone(), grants.now, grants.home.clone());
        let (asked_at, recalled, call) = (grants.asked_at, grants.recalled, grants.call.clone());
        let mut granted = Granted {
            tasks: Vec::new(),
            bytes: 0,
            queue: queue.clone(),
            call,
            holds: Vec::new(),
            home,
        };
        let key = self.store().lease_key();
        for grant in grants.claim() {
            let lasts = Duration::from_millis(grant.expires_at().since(now));
            match grant.open(&queue, &key, now) {
                Ok((task, lease)) => {
                    granted.bytes += task.payload.bytes().len();
                    granted.tasks.push(task);
                    granted.holds.push(Hold {
                        lease,
                        not_after: not_after(asked_at, lasts),
                        recalled,
                    });
                }
                Err(bad) => tracing::error!(%queue, %bad, "a granted task cannot be read"),
            }
        }
        (!granted.tasks.is_empty()).then_some(granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Millis, TaskId};

    /// A grant asked for `ago` in the past, of a lease of ten seconds; and what its committer is told.
    fn granted(ago: u64, recalled: bool) -> (Granted, mpsc::Receiver<Command>) {
        let (home, told) = mpsc::channel(1);
        let queue = QueueName::parse("q").unwrap();
        let lease = Lease {
            queue: queue.clone(),
            task: TaskId::new(Millis::local()),
            grant: 1,
            granted_at: Millis::local(),
            nonce: 0,
            age_ms: 0,
            size: 0,
            holds_key: false,
        };
        let asked_at = Instant::now() - Duration::from_secs(ago);
        let hold = Hold {
            not_after: not_after(asked_at, Duration::from_secs(10)),
            recalled,
            lease,
        };
        let granted = Granted {
            tasks: Vec::new(),
            bytes: 0,
            queue,
            call: None,
            holds: vec![hold],
            home,
        };
        (granted, told)
    }

    #[test]
    fn a_lease_is_handed_out_while_more_than_a_tenth_of_it_is_left() {
        let (granted, mut told) = granted(8, false);
        granted.in_time().unwrap().delivered();
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn a_lease_that_is_nearly_over_is_given_back() {
        let (granted, mut told) = granted(9, false);
        assert!(granted.is_over() && granted.in_time().is_none());
        assert!(matches!(told.try_recv(), Ok(Command::GiveBack(_, leases, None)) if leases.len() == 1));
    }

    /// I6: what the first caller may hold is not taken away by one who repeats its call.
    #[test]
    fn a_recalled_lease_is_never_given_back() {
        let (late, mut told) = granted(9, true);
        assert!(late.in_time().is_none() && told.try_recv().is_err());
        let (left, mut told) = granted(0, true);
        drop(left);
        assert!(told.try_recv().is_err());
    }
}

//! Tasks in the hands of a request, until they are in the hands of its caller.

use super::Engine;
use super::commit::{RawGrants, Undelivered};
use crate::domain::LeasedTask;
use crate::domain::task::Json;

/// Leased tasks that no caller has yet. Dropping them without [`Granted::delivered`] gives the tasks back at
/// once, without counting an attempt.
pub struct Granted {
    tasks: Vec<LeasedTask>,
    bytes: usize,
    guard: Undelivered,
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Granted({} tasks of {})", self.tasks.len(), self.guard.queue())
    }
}

impl Granted {
    pub fn tasks(&self) -> &[LeasedTask] {
        &self.tasks
    }

    /// Returns the bytes of all payloads.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops the payloads once the response contains them, so that a slow caller does not keep them in memory
    /// twice.
    pub fn forget_payloads(&mut self) {
        for task in &mut self.tasks {
            task.payload = Json::null();
        }
    }

    /// The response is being written: the leases belong to the caller from now on.
    pub fn delivered(self) {
        self.guard.deliver();
    }

    /// Returns whether a lease among them has expired or is about to, so that the response must not reach
    /// anybody.
    pub fn is_over(&self) -> bool {
        self.guard.is_over()
    }

    /// Keeps the tasks whose leases have time left, and gives the others back. Returns `None` if no task is
    /// left.
    pub(super) fn in_time(mut self) -> Option<Self> {
        if !self.is_over() {
            return Some(self);
        }
        let in_time = self.guard.keep_in_time();
        let over = in_time.iter().filter(|kept| !**kept).count();
        tracing::warn!(
            queue = %self.guard.queue(),
            leases = over,
            "leases expired before they could be handed out: Redis, the wire to it or this process stalled"
        );
        let mut kept = in_time.into_iter();
        self.tasks.retain(|_| kept.next() == Some(true));
        self.bytes = self.tasks.iter().map(|task| task.payload.bytes().len()).sum();
        (!self.tasks.is_empty()).then_some(self)
    }

    /// Adds the tasks of another call on the same queue.
    pub(super) fn append(&mut self, mut more: Self) {
        self.bytes += more.bytes;
        self.tasks.append(&mut more.tasks);
        self.guard.append(more.guard);
    }

    #[cfg(test)]
    pub(crate) fn of_nothing() -> Self {
        Self {
            tasks: Vec::new(),
            bytes: 0,
            guard: Undelivered::of_none(),
        }
    }
}

impl Engine {
    /// Decodes grants and seals their lease ids. Returns `None` if no task could be read.
    pub(super) fn open(&self, grants: RawGrants) -> Option<Granted> {
        let RawGrants {
            now,
            grants,
            mut guard,
        } = grants;
        let key = self.store().lease_key();
        let (mut tasks, mut bytes) = (Vec::with_capacity(grants.len()), 0);
        let mut readable = Vec::with_capacity(grants.len());
        for grant in grants {
            match grant.open(guard.queue(), &key, now) {
                Ok((task, _)) => {
                    bytes += task.payload.bytes().len();
                    tasks.push(task);
                    readable.push(true);
                }
                Err(bad) => {
                    tracing::error!(queue = %guard.queue(), %bad, "a granted task cannot be read");
                    readable.push(false);
                }
            }
        }
        if tasks.len() < readable.len() {
            guard.retain(&readable);
        }
        (!tasks.is_empty()).then_some(Granted { tasks, bytes, guard })
    }
}

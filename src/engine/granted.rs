//! Grants in the hands of a request, until they are in the hands of its caller.

use tokio::sync::mpsc;

use super::Engine;
use super::command::{Command, Grants, give_back};
use crate::domain::task::Json;
use crate::domain::{Lease, LeasedTask, QueueName};

/// Whoever drops it without [`Granted::delivered`] gives the tasks back at once, attempt not counted.
pub struct Granted {
    tasks: Vec<LeasedTask>,
    bytes: usize,
    queue: QueueName,
    leases: Vec<Lease>,
    home: mpsc::Sender<Command>,
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
        self.leases.clear();
    }

    #[cfg(test)]
    pub(crate) fn of_nothing() -> Self {
        let queue = QueueName::parse("q").expect("a valid name");
        Self {
            tasks: Vec::new(),
            bytes: 0,
            queue,
            leases: Vec::new(),
            home: mpsc::channel(1).0,
        }
    }

    pub(super) fn append(&mut self, mut more: Self) {
        self.bytes += more.bytes;
        self.tasks.append(&mut more.tasks);
        self.leases.append(&mut more.leases);
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        if !self.leases.is_empty() {
            give_back(&self.home, self.queue.clone(), std::mem::take(&mut self.leases));
        }
    }
}

impl Engine {
    /// Decodes grants and seals their lease ids; `None` when there are none. A task that cannot be read is left to
    /// its lease and its attempts: giving it back would hand it out again at once, for ever.
    pub(super) fn open(&self, grants: Grants) -> Option<Granted> {
        let (queue, now, home) = (grants.queue.clone(), grants.now, grants.home.clone());
        let mut granted = Granted {
            tasks: Vec::new(),
            bytes: 0,
            queue: queue.clone(),
            leases: Vec::new(),
            home,
        };
        for grant in grants.claim() {
            match grant.open(&queue, &self.inner.key, now) {
                Ok((task, lease)) => {
                    granted.bytes += task.payload.bytes().len();
                    granted.tasks.push(task);
                    granted.leases.push(lease);
                }
                Err(bad) => tracing::error!(%queue, %bad, "a granted task cannot be read"),
            }
        }
        (!granted.tasks.is_empty()).then_some(granted)
    }
}

//! The key behind every `lease_id`, as known to this process.

use std::sync::RwLock;

use crate::domain::lease::ForgedLease;
use crate::domain::{Lease, LeaseKey};

pub(super) struct Keyring(RwLock<Keys>);

#[derive(Clone)]
struct Keys {
    current: LeaseKey,
    /// The key of leases that were made just before Redis lost it and another replica created a new one.
    before: Option<LeaseKey>,
}

impl Keyring {
    /// Creates a keyring with a key that is used only if Redis has none yet.
    pub(super) fn fresh() -> Self {
        Self(RwLock::new(Keys {
            current: LeaseKey::random(),
            before: None,
        }))
    }

    /// Returns the key that seals leases.
    pub(super) fn current(&self) -> LeaseKey {
        self.read().current
    }

    /// Opens a lease id with the current key or the one before.
    pub(super) fn open(&self, lease_id: &str) -> Result<Lease, ForgedLease> {
        let keys = self.read();
        keys.current.open(lease_id).or_else(|forged| match keys.before {
            Some(before) => before.open(lease_id),
            None => Err(forged),
        })
    }

    fn read(&self) -> Keys {
        self.0
            .read()
            .expect("nothing panics while it has the lock")
            .clone()
    }

    pub(super) fn adopt(&self, key: LeaseKey) {
        let mut keys = self.0.write().expect("nothing panics while it has the lock");
        if keys.current != key {
            keys.before = Some(std::mem::replace(&mut keys.current, key));
        }
    }
}

//! The key behind every `lease_id`, as known to this process. Redis decides, so that all replicas have the
//! same key. If Redis lost it with all its data, the first replica that notices writes back the one in use.

use std::sync::RwLock;

use deadpool_redis::redis::{self, Cmd, cmd};

use super::conn::{Conn, Store};
use super::error::StoreError;
use super::keys;
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

    fn read(&self) -> Keys {
        self.0
            .read()
            .expect("nothing panics while it has the lock")
            .clone()
    }

    fn adopt(&self, key: LeaseKey) {
        let mut keys = self.0.write().expect("nothing panics while it has the lock");
        if keys.current != key {
            keys.before = Some(std::mem::replace(&mut keys.current, key));
        }
    }
}

impl Store {
    /// Returns the key that seals leases. Call [`Self::agree_on_lease_key`] before the first lease.
    pub fn lease_key(&self) -> LeaseKey {
        self.keyring().read().current
    }

    /// # Errors
    /// For every text that no replica of this deployment wrote, or wrote before Redis lost its key twice.
    pub fn open_lease(&self, lease_id: &str) -> Result<Lease, ForgedLease> {
        let keys = self.keyring().read();
        keys.current.open(lease_id).or_else(|forged| match keys.before {
            Some(before) => before.open(lease_id),
            None => Err(forged),
        })
    }

    /// Takes over the key of Redis, or gives Redis the key of this process if it has none. Called before the
    /// first lease, when a queue is created, and from time to time, because Redis does not report that it
    /// lost its data.
    ///
    /// # Errors
    /// As [`StoreError`] lists. The key in use stays.
    pub async fn agree_on_lease_key(&self) -> Result<(), StoreError> {
        let key = match self.stored_lease_key().await? {
            Some(key) => key,
            None => {
                let mine = self.lease_key();
                let made: Option<String> = self
                    .write(cmd("SET").arg(keys::SECRET).arg(&mine.secret()[..]).arg("NX"))
                    .await?;
                if made.is_some() {
                    // Older replicas still use the lost key. One that misses the message checks by itself.
                    let told: Result<redis::Value, _> = self
                        .command(cmd("PUBLISH").arg(keys::WAKE).arg(keys::SECRET))
                        .await;
                    if let Err(error) = told {
                        tracing::debug!(%error, "other replicas were not told of a new lease key; they look by themselves");
                    }
                }
                let stored = self.stored_lease_key().await?;
                stored.ok_or(StoreError::NotApplied(
                    "Redis lost the lease key as soon as it had it",
                ))?
            }
        };
        self.keyring().adopt(key);
        Ok(())
    }

    /// As [`Self::agree_on_lease_key`], on a connection of the caller, because a pool would ping first.
    ///
    /// # Errors
    /// As [`StoreError`] lists. The key in use stays.
    pub async fn compare_lease_key(&self, conn: &mut Conn) -> Result<(), StoreError> {
        match read_key(conn.command(&ask_for_key()).await?)? {
            Some(key) => self.keyring().adopt(key),
            None => self.agree_on_lease_key().await?,
        }
        Ok(())
    }

    async fn stored_lease_key(&self) -> Result<Option<LeaseKey>, StoreError> {
        read_key(self.command(&ask_for_key()).await?)
    }
}

fn ask_for_key() -> Cmd {
    let mut ask = cmd("GET");
    ask.arg(keys::SECRET);
    ask
}

fn read_key(stored: Option<Vec<u8>>) -> Result<Option<LeaseKey>, StoreError> {
    let Some(stored) = stored else { return Ok(None) };
    let secret = stored
        .try_into()
        .map_err(|_| StoreError::Broken("the lease secret has another length".to_owned()))?;
    Ok(Some(LeaseKey::new(&secret)))
}

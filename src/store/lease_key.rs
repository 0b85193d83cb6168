//! The agreement on the lease key. Redis decides, so that all replicas have the same key. If Redis lost it
//! with all its data, the first replica that notices writes back the one in use.

use deadpool_redis::redis::{self, Cmd, cmd};

use super::conn::{Conn, Store};
use super::error::{StoreError, Why};
use super::keys;
use crate::domain::lease::ForgedLease;
use crate::domain::{Lease, LeaseKey};

impl Store {
    /// Returns the key that seals leases. Call [`Self::agree_on_lease_key`] before the first lease.
    pub fn lease_key(&self) -> LeaseKey {
        self.keyring().current()
    }

    /// Reads a `lease_id`.
    ///
    /// # Errors
    /// For every text that no replica of this deployment wrote, or wrote before Redis lost its key twice.
    pub fn open_lease(&self, lease_id: &str) -> Result<Lease, ForgedLease> {
        self.keyring().open(lease_id)
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
                        tracing::debug!(%error, "a new lease key could not be published; other replicas check by themselves");
                    }
                }
                let stored = self.stored_lease_key().await?;
                stored.ok_or(StoreError::NotApplied(Why::LeaseKeyGone))?
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

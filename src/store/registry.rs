//! The registry: the list of queues, and the times of their next sweeps.
//!
//! In a cluster these keys are in other slots than the queues, so they are written beside the scripts. A
//! queue is registered before its first write. Due times are hints, and the slow sweep makes up for lost
//! ones.

use std::collections::HashMap;

use deadpool_redis::redis::{self, cmd};

use super::conn::{Conn, Store};
use super::error::StoreError;
use super::keys;
use crate::domain::event::Event;
use crate::domain::{Millis, QueueName};

/// The state of the append-only file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syncing {
    /// Each write is synced before its reply.
    pub every_write: bool,
    /// No rewrite is under way. A file that was just switched on counts only from the end of its first
    /// rewrite, and no other field distinguishes the two.
    pub is_whole: bool,
}

impl Store {
    /// Registers a queue. Returns `false` if it is new and there are `max` queues already.
    ///
    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn register(&self, queue: &QueueName, max: usize) -> Result<bool, StoreError> {
        let known: bool = self
            .command(cmd("HEXISTS").arg(keys::QUEUES).arg(queue.as_str()))
            .await?;
        if known {
            return Ok(true);
        }
        // A Redis that lost its data has lost the lease key, too, and its first queue will soon be leased
        // from.
        self.agree_on_lease_key().await?;
        let queues: usize = self.command(cmd("HLEN").arg(keys::QUEUES)).await?;
        if queues >= max {
            return Ok(false);
        }
        self.note(queue).await?;
        Ok(true)
    }

    /// Registers an existing queue. Its creator calls this again afterwards, because a deletion may have
    /// removed the entry meanwhile.
    ///
    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn note(&self, queue: &QueueName) -> Result<(), StoreError> {
        let _: i64 = self
            .write(
                cmd("HSETNX")
                    .arg(keys::QUEUES)
                    .arg(queue.as_str())
                    .arg(Millis::local().get()),
            )
            .await?;
        Ok(())
    }

    /// Removes a deleted queue. Another caller may have created it again: check afterwards, and
    /// [`Self::note`] it then.
    ///
    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn unregister(&self, queue: &QueueName) -> Result<(), StoreError> {
        let _: i64 = self
            .command(cmd("HDEL").arg(keys::QUEUES).arg(queue.as_str()))
            .await?;
        let _: i64 = self
            .command(cmd("ZREM").arg(keys::HINTS).arg(queue.as_str()))
            .await?;
        Ok(())
    }

    /// Wakes the waiters of a new queue at other replicas: scripts publish only to replicas that asked, and a
    /// queue that did not exist could not be asked. May be lost.
    pub async fn tell_made(&self, queue: &QueueName, replica: &str) {
        let message = format!("{queue} 1 {replica}");
        let told = self
            .command::<u64>(cmd("PUBLISH").arg(keys::WAKE).arg(message))
            .await;
        if let Err(error) = told {
            tracing::debug!(%queue, %error, "a new queue could not be published; waiters of other replicas look each second");
        }
    }

    /// Publishes an event to the watchers at all replicas. May be lost.
    pub async fn tell(&self, event: &Event) {
        let told = self
            .command::<u64>(cmd("PUBLISH").arg(keys::EVENTS).arg(event.message()))
            .await;
        if let Err(error) = told {
            tracing::debug!(%error, kind = event.kind.word(), "an event could not be published");
        }
    }

    /// Reads whether Redis syncs its append-only file before it replies.
    ///
    /// # Errors
    /// As [`StoreError`] lists; also if Redis does not allow reading the settings.
    pub async fn syncing(&self) -> Result<Syncing, StoreError> {
        let persistence: String = self.command(cmd("INFO").arg("persistence")).await?;
        let settings: HashMap<String, String> = self
            .command(cmd("CONFIG").arg("GET").arg("*appendfsync*"))
            .await?;
        let is = |name: &str, value: &str| settings.get(name).is_some_and(|found| found == value);
        let says = |line: &str| persistence.lines().any(|found| found == line);
        Ok(Syncing {
            every_write: says("aof_enabled:1")
                && is("appendfsync", "always")
                // If this is yes, nothing is synced during a rewrite, whatever `appendfsync` is.
                && is("no-appendfsync-on-rewrite", "no"),
            is_whole: says("aof_rewrite_in_progress:0")
                && says("aof_rewrite_scheduled:0")
                && says("aof_last_bgrewrite_status:ok"),
        })
    }

    /// Checks that Redis accepts a write, and that replicas have it if they must. The probe's key stays
    /// bounded.
    ///
    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let _: redis::Value = self
            .write(cmd("SET").arg("lq:1:probe").arg(1).arg("PX").arg(60_000))
            .await?;
        Ok(())
    }
}

impl Conn {
    /// Returns some queues in no order, and the next cursor, 0 at the end.
    ///
    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn scan_queues(
        &mut self,
        cursor: u64,
        count: usize,
    ) -> Result<(u64, Vec<QueueName>), StoreError> {
        let (next, pairs): (u64, Vec<String>) = self
            .command(cmd("HSCAN").arg(keys::QUEUES).arg(cursor).arg("COUNT").arg(count))
            .await?;
        let names = pairs
            .iter()
            .step_by(2)
            .filter_map(|name| QueueName::parse(name).ok());
        Ok((next, names.collect()))
    }

    /// Notes that a queue needs a sweep at `at`, unless an earlier time is noted.
    ///
    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn hint(&mut self, queue: &QueueName, at: Millis) -> Result<(), StoreError> {
        let _: i64 = self
            .command(
                cmd("ZADD")
                    .arg(keys::HINTS)
                    .arg("LT")
                    .arg(at.get())
                    .arg(queue.as_str()),
            )
            .await?;
        Ok(())
    }

    /// Takes at most `limit` queues whose sweep is due by Redis's clock. If this replica dies before the
    /// sweeps, the slow sweep makes up for them.
    ///
    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn take_due_hints(&mut self, limit: usize) -> Result<Vec<QueueName>, StoreError> {
        let first: Vec<(String, u64)> = self
            .command(
                cmd("ZRANGE")
                    .arg(keys::HINTS)
                    .arg(0)
                    .arg(limit.saturating_sub(1))
                    .arg("WITHSCORES"),
            )
            .await?;
        let mut taken = Vec::new();
        if first.is_empty() {
            return Ok(taken);
        }
        let (seconds, micros): (u64, u64) = self.command(&cmd("TIME")).await?;
        let now = seconds * 1000 + micros / 1000;
        for (name, _) in first.into_iter().take_while(|(_, at)| *at <= now) {
            // Before the sweep, so that a time noted from now on is not lost.
            let removed: u64 = self.command(cmd("ZREM").arg(keys::HINTS).arg(&name)).await?;
            if let Ok(queue) = QueueName::parse(&name)
                && removed == 1
            {
                taken.push(queue);
            }
        }
        Ok(taken)
    }
}

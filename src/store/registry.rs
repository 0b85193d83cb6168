//! What belongs to no queue: which queues there are, and when they want a sweep.
//!
//! In a cluster these keys lie in other slots than the queues' own, so they are written beside the scripts: a
//! queue is registered before its first write, and hints are only hints, repaired by the slow sweep.

use std::collections::HashMap;

use deadpool_redis::redis::{self, cmd};

use super::conn::{Conn, Store};
use super::error::StoreError;
use super::keys;
use crate::domain::event::Event;
use crate::domain::{Millis, QueueName};

/// What Redis says of its append-only file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syncing {
    /// Each write is synced before it is answered.
    pub every_write: bool,
    /// No rewrite is under way. A file that was just switched on counts only from the end of its first one, and
    /// nothing else tells the two apart.
    pub is_whole: bool,
}

impl Store {
    /// Notes a queue; `false` when there are `max` already and this is none of them.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn register(&self, queue: &QueueName, max: usize) -> Result<bool, StoreError> {
        let known: bool = self
            .command(cmd("HEXISTS").arg(keys::QUEUES).arg(queue.as_str()))
            .await?;
        if known {
            return Ok(true);
        }
        // A Redis that lost everything has lost the lease key, too; its first queue is soon leased from.
        self.agree_on_lease_key().await?;
        let queues: usize = self.command(cmd("HLEN").arg(keys::QUEUES)).await?;
        if queues >= max {
            return Ok(false);
        }
        self.note(queue).await?;
        Ok(true)
    }

    /// Notes a queue that is there: whoever made it does so again afterwards, because a deletion may have struck it off meanwhile.
    ///
    /// # Errors
    /// As [`StoreError`] says.
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

    /// Strikes off a queue that was deleted. Somebody may have made it anew: look afterwards, and [`Self::note`] it then.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn unregister(&self, queue: &QueueName) -> Result<(), StoreError> {
        let _: i64 = self
            .command(cmd("HDEL").arg(keys::QUEUES).arg(queue.as_str()))
            .await?;
        let _: i64 = self
            .command(cmd("ZREM").arg(keys::HINTS).arg(queue.as_str()))
            .await?;
        Ok(())
    }

    /// Wakes those who wait for a queue at other replicas: scripts tell only who asked, and a queue that was not there
    /// could not be asked. A hint that may be lost.
    pub async fn tell_made(&self, queue: &QueueName, replica: &str) {
        let message = format!("{queue} 1 {replica}");
        let told = self
            .command::<u64>(cmd("PUBLISH").arg(keys::WAKE).arg(message))
            .await;
        if let Err(error) = told {
            tracing::debug!(%queue, %error, "other replicas were not told of a new queue; they look each second");
        }
    }

    /// Tells watchers at all replicas. A hint that may be lost.
    pub async fn tell(&self, event: &Event) {
        let told = self
            .command::<u64>(cmd("PUBLISH").arg(keys::EVENTS).arg(event.message()))
            .await;
        if let Err(error) = told {
            tracing::debug!(%error, kind = event.kind.word(), "watchers were not told");
        }
    }

    /// Whether Redis syncs its append-only file before it answers.
    ///
    /// # Errors
    /// As [`StoreError`] says; also where it does not let that be seen.
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
                // With this set to yes nothing is synced while the file is rewritten, always or not.
                && is("no-appendfsync-on-rewrite", "no"),
            is_whole: says("aof_rewrite_in_progress:0")
                && says("aof_rewrite_scheduled:0")
                && says("aof_last_bgrewrite_status:ok"),
        })
    }

    /// Redis takes a write, and replicas have it where they must; also keeps the probe bounded.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let _: redis::Value = self
            .write(cmd("SET").arg("lq:1:probe").arg(1).arg("PX").arg(60_000))
            .await?;
        Ok(())
    }
}

impl Conn {
    /// Some queues, in no order, and the next cursor, 0 at the end.
    ///
    /// # Errors
    /// As [`StoreError`] says.
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

    /// Notes that a queue wants a sweep at `at`, unless an earlier one is noted.
    ///
    /// # Errors
    /// As [`StoreError`] says.
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

    /// Takes the queues whose sweep is due on Redis's clock, at most `limit`. Who dies holding one is made up for by the slow sweep.
    ///
    /// # Errors
    /// As [`StoreError`] says.
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
            // Before the sweep: what is noted from now on was written after it read.
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

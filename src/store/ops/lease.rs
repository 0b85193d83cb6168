//! Hands out tasks.

use std::sync::Arc;

use bytes::Bytes;
use deadpool_redis::redis::Cmd;

use super::Op;
use crate::domain::gate::{Reason, Shut};
use crate::domain::unique::UniqueScope;
use crate::domain::{Lease, LeaseKey, LeasedTask, Millis, QueueName, TaskId, TaskName};
use crate::store::record;
use crate::store::reply::{BadReply, Reply};

/// The part of a lease call that one caller asked for. All wishes of a call share their `names` filter.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    pub tasks: usize,
    /// `None`: the length that was frozen into each task.
    pub lease_ms: Option<u64>,
    pub worker: Option<String>,
    /// Owner and `request_id`, if the caller may repeat the call.
    pub request_key: Option<String>,
}

pub struct LeaseOp {
    pub replica: Arc<str>,
    /// Ask for a message when tasks become ready, should this call fall short.
    pub tell_me: bool,
    /// Report the next due time even if the call does not fall short.
    pub look: bool,
    /// Bytes of payloads in the reply at most; one task is always allowed.
    pub bytes_max: usize,
    /// Seed of the nonces, below 2048.
    pub seed: u16,
    pub names: Vec<TaskName>,
    pub wishes: Vec<Wish>,
    /// Time of Redis's clock after which nobody waits for the reply, so the script grants nothing. `None`:
    /// unknown.
    pub not_after: Option<Millis>,
}

/// A grant as Redis replied it, not yet decoded.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Index of its wish in the call.
    pub wish: usize,
    pub id: TaskId,
    record: Bytes,
    payload: Bytes,
    mutable: Bytes,
    expires_at: Millis,
    nonce: u16,
    last_attempt: Bytes,
}

/// The reply of Redis to a lease call.
#[derive(Debug, Clone)]
pub enum LeaseReply {
    Tasks(Grants),
    /// The queue does not exist.
    Absent,
    /// The script ran after [`LeaseOp::not_after`] and granted nothing.
    Late,
}

/// The grants of one lease call, and when to look again.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    pub now: Millis,
    /// When the next task is due or the next lease of an earlier call expires, if the call looked.
    pub next_at: Option<Millis>,
    /// When the first scheduled task becomes ready, if the call looked.
    pub first_due: Option<Millis>,
    /// Indexes of wishes whose `request_id` was granted before.
    pub recalled: Vec<usize>,
    /// Why the call fell short although tasks are ready: a gate blocks them.
    pub shut: Option<Shut>,
    /// Stale entries, the byte limit or many blocked lanes ended the call before the queue was empty: call
    /// again at once.
    pub again: bool,
    /// Ordered by wish.
    pub grants: Vec<Grant>,
}

impl Op for LeaseOp {
    const SCRIPT: &'static str = "lease";
    type Outcome = LeaseReply;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(&*self.replica)
            .arg(u8::from(self.tell_me))
            .arg(u8::from(self.look))
            .arg(self.bytes_max)
            .arg(self.seed);
        cmd.arg(self.names.len());
        for name in &self.names {
            cmd.arg(name.as_str());
        }
        cmd.arg(self.wishes.len());
        for wish in &self.wishes {
            cmd.arg(wish.tasks).arg(wish.lease_ms.unwrap_or(0));
            cmd.arg(wish.worker.as_deref().unwrap_or_default());
            cmd.arg(wish.request_key.as_deref().unwrap_or_default());
        }
        cmd.arg(self.not_after.map_or(0, Millis::get));
    }

    fn outcome(&self, mut reply: Reply) -> Result<LeaseReply, BadReply> {
        match reply.text()?.as_str() {
            "leased" => {}
            "absent" => return Ok(LeaseReply::Absent),
            "late" => return Ok(LeaseReply::Late),
            _ => return Err(BadReply("a lease's word")),
        }
        let (now, next_at, first_due) = (reply.millis()?, reply.some_millis()?, reply.some_millis()?);
        let mut indexes = reply.array()?;
        let mut recalled = Vec::new();
        while !indexes.is_empty() {
            recalled.push(from_one(indexes.number()?)?);
        }
        let again = reply.flag()?;
        let (mut given, mut extras) = (reply.array()?, reply.array()?);
        let mut why = reply.array()?;
        let shut = match why.is_empty() {
            true => None,
            false => shut(&mut why)?,
        };
        let mut grants = Vec::new();
        for wish in self.wishes.iter().enumerate() {
            for _ in 0..given.number()? {
                grants.push(self.grant(grants.len() + 1, wish, now, &mut reply)?);
            }
        }
        while !extras.is_empty() {
            let mut extra = extras.array()?;
            let grant = grants
                .get_mut(from_one(extra.number()?)?)
                .ok_or(BadReply("an index"))?;
            (grant.payload, grant.mutable, grant.last_attempt) =
                (extra.bytes()?, extra.bytes()?, extra.bytes()?);
        }
        Ok(LeaseReply::Tasks(Grants {
            now,
            next_at,
            first_due,
            recalled,
            shut,
            again,
            grants,
        }))
    }
}

/// Reads why a gate is shut, if one is, and when to look again.
fn shut(why: &mut Reply) -> Result<Option<Shut>, BadReply> {
    let (word, look_at) = (why.text()?, why.some_millis()?);
    if word.is_empty() {
        return Ok(None);
    }
    let reason = Reason::parse(&word).ok_or(BadReply("why a gate is shut"))?;
    Ok(Some(Shut { reason, look_at }))
}

impl LeaseOp {
    /// Reads the n-th grant of the call; `nth` counts from one, as the nonces of the script do.
    fn grant(
        &self,
        nth: usize,
        (index, wish): (usize, &Wish),
        now: Millis,
        reply: &mut Reply,
    ) -> Result<Grant, BadReply> {
        let (id, record) = (reply.id()?, reply.bytes()?);
        let lease_ms = match wish.lease_ms {
            Some(ms) => ms,
            None => record::lease_ms(&record)?,
        };
        let nonce = (usize::from(self.seed) + nth * 797) % 2048;
        Ok(Grant {
            wish: index,
            id,
            record,
            payload: Bytes::new(),
            mutable: Bytes::new(),
            expires_at: now.plus(lease_ms),
            nonce: u16::try_from(nonce).map_err(|_| BadReply("a nonce"))?,
            last_attempt: Bytes::new(),
        })
    }
}

/// Reads the reply of a repeated call.
pub(super) fn recalled(mut reply: Reply) -> Result<LeaseReply, BadReply> {
    match reply.text()?.as_str() {
        "recalled" => {}
        "absent" => return Ok(LeaseReply::Absent),
        _ => return Err(BadReply("a recall's word")),
    }
    let now = reply.millis()?;
    let mut grants = Vec::new();
    while !reply.is_empty() {
        grants.push(Grant {
            wish: 0,
            id: reply.id()?,
            record: reply.bytes()?,
            payload: reply.bytes()?,
            mutable: reply.bytes()?,
            last_attempt: reply.bytes()?,
            expires_at: reply.millis()?,
            nonce: reply.small()?,
        });
    }
    Ok(LeaseReply::Tasks(Grants {
        now,
        grants,
        ..Grants::default()
    }))
}

/// Turns an index of Lua, which counts from one, into one of Rust.
fn from_one(index: u64) -> Result<usize, BadReply> {
    usize::try_from(index)
        .ok()
        .and_then(|index| index.checked_sub(1))
        .ok_or(BadReply("an index"))
}

impl Grant {
    /// Returns when the lease expires.
    pub fn expires_at(&self) -> Millis {
        self.expires_at
    }

    /// Returns since when the task was ready; `None` for a damaged record. Cheaper than [`Self::open`].
    pub fn ready_at(&self) -> Option<Millis> {
        record::ready_at(&self.record, &self.mutable)
    }

    /// Decodes the task and seals its lease.
    ///
    /// # Errors
    /// [`BadReply`] if the record is damaged.
    pub fn open(
        self,
        queue: &QueueName,
        key: &LeaseKey,
        server_time: Millis,
    ) -> Result<(LeasedTask, Lease), BadReply> {
        let record = record::read(self.record, self.payload)?;
        let mutable = record::read_mutable(self.mutable)?;
        // A task without a mutable part has its first lease, with the length frozen into its record.
        let granted_at = mutable.as_ref().map_or(
            Millis::new(self.expires_at.get().saturating_sub(record.lease_ms)),
            |m| m.granted_at,
        );
        let first_ready = record.run_at.unwrap_or(record.enqueued_at);
        let mutable = mutable.unwrap_or_else(|| record::Mutable {
            grants: 1,
            priority: record.priority,
            place: first_ready.get() * record::PLACES,
            slot: u32::try_from(record.lease_ms).unwrap_or(u32::MAX),
            ..record::Mutable::default()
        });
        let last_error = if self.last_attempt.is_empty() {
            None
        } else {
            Some(record::read_attempt(self.last_attempt)?.error)
        };
        let lease = Lease {
            queue: queue.clone(),
            task: self.id,
            grant: mutable.grants,
            granted_at,
            nonce: self.nonce,
            age_ms: granted_at.since(record.enqueued_at),
            size: record.size,
            holds_key: record.unique_scope == Some(UniqueScope::UntilFinished),
        };
        let task = LeasedTask {
            id: self.id,
            queue: queue.clone(),
            name: record.name,
            group: record.group,
            payload: record.payload,
            priority: mutable.priority,
            attempt: mutable.failed.saturating_add(1),
            max_attempts: record.max_attempts,
            deferrals: mutable.deferrals,
            grant: mutable.grants,
            lease_id: key.seal(&lease),
            lease_ms: mutable.slot.into(),
            lease_expires_at: self.expires_at,
            server_time,
            enqueued_at: record.enqueued_at,
            ready_at: Millis::new(mutable.place / record::PLACES),
            expires_at: record.expires_at,
            unique_key: record.unique_key,
            meta: record.meta.into(),
            last_error,
        };
        Ok((task, lease))
    }

    /// Returns the number of the grant and its nonce, which identify the lease beside the task's id. Cheaper
    /// than [`Self::open`], and cannot fail on a damaged record.
    pub fn identity(&self) -> (u32, u16) {
        let grant = self
            .mutable
            .first_chunk::<4>()
            .map_or(1, |bytes| u32::from_be_bytes(*bytes));
        (grant, self.nonce)
    }
}

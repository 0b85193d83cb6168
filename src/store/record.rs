//! The form of a task in Redis: the Rust twin of `lua/task.lua` and `lua/history.lua`.

use bytes::{Buf, BufMut, Bytes};

use super::reply::BadReply;
use crate::domain::queue::{Policy, defaults};
use crate::domain::retry::{Jitter, RetryPolicy, Strategy, Thousandths};
use crate::domain::task::{Attempt, AttemptOutcome, DeadReason, Json, Meta, TaskError};
use crate::domain::unique::UniqueScope;
use crate::domain::{Group, Millis, NewTask, Priority, TaskName, UniqueKey};

/// A millisecond has this many places (`PLACES` in the prelude).
pub const PLACES: u64 = 2048;
/// Larger payloads are in a second hash, so that scripts that read records stay fast.
pub const INLINE_PAYLOAD_MAX: usize = 2048;

const RUN_AT: u16 = 1;
const MAX_ATTEMPTS: u16 = 2;
const LEASE_MS: u16 = 4;
const GROUP: u16 = 8;
const META: u16 = 16;
const BIG: u16 = 32;
const UNIQUE: u16 = 64;
/// A task with this flag is never in a fresh list, because an expiring task must be removable from its lane.
const EXPIRES: u16 = 128;
/// In the first byte, because grants test only flags in the second byte.
const RETRY: u16 = 256;

const RETRY_BYTES: usize = 14;

const CANCEL: u8 = 1;
const EXPIRED: u8 = 2;
const WORKER: u8 = 4;
const PROGRESS: u8 = 8;
const REASON: u8 = 16;

/// Writes the record of a new task, without the fields that the script adds (tick, due time, expiry). Returns
/// the payload apart if it belongs into the second hash.
pub fn write(task: &NewTask, policy: Policy) -> (Vec<u8>, Option<Bytes>) {
    let payload = task.payload.bytes();
    let big = payload.len() > INLINE_PAYLOAD_MAX;
    let mut out = head(task, policy, big);
    if !big {
        out.extend_from_slice(payload);
    }
    (out, big.then(|| payload.clone()))
}

/// Writes the part before the payload. For a `big` task that is the whole record.
pub fn head(task: &NewTask, policy: Policy, big: bool) -> Vec<u8> {
    let meta = (!task.meta.is_empty()).then(|| serde_json::to_vec(&task.meta).expect("strings become JSON"));
    let mut flags = 0;
    for (bit, set) in [
        (MAX_ATTEMPTS, policy.max_attempts != defaults::MAX_ATTEMPTS),
        (LEASE_MS, policy.lease_ms != defaults::LEASE_MS),
        (GROUP, task.group.is_some()),
        (META, meta.is_some()),
        (BIG, big),
        (UNIQUE, task.unique.is_some()),
        (RETRY, policy.retry != RetryPolicy::DEFAULT),
    ] {
        flags |= if set { bit } else { 0 };
    }
    let payload_bytes = if big { 0 } else { task.payload.bytes().len() };
    let mut out = Vec::with_capacity(32 + task.name.as_str().len() + payload_bytes);
    out.extend_from_slice(&flags.to_be_bytes());
    if flags & MAX_ATTEMPTS != 0 {
        out.extend_from_slice(&policy.max_attempts.to_be_bytes());
    }
    if flags & LEASE_MS != 0 {
        let ms = u32::try_from(policy.lease_ms).expect("leases are at most 12 h");
        out.extend_from_slice(&ms.to_be_bytes());
    }
    if flags & RETRY != 0 {
        push_retry(&mut out, policy.retry);
    }
    out.extend_from_slice(&task.priority.get().to_be_bytes());
    push_short(&mut out, task.name.as_str());
    if let Some(group) = &task.group {
        push_short(&mut out, group.as_str());
    }
    if let Some(unique) = &task.unique {
        out.push(scope_letter(unique.scope));
        push_short(&mut out, unique.key.as_str());
    }
    if let Some(meta) = &meta {
        let bytes = u32::try_from(meta.len()).expect("headers are bounded");
        out.extend_from_slice(&bytes.to_be_bytes());
        out.extend_from_slice(meta);
    }
    out
}

/// Returns the form of a scope in records and scripts.
pub fn scope_letter(scope: UniqueScope) -> u8 {
    match scope {
        UniqueScope::Ttl(_) => b't',
        UniqueScope::UntilLeased => b'l',
        UniqueScope::UntilFinished => b'f',
    }
}

/// strategy × 4 + jitter (1 byte), base ms (5), factor in thousandths (3), max ms (5).
fn push_retry(out: &mut Vec<u8>, policy: RetryPolicy) {
    out.push(policy.strategy as u8 * 4 + policy.jitter as u8);
    out.put_uint(policy.base_ms, 5);
    out.put_uint(policy.factor.0.into(), 3);
    out.put_uint(policy.max_ms, 5);
}

fn read_retry(mut bytes: Bytes) -> Option<RetryPolicy> {
    let how = usize::from(bytes.get_u8());
    Some(RetryPolicy {
        strategy: *Strategy::ALL.get(how / 4)?,
        jitter: *Jitter::ALL.get(how % 4)?,
        base_ms: bytes.get_uint(5),
        factor: Thousandths(u32::try_from(bytes.get_uint(3)).ok()?),
        max_ms: bytes.get_uint(5),
    })
}

fn push_short(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("names and groups are below 256 bytes"));
    out.extend_from_slice(text.as_bytes());
}

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Record {
    pub enqueued_at: Millis,
    pub run_at: Option<Millis>,
    pub expires_at: Option<Millis>,
    pub max_attempts: u16,
    pub lease_ms: u64,
    pub retry: RetryPolicy,
    pub priority: Priority,
    pub name: TaskName,
    pub group: Option<Group>,
    pub unique_key: Option<UniqueKey>,
    /// The scope of that key. The ms of `ttl` are kept with the key.
    pub unique_scope: Option<UniqueScope>,
    pub meta: Meta,
    pub payload: Json,
    /// Bytes of record and payload.
    pub size: u32,
}

/// Reads the lease length that is frozen into a record.
///
/// # Errors
/// If [`write()`] cannot have written the bytes.
pub fn lease_ms(record: &[u8]) -> Result<u64, BadReply> {
    let bad = || BadReply("a task record");
    let flags = u16::from_be_bytes(*record.get(7..).and_then(<[u8]>::first_chunk).ok_or_else(bad)?);
    if flags & LEASE_MS == 0 {
        return Ok(defaults::LEASE_MS);
    }
    let before = [(RUN_AT, 6), (EXPIRES, 6), (MAX_ATTEMPTS, 2)];
    let at = 9 + before
        .iter()
        .map(|(bit, bytes)| if flags & bit == 0 { 0 } else { *bytes })
        .sum::<usize>();
    let ms = record.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(bad)?;
    Ok(u32::from_be_bytes(*ms).into())
}

/// Returns since when a task is ready, from its record and its mutable part (empty if it has none).
pub fn ready_at(record: &[u8], mutable: &[u8]) -> Option<Millis> {
    // After grants, failed, deferrals, flags and priority.
    const PLACE_AT: usize = 11;
    let number = |bytes: &[u8], from: usize, len: usize| {
        let bytes = bytes.get(from..from + len)?;
        Some(bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    };
    if !mutable.is_empty() {
        return Some(Millis::new(number(mutable, PLACE_AT, 7)? / PLACES));
    }
    if number(record, 7, 2)? & u64::from(RUN_AT) != 0 {
        return Some(Millis::new(number(record, 9, 6)?));
    }
    Some(Millis::new(number(record, 0, 7)? / PLACES))
}

/// Reads a record, and its payload from the second hash (empty if it had none there).
///
/// # Errors
/// If [`write()`] cannot have written the bytes.
pub fn read(mut record: Bytes, apart: Bytes) -> Result<Record, BadReply> {
    let size = record.len() + apart.len();
    let bad = BadReply("a task record");
    let need = |record: &Bytes, n: usize| {
        if record.len() < n {
            Err(bad.clone())
        } else {
            Ok(())
        }
    };
    need(&record, 9)?;
    let tick = record.get_uint(7);
    let flags = record.get_u16();
    let mut optional = |bit: u16, bytes: usize| -> Result<Option<u64>, BadReply> {
        if flags & bit == 0 {
            return Ok(None);
        }
        need(&record, bytes)?;
        Ok(Some(record.get_uint(bytes)))
    };
    let run_at = optional(RUN_AT, 6)?.map(Millis::new);
    let expires_at = optional(EXPIRES, 6)?.map(Millis::new);
    let max_attempts = optional(MAX_ATTEMPTS, 2)?.and_then(|n| u16::try_from(n).ok());
    let lease_ms = optional(LEASE_MS, 4)?;
    let mut retry = RetryPolicy::DEFAULT;
    if flags & RETRY != 0 {
        need(&record, RETRY_BYTES)?;
        retry = read_retry(record.split_to(RETRY_BYTES)).ok_or_else(|| bad.clone())?;
    }
    need(&record, 2)?;
    let priority = Priority::new(record.get_u16().into()).ok_or_else(|| bad.clone())?;
    let name = short(&mut record)?;
    let group = if flags & GROUP == 0 {
        None
    } else {
        Some(short(&mut record)?)
    };
    let (mut unique_key, mut unique_scope) = (None, None);
    if flags & UNIQUE != 0 {
        need(&record, 1)?;
        unique_scope = Some(match record.get_u8() {
            b't' => UniqueScope::Ttl(0),
            b'l' => UniqueScope::UntilLeased,
            b'f' => UniqueScope::UntilFinished,
            _ => return Err(bad),
        });
        unique_key = Some(UniqueKey::parse(&short(&mut record)?).map_err(|_| bad.clone())?);
    }
    let mut meta = Meta::default();
    if flags & META != 0 {
        need(&record, 4)?;
        let length = record.get_u32() as usize;
        need(&record, length)?;
        meta = serde_json::from_slice(&record.split_to(length)).map_err(|_| bad.clone())?;
    }
    let payload = if flags & BIG == 0 { record } else { apart };
    Ok(Record {
        enqueued_at: Millis::new(tick / PLACES),
        run_at,
        expires_at,
        max_attempts: max_attempts.unwrap_or(defaults::MAX_ATTEMPTS),
        lease_ms: lease_ms.unwrap_or(defaults::LEASE_MS),
        retry,
        priority,
        name: TaskName::parse(&name).map_err(|_| bad.clone())?,
        group: group
            .map(|group| Group::parse(&group))
            .transpose()
            .map_err(|_| bad.clone())?,
        unique_key,
        unique_scope,
        meta,
        payload: Json::from_checked(if payload.is_empty() {
            Bytes::from_static(b"null")
        } else {
            payload
        }),
        size: u32::try_from(size).unwrap_or(u32::MAX),
    })
}

fn short(bytes: &mut Bytes) -> Result<String, BadReply> {
    let bad = BadReply("a short text");
    let length = bytes.try_get_u8().map_err(|_| bad.clone())?.into();
    sized(bytes, length).ok_or(bad)
}

fn sized(bytes: &mut Bytes, length: usize) -> Option<String> {
    if bytes.len() < length {
        return None;
    }
    String::from_utf8(bytes.split_to(length).into()).ok()
}

/// The mutable part of a task. The default is that of a new task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mutable {
    pub grants: u32,
    pub failed: u16,
    pub deferrals: u16,
    /// The last lease expired, and its attempt is among the failed ones.
    pub ran_out: bool,
    pub cancel_requested: bool,
    pub reason: Option<DeadReason>,
    pub priority: Priority,
    /// Place in its lane, in [`PLACES`] of a millisecond.
    pub place: u64,
    pub granted_at: Millis,
    /// Lease length in ms while leased, nonce of the ended lease afterwards.
    pub slot: u32,
    pub worker: Option<String>,
    pub progress: Option<Json>,
}

/// Reads a mutable part; `None` for empty bytes.
///
/// # Errors
/// If `write_mut` in `lua/task.lua` cannot have written the bytes.
pub fn read_mutable(mut bytes: Bytes) -> Result<Option<Mutable>, BadReply> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let bad = BadReply("a mutable part");
    if bytes.len() < 28 {
        return Err(bad);
    }
    let (grants, failed, deferrals, flags) =
        (bytes.get_u32(), bytes.get_u16(), bytes.get_u16(), bytes.get_u8());
    let priority = Priority::new(bytes.get_u16().into()).ok_or_else(|| bad.clone())?;
    let place = bytes.get_uint(7);
    let granted_at = Millis::new(bytes.get_uint(6));
    let slot = bytes.get_u32();
    let worker = if flags & WORKER == 0 {
        None
    } else {
        Some(short(&mut bytes)?)
    };
    let progress = (flags & PROGRESS != 0).then(|| Json::from_checked(bytes));
    let reason = match flags / REASON {
        1 => Some(DeadReason::AttemptsExhausted),
        2 => Some(DeadReason::Rejected),
        3 => Some(DeadReason::Expired),
        _ => None,
    };
    let (cancel_requested, ran_out) = (flags & CANCEL != 0, flags & EXPIRED != 0);
    Ok(Some(Mutable {
        grants,
        failed,
        deferrals,
        ran_out,
        cancel_requested,
        reason,
        priority,
        place,
        granted_at,
        slot,
        worker,
        progress,
    }))
}

/// Reads one failed attempt.
///
/// # Errors
/// If `write_attempt` in `lua/history.lua` cannot have written the bytes.
pub fn read_attempt(mut bytes: Bytes) -> Result<Attempt, BadReply> {
    let bad = || BadReply("an attempt");
    if bytes.len() < 20 {
        return Err(bad());
    }
    let (number, grant) = (bytes.get_u16(), bytes.get_u32());
    let (started_at, ended_at) = (Millis::new(bytes.get_uint(6)), Millis::new(bytes.get_uint(6)));
    let outcome = match bytes.get_u8() {
        1 => AttemptOutcome::Nacked,
        2 => AttemptOutcome::LeaseExpired,
        3 => AttemptOutcome::DeferralsExhausted,
        _ => return Err(bad()),
    };
    let cut = bytes.get_u8() == 1;
    let worker = short(&mut bytes)?;
    let kind = short(&mut bytes)?;
    let mut long = || {
        let length = bytes.try_get_u16().map_err(|_| bad())?.into();
        sized_lossy(&mut bytes, length).ok_or_else(bad)
    };
    let (message, stack) = (long()?, long()?);
    Ok(Attempt {
        number,
        grant,
        worker: Some(worker).filter(|worker| !worker.is_empty()),
        started_at,
        ended_at,
        outcome,
        error: TaskError {
            kind,
            message,
            stack: Some(stack).filter(|stack| !stack.is_empty()),
            cut,
        },
    })
}

/// A message that was cut in Lua may end inside a character.
fn sized_lossy(bytes: &mut Bytes, length: usize) -> Option<String> {
    (bytes.len() >= length).then(|| String::from_utf8_lossy(&bytes.split_to(length)).into_owned())
}

/// Reads all kept attempts, oldest first.
///
/// # Errors
/// If `with_attempt` in `lua/history.lua` cannot have written the bytes.
pub fn read_history(mut bytes: Bytes) -> Result<Vec<Attempt>, BadReply> {
    let mut attempts = Vec::new();
    while let Some(tail) = bytes.len().checked_sub(4) {
        let length = bytes.split_off(tail).get_u32() as usize;
        let from = tail.checked_sub(length).ok_or(BadReply("a history"))?;
        attempts.push(read_attempt(bytes.split_off(from))?);
    }
    attempts.reverse();
    Ok(attempts)
}

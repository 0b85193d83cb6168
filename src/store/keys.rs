//! Every key name, and the schema.
//!
//! | Key | Type | Field or member → value or score | Gone when |
//! |---|---|---|---|
//! | `lq:1:{queue}:state` | string | counters, live settings, replicas that are `hungry` (`store/state.rs`) | the queue is deleted |
//! | `…:q` | hash | document, when it was made, rare totals | the queue is deleted |
//! | `…:rec` | hash | task id → record (`lua/task.lua`) | the task is forgotten |
//! | `…:pay` | hash | task id → payload above 2 KiB | with the record |
//! | `…:mut` | hash | task id → mutable part | with the record |
//! | `…:hist` | hash | task id → failed attempts (`lua/history.lua`) | with the record |
//! | `…:due` | zset | task id → due ms | it is due |
//! | `…:leased` | zset | task id → expiry ms × 2048 + nonce | settled or run out |
//! | `…:dead` | zset | task id → died ms | replayed, purged, evicted |
//! | `…:expiry` | zset | id of a waiting task → when it expires, ms | it is granted or dies |
//! | `…:letter` | hash | id of a dead letter → bytes, fingerprint (`lua/deaths.lua`) | it leaves the dead letters |
//! | `…:alike` | zset | fingerprint, died ms, id of a dead letter → 0 | likewise |
//! | `…:print` | hash | fingerprint → name, error type, masked message | its last dead letter leaves |
//! | `…:followed`, `…:linger` | zset | id of a task whose end somebody waits for → until ms; likewise, of one that ended and nothing else keeps (`lua/followed.lua`) | the wait is over |
//! | `…:done` | list | finished ms, bytes, task id | retention ends |
//! | `…:res` | hash | task id → state, finished ms, grant, result | retention ends |
//! | `…:turn` | zset | group → pass | the group has nothing ready |
//! | `…:mark`, `…:mark_old` | hash | task id \[grant\] → how the lease ended (`lua/settle.lua`) | 5 to 11 min |
//! | `…:req`, `…:req_at` | hash, zset | `request_id` → grants; → when they end | then |
//! | `…:uniq` | hash | unique key → task that holds it, when it expires (`lua/unique.lua`) | freed or expired |
//! | `…:uniq_at` | zset | unique key → when it expires, of those that do | then |
//! | `…:idem` | hash | request \[index\] → body, when it is forgotten, task (`lua/repeats.lua`) | after `idempotency_seconds`, or dropped |
//! | `…:idem_at` | list | when it is forgotten, request \[index\] | with the mark |
//! | `…:stale` | hash | lane → entries of its list whose tasks left otherwise than by a grant (`lua/waiting.lua`) | they are dropped |
//! | `…:named` | zset | name → when a task of it last came, or is due (`lua/naming.lua`) | another name needs the place |
//! | `…:pulse` | hash | latencies of the last minutes, lease calls that wait (`ops/beat.lua`) | 48 h without any |
//! | `…:pulse_10s`, `…:pulse_5m` | list | rows of the charts (`ops/beat.lua`) | nothing happened in an hour, in 48 h |
//! | `…:workers` | zset | worker → its last lease call | 5 min without one |
//! | `…:gates` | hash | `w<group>` → what a grant adds to its pass, its weight; scope → limits (`store/gates.rs`) | the config says nothing of it |
//! | `…:gate` | hash | scope → tokens left, held until (`lua/gates.lua`) | the bucket is full and the hold over |
//! | `…:breaker` | hash | name → state of its breaker (`lua/breaker.lua`) | it was closed for long, without failures |
//! | `…:counts` | hash | scope → leased tasks of a name or a group | there are none |
//! | `…:shut` | zset | scope that keeps something back → when to look again | nothing waits there |
//! | `…:fresh:<lane>` | list | tick, task id | the lane is empty |
//! | `…:back:<lane>` | zset | tick, task id → place | the lane is empty |
//! | `…:heads:<group>` | zset | `priority/name` → order score of the lane's head | the group has nothing ready |
//! | `…:names:<name>` | zset | `priority/group` → pass | the name has nothing ready |
//! | `lq:1:queues` | hash | queue → when it was made | the queue is deleted |
//! | `lq:1:hints` | zset | queue → when a sweep is due | swept |
//! | `lq:1:secret` | string | the key behind every `lease_id` | never |
//! | `lq:1:wake` | channel | queue, ready tasks, replica; or `lq:1:secret` when that is a new one | |
//! | `lq:1:events` | channel | kind, queue, JSON object (`domain/event.rs`) | |
//! | `lq:1:ended` | channel | queue, ids of tasks that ended and that somebody follows | |
//!
//! A script declares the first key and derives the others from it, because sending all names with each call
//! costs more than most commands. They share one hash tag, so a cluster keeps them together.

use std::sync::Arc;

use crate::domain::QueueName;

/// The layout version. Another one may exist beside it during an upgrade.
pub const PREFIX: &str = "lq:1:";
pub const QUEUES: &str = "lq:1:queues";
pub const HINTS: &str = "lq:1:hints";
pub const SECRET: &str = "lq:1:secret";
pub const WAKE: &str = "lq:1:wake";
pub const EVENTS: &str = "lq:1:events";
pub const ENDED: &str = "lq:1:ended";
/// The clock of tests, in milliseconds. Nothing else reads it.
pub const TEST_CLOCK: &str = "lq:1:clock";

/// The keys of one queue: the declared one, from which the others are derived.
#[derive(Debug, Clone)]
pub struct QueueKeys(Arc<str>);

impl QueueKeys {
    pub const COUNT: usize = 37;
    /// The ends of the names, in the order of `lua/prelude.lua`. The first is declared.
    pub const ROLES: [&'static str; Self::COUNT] = [
        "state",
        "q",
        "rec",
        "pay",
        "mut",
        "hist",
        "due",
        "leased",
        "dead",
        "expiry",
        "done",
        "res",
        "turn",
        "mark",
        "mark_old",
        "req",
        "req_at",
        "uniq",
        "uniq_at",
        "idem",
        "idem_at",
        "stale",
        "named",
        "letter",
        "alike",
        "print",
        "followed",
        "linger",
        "pulse",
        "pulse_10s",
        "pulse_5m",
        "workers",
        "gates",
        "gate",
        "breaker",
        "counts",
        "shut",
    ];

    pub fn new(queue: &QueueName) -> Self {
        let [declared, ..] = Self::ROLES;
        Self(format!("{PREFIX}{{{queue}}}:{declared}").into())
    }

    /// Returns all names, in the order of [`Self::ROLES`].
    pub fn all(&self) -> [String; Self::COUNT] {
        let [declared, ..] = Self::ROLES;
        let root = self.0.strip_suffix(declared).unwrap_or(&self.0);
        Self::ROLES.map(|role| format!("{root}{role}"))
    }

    /// Returns the declared key, from which scripts derive the others.
    pub fn declared(&self) -> &str {
        &self.0
    }

    /// Returns the Lua that derives the other keys from their common prefix.
    pub(super) fn lua() -> String {
        let names = Self::ROLES.map(|role| format!("root .. '{role}'")).join(", ");
        format!("local function name_keys(root) return {{ root, {names} }} end\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prelude_names_the_keys_in_the_order_of_their_roles() {
        let names = include_str!("lua/prelude.lua")
            .lines()
            .find_map(|line| {
                line.strip_prefix("local ROOT, ")?
                    .strip_suffix(" = keys_of(declared) -- per queue")
            })
            .unwrap();
        assert_eq!(names.to_lowercase(), QueueKeys::ROLES.join(", "));
    }

    #[test]
    fn every_key_of_a_queue_lies_in_one_hash_slot() {
        let keys = QueueKeys::new(&QueueName::parse("a:b.c-d").unwrap());
        assert!(keys.all().iter().all(|key| key.contains("{a:b.c-d}")));
    }
}

//! Checks whether this Redis is fit to keep tasks: at the start, and whenever an operator asks.

use std::collections::HashMap;

use deadpool_redis::redis::cmd;

use super::conn::Store;
use super::keys::QueueKeys;
use super::ops::overview::OverviewOp;
use super::permissions;
use super::registry::Syncing;
use crate::domain::checkup::Check;
use crate::domain::durability::Level;
use crate::domain::{Millis, QueueName};

/// The first version with all commands that the scripts use.
const VERSION_MIN: (u32, u32) = (6, 2);
/// The first version with functions.
const VERSION_OF_FUNCTIONS: (u32, u32) = (7, 0);
/// Used memory in percent of the allowed, beyond which enqueues will soon be refused.
const MEMORY_PERCENT_WARN: u64 = 90;
/// Difference between the local clock and Redis's, in ms.
const CLOCK_MS_WARN: u64 = 2_000;
/// Not a real queue, only a name for keys.
const NOBODY: &str = "leaseq.doctor";

/// The reply of `INFO`, by field.
struct Info(HashMap<String, String>);

impl Info {
    fn read(text: &str) -> Self {
        let fields = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        Self(
            fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }
}

impl Store {
    /// Checks everything about Redis that matters to tasks. `asked` is the configured durability level, if it
    /// is known.
    pub async fn checkup(&self, asked: Option<Level>) -> Vec<Check> {
        let mut conn = self.conn();
        let before = Millis::local();
        let time: (u64, u64) = match conn.command(&cmd("TIME")).await {
            Ok(time) => time,
            Err(error) => {
                return vec![Check::fail(
                    "redis",
                    error.to_string(),
                    "Start Redis, or correct the address and the credentials in --redis-url.",
                )];
            }
        };
        let after = Millis::local();
        let mut checks = Vec::new();
        match conn.command::<String>(&cmd("INFO")).await {
            Ok(text) => {
                let info = Info::read(&text);
                checks.extend([version(&info), role(&info), eviction(&info), memory(&info)]);
                checks.push(persistence(&info, self.syncing().await.ok(), asked));
            }
            Err(_) => checks.push(Check::warn(
                "redis",
                "it answers, but may not be asked for its state (INFO)",
                "Allow the user INFO, so that eviction and persistence can be seen.",
            )),
        }
        checks.push(self.writes().await);
        checks.push(self.scripts().await);
        checks.push(permissions::check(&mut conn).await);
        checks.push(clock(before, after, time));
        checks
    }

    async fn writes(&self) -> Check {
        match self.probe().await {
            Ok(()) => Check::ok("writes", "Redis takes writes"),
            Err(error) => Check::fail(
                "writes",
                error.to_string(),
                "Look at Redis's log: a full disk, full memory or a replica that was promoted elsewhere refuses writes.",
            ),
        }
    }

    /// Loads the scripts if they are missing, as the first call of the service would.
    async fn scripts(&self) -> Check {
        let nobody = QueueName::parse(NOBODY).expect("it is a sound name");
        match self.call(&QueueKeys::new(&nobody), &OverviewOp).await {
            Ok(_) if self.is_plain() => Check::warn(
                "scripts",
                "plain scripts: this Redis has no functions for us",
                "Use Redis 7.0 or later, or Valkey, and allow the user FUNCTION and FCALL: functions cost Redis less time.",
            ),
            Ok(_) => Check::ok("scripts", "functions"),
            Err(error) => Check::fail(
                "scripts",
                error.to_string(),
                "Allow the user FUNCTION and FCALL, or SCRIPT and EVALSHA, on the keys that begin with lq:.",
            ),
        }
    }
}

/// The first two parts of a version.
fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn version(info: &Info) -> Check {
    let valkey = info.text("valkey_version");
    if !valkey.is_empty() {
        return Check::ok("version", format!("Valkey {valkey}"));
    }
    let text = info.text("redis_version");
    let shown = format!("Redis {text}");
    match parsed(text) {
        Some(version) if version >= VERSION_OF_FUNCTIONS => Check::ok("version", shown),
        Some(version) if version >= VERSION_MIN => Check::warn(
            "version",
            shown,
            "Go over to Redis 7.0 or later, or Valkey: there scripts are functions, which cost less.",
        ),
        _ => Check::fail("version", shown, "Use Redis 6.2 or later, or Valkey."),
    }
}

fn role(info: &Info) -> Check {
    if info.number("cluster_enabled") == 1 {
        return Check::fail(
            "role",
            "a node of a cluster",
            "Use a Redis without cluster mode: clusters are not supported yet.",
        );
    }
    match info.text("role") {
        "master" => Check::ok("role", "primary"),
        other => Check::fail(
            "role",
            format!("{other}, which takes no writes"),
            "Give the address of the primary.",
        ),
    }
}

fn eviction(info: &Info) -> Check {
    let (policy, limit) = (info.text("maxmemory_policy"), info.number("maxmemory"));
    match policy {
        "noeviction" => Check::ok("eviction", policy),
        _ if limit == 0 => Check::warn(
            "eviction",
            format!("{policy}, and no maxmemory that would set it off"),
            "Set maxmemory-policy noeviction before anybody sets maxmemory: an evicted key is a lost task.",
        ),
        _ => Check::fail(
            "eviction",
            policy,
            "Set maxmemory-policy noeviction: an evicted key is a lost task.",
        ),
    }
}

fn memory(info: &Info) -> Check {
    let used = info.number("used_memory");
    let (limit, what) = match info.number("maxmemory") {
        0 => (info.number("total_system_memory"), "of the machine"),
        limit => (limit, "allowed"),
    };
    let shown = format!("{} MiB of {} MiB {what}", used >> 20, limit >> 20);
    if limit > 0 && used / 100 * 100 >= limit / 100 * MEMORY_PERCENT_WARN {
        Check::warn(
            "memory",
            shown,
            "Let workers catch up, shorten what retention keeps, or give Redis more memory: on a full store enqueues are refused.",
        )
    } else {
        Check::ok("memory", shown)
    }
}

fn persistence(info: &Info, syncing: Option<Syncing>, asked: Option<Level>) -> Check {
    const NAME: &str = "persistence";
    let bad = [
        "aof_last_write_status",
        "aof_last_bgrewrite_status",
        "rdb_last_bgsave_status",
    ]
    .into_iter()
    .find(|field| !matches!(info.text(field), "ok" | ""));
    if let Some(field) = bad {
        return Check::fail(
            NAME,
            format!("{field} is {}", info.text(field)),
            "Look at Redis's log and at the free space of its disk.",
        );
    }
    let synced = syncing.is_some_and(|seen| seen.every_write);
    let logs = info.number("aof_enabled") == 1;
    match (asked, synced, logs) {
        (_, true, _) => Check::ok(NAME, "every write is synced before it is answered (fsync)"),
        (Some(Level::Fsync), ..) => Check::fail(
            NAME,
            "level fsync is asked for, and cannot be seen to hold",
            "Set appendonly yes, appendfsync always and no-appendfsync-on-rewrite no, and allow the user INFO and CONFIG GET.",
        ),
        (_, false, true) => Check::ok(
            NAME,
            "an append-only file that is not synced with each write (memory): a power cut loses about a second",
        ),
        (_, false, false) => Check::warn(
            NAME,
            "no append-only file: a restart of Redis loses tasks",
            "Set appendonly yes, and appendfsync always for the level fsync.",
        ),
    }
}

fn clock(before: Millis, after: Millis, (seconds, micros): (u64, u64)) -> Check {
    let redis = seconds * 1000 + micros / 1000;
    let apart = before
        .get()
        .saturating_sub(redis)
        .max(redis.saturating_sub(after.get()));
    let shown = format!("{apart} ms between Redis and the machine that asks");
    if apart > CLOCK_MS_WARN {
        Check::warn(
            "clock",
            shown,
            "Let both machines keep time (NTP): tasks go by Redis's clock, so nothing is early or late, but logs will not match.",
        )
    } else {
        Check::ok("clock", shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::checkup::Verdict;

    fn info(text: &str) -> Info {
        Info::read(&text.replace(' ', "\r\n"))
    }

    #[test]
    fn an_old_redis_is_refused_and_one_without_functions_warned_of() {
        for (text, verdict) in [
            ("redis_version:6.0.16", Verdict::Fail),
            ("redis_version:6.2.14", Verdict::Warn),
            ("redis_version:7.0.15", Verdict::Ok),
            ("redis_version:10.1.0", Verdict::Ok),
            ("redis_version:7.2.4 valkey_version:8.0.1", Verdict::Ok),
            ("", Verdict::Fail),
        ] {
            assert_eq!(version(&info(text)).verdict, verdict, "{text}");
        }
    }

    #[test]
    fn a_redis_that_may_evict_tasks_fails_as_soon_as_it_would() {
        for (text, verdict) in [
            ("maxmemory:0 maxmemory_policy:noeviction", Verdict::Ok),
            ("maxmemory:0 maxmemory_policy:allkeys-lru", Verdict::Warn),
            ("maxmemory:1000000 maxmemory_policy:allkeys-lru", Verdict::Fail),
        ] {
            assert_eq!(eviction(&info(text)).verdict, verdict, "{text}");
        }
    }

    #[test]
    fn memory_is_measured_by_what_is_allowed_or_else_by_what_is_there() {
        for (text, verdict) in [
            (
                "used_memory:800 maxmemory:0 total_system_memory:1000",
                Verdict::Ok,
            ),
            (
                "used_memory:950 maxmemory:0 total_system_memory:1000",
                Verdict::Warn,
            ),
            (
                "used_memory:950 maxmemory:1000 total_system_memory:9000",
                Verdict::Warn,
            ),
            ("used_memory:950", Verdict::Ok),
        ] {
            assert_eq!(memory(&info(text)).verdict, verdict, "{text}");
        }
    }

    #[test]
    fn a_level_that_cannot_be_seen_to_hold_fails() {
        let always = Some(Syncing {
            every_write: true,
            is_whole: true,
        });
        for (text, syncing, asked, verdict) in [
            ("aof_enabled:1", always, Some(Level::Fsync), Verdict::Ok),
            ("aof_enabled:1", None, Some(Level::Fsync), Verdict::Fail),
            ("aof_enabled:1", None, Some(Level::Memory), Verdict::Ok),
            ("aof_enabled:0", None, None, Verdict::Warn),
            (
                "aof_enabled:1 aof_last_write_status:err",
                always,
                None,
                Verdict::Fail,
            ),
        ] {
            assert_eq!(
                persistence(&info(text), syncing, asked).verdict,
                verdict,
                "{text}"
            );
        }
    }

    #[test]
    fn clocks_are_apart_by_what_the_journey_cannot_explain() {
        let at = Millis::new;
        assert_eq!(clock(at(5_000), at(9_000), (7, 0)).verdict, Verdict::Ok);
        assert_eq!(clock(at(5_000), at(5_010), (8, 0)).verdict, Verdict::Warn);
        assert_eq!(clock(at(5_000), at(5_010), (2, 0)).verdict, Verdict::Warn);
    }
}

//! Checks whether the user may send every command of the service. Redis 7.0 can tell without executing it
//! (`ACL DRYRUN`).

use std::collections::BTreeSet;

use deadpool_redis::redis::{Value, cmd, from_redis_value};

use super::conn::Conn;
use super::error::StoreError;
use super::{keys, script};
use crate::domain::checkup::Check;

/// Commands beside the scripts, with arguments like those of the service. Commands for only one form of
/// scripts, or for reading settings, are below.
const BESIDE: &[&[&str]] = &[
    &["SET", keys::SECRET, "x"],
    &["GET", keys::SECRET],
    &["HEXISTS", keys::QUEUES, "x"],
    &["HLEN", keys::QUEUES],
    &["HSETNX", keys::QUEUES, "x", "x"],
    &["HSCAN", keys::QUEUES, "0"],
    &["HDEL", keys::QUEUES, "x"],
    &["ZADD", keys::HINTS, "1", "x"],
    &["ZREM", keys::HINTS, "x"],
    &["ZRANGE", keys::HINTS, "0", "1"],
    &["PUBLISH", keys::WAKE, "x"],
    &["SUBSCRIBE", keys::WAKE],
    &["PUBLISH", keys::EVENTS, "x"],
    &["SUBSCRIBE", keys::EVENTS],
    &["TIME"],
    &["PING"],
];
const FUNCTIONS: &[&[&str]] = &[
    &["FCALL", "x", "1", ANY_KEY],
    &["FUNCTION", "LIST"],
    &["FUNCTION", "LOAD", "x"],
    &["FUNCTION", "DELETE", "x"],
];
const PLAIN: &[&[&str]] = &[&["EVALSHA", "x", "1", ANY_KEY], &["SCRIPT", "LOAD", "x"]];
const TO_SEE: &[&[&str]] = &[&["INFO"], &["CONFIG", "GET", "x"]];
/// Needed only at level `replicated`.
const REPLICATED: &[&[&str]] = &[&["WAIT", "1", "1"]];
/// A key of a queue.
const ANY_KEY: &str = "lq:1:{leaseq.doctor}:q";

pub(super) async fn check(conn: &mut Conn) -> Check {
    match denied(conn).await {
        Ok(denied) => judged(&denied),
        Err(_) => Check::warn(
            NAME,
            "Redis does not say what the user may do (ACL WHOAMI, ACL DRYRUN)",
            "Use Redis 7.0 or later and allow the user ACL and COMMAND for this check; nothing else needs them.",
        ),
    }
}

const NAME: &str = "permissions";

/// Returns the commands that the user may not send, each as its words.
async fn denied(conn: &mut Conn) -> Result<BTreeSet<String>, StoreError> {
    let user: String = conn.command(cmd("ACL").arg("WHOAMI")).await?;
    let mut denied = BTreeSet::new();
    let mut wanted: Vec<Vec<String>> = Vec::new();
    let replicated = if conn.waits_for_replicas() {
        REPLICATED
    } else {
        &[]
    };
    for list in [BESIDE, FUNCTIONS, PLAIN, TO_SEE, replicated] {
        wanted.extend(
            list.iter()
                .map(|words| words.iter().map(|&word| word.to_owned()).collect()),
        );
    }
    for command in script::commands() {
        wanted.push(sample(conn, command).await?);
    }
    for words in wanted {
        let answer: String = conn
            .command(cmd("ACL").arg("DRYRUN").arg(&user).arg(&words))
            .await?;
        if answer != "OK" {
            let shown = match words[0].as_str() {
                "FUNCTION" | "SCRIPT" | "CONFIG" => words[..2].join(" "),
                _ => words[0].clone(),
            };
            denied.insert(shown);
        }
    }
    Ok(denied)
}

/// Returns a command of the scripts with as many arguments as it needs, each a key of a queue.
async fn sample(conn: &mut Conn, command: &str) -> Result<Vec<String>, StoreError> {
    if let Some(known) = BESIDE.iter().find(|words| words[0] == command)
        && matches!(command, "PUBLISH" | "TIME")
    {
        return Ok(known.iter().map(|&word| word.to_owned()).collect());
    }
    let about: Vec<Value> = conn.command(cmd("COMMAND").arg("INFO").arg(command)).await?;
    let arity = match about.into_iter().next() {
        Some(Value::Array(facts)) => facts.into_iter().nth(1),
        _ => None,
    };
    let arity: i64 = arity.and_then(|arity| from_redis_value(arity).ok()).unwrap_or(2);
    let arguments = usize::try_from(arity.unsigned_abs())
        .unwrap_or(2)
        .saturating_sub(1);
    let mut words = vec![command.to_owned()];
    words.extend(std::iter::repeat_n(ANY_KEY.to_owned(), arguments));
    Ok(words)
}

fn judged(denied: &BTreeSet<String>) -> Check {
    let lacks = |list: &[&[&str]]| {
        list.iter().any(|words| {
            denied.contains(words[0])
                || words
                    .get(1)
                    .is_some_and(|sub| denied.contains(&format!("{} {sub}", words[0])))
        })
    };
    let optional = |name: &str| {
        [FUNCTIONS, PLAIN, TO_SEE]
            .iter()
            .any(|list| list.iter().any(|words| name.split(' ').next() == Some(words[0])))
    };
    let needed: Vec<&str> = denied
        .iter()
        .map(String::as_str)
        .filter(|name| !optional(name))
        .collect();
    if !needed.is_empty() {
        return Check::fail(
            NAME,
            format!("the user may not {}", needed.join(", ")),
            "Allow these commands, on keys that begin with lq: and channels that do.",
        );
    }
    let all = denied.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    // Plain scripts replace functions that cannot be loaded, but not those that cannot be called.
    let no_way =
        denied.contains("FCALL") && !denied.contains("FUNCTION LOAD") && !denied.contains("FUNCTION LIST");
    match (lacks(FUNCTIONS), lacks(PLAIN), lacks(TO_SEE)) {
        _ if no_way => Check::fail(
            NAME,
            format!("the user may load functions, and not call them ({all})"),
            "Allow FCALL; or deny FUNCTION, too, for plain scripts, which cost Redis more time.",
        ),
        (true, true, _) => Check::fail(
            NAME,
            format!("the user may not {all}"),
            "Allow FUNCTION and FCALL, or SCRIPT and EVALSHA: without either there are no scripts.",
        ),
        (true, false, _) => Check::warn(
            NAME,
            format!("the user may not {all}"),
            "Allow FUNCTION and FCALL: functions cost Redis less time than plain scripts.",
        ),
        (_, _, true) => Check::warn(
            NAME,
            format!("the user may not {all}"),
            "Allow INFO and CONFIG GET, so that durability can be seen.",
        ),
        _ => Check::ok(NAME, "every command that the service uses"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::checkup::Verdict;

    fn verdict(denied: &[&str]) -> Verdict {
        judged(&denied.iter().map(|&name| name.to_owned()).collect()).verdict
    }

    #[test]
    fn only_what_has_another_way_may_be_denied() {
        assert_eq!(verdict(&[]), Verdict::Ok);
        assert_eq!(verdict(&["FCALL"]), Verdict::Fail);
        assert_eq!(
            verdict(&["FCALL", "FUNCTION LIST", "FUNCTION LOAD"]),
            Verdict::Warn
        );
        assert_eq!(verdict(&["FUNCTION DELETE"]), Verdict::Warn);
        assert_eq!(verdict(&["FUNCTION LOAD", "SCRIPT LOAD"]), Verdict::Fail);
        assert_eq!(verdict(&["CONFIG GET"]), Verdict::Warn);
        assert_eq!(verdict(&["ZADD"]), Verdict::Fail);
        assert_eq!(verdict(&["SUBSCRIBE"]), Verdict::Fail);
    }

    /// Finds each `cmd("X")` of this room.
    #[test]
    fn every_command_that_is_sent_is_asked_for() {
        let known: BTreeSet<&str> = [BESIDE, FUNCTIONS, PLAIN, TO_SEE, REPLICATED]
            .iter()
            .flat_map(|list| list.iter().map(|words| words[0]))
            .collect();
        for text in [
            include_str!("registry.rs"),
            include_str!("conn.rs"),
            include_str!("checkup.rs"),
            include_str!("confirm.rs"),
            include_str!("lease_key.rs"),
        ] {
            for sent in text.split("cmd(\"").skip(1) {
                let name = sent.split('"').next().unwrap_or_default();
                assert!(known.contains(name), "{name} is sent and not asked for");
            }
        }
        let scripts = script::commands();
        for name in ["ZADD", "HSET", "ZREVRANK", "PUBLISH"] {
            assert!(scripts.contains(name), "{name} is not seen in {scripts:?}");
        }
    }
}

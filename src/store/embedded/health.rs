//! Checks the data directory of the embedded Redis and the space on its disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::statvfs;

use crate::domain::checkup::Check;

const NAME: &str = "data_dir";
/// With less free space, a log that is synced with each write may fail at any moment.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Checks the directory of a running service. Changes nothing.
pub fn check(data_dir: &Path) -> Check {
    let redis = data_dir.join("redis");
    let facts = fs::metadata(&redis).and_then(|facts| Ok((facts, statvfs(&redis)?)));
    let (facts, disk) = match facts {
        Ok(facts) => facts,
        Err(error) => {
            return Check::fail(
                NAME,
                error.to_string(),
                "Give the directory back, or restore it from a backup.",
            );
        }
    };
    let (log, free) = (log_bytes(&redis), disk.f_bavail.saturating_mul(disk.f_frsize));
    let shown = format!("a log of {} MiB, {} MiB free beside it", log >> 20, free >> 20);
    if facts.permissions().mode() & 0o077 != 0 {
        return Check::fail(
            NAME,
            "others on this machine can reach the directory of the embedded Redis",
            "chmod 700 the directory `redis` in the data directory: who reaches the socket in it can do everything.",
        );
    }
    if free < FREE_BYTES_MIN {
        return Check::fail(
            NAME,
            shown,
            "Make room on the disk: when it is full, Redis takes no writes.",
        );
    }
    // A rewrite creates a second log beside the first.
    if free < log + FREE_BYTES_MIN {
        return Check::warn(
            NAME,
            shown,
            "Make room on the disk: while the log is rewritten it is there twice.",
        );
    }
    Check::ok(NAME, shown)
}

/// Returns the bytes of the append-only files. Unreadable ones count as 0.
fn log_bytes(redis: &Path) -> u64 {
    let entries = fs::read_dir(redis.join("appendonlydir"))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|facts| facts.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::checkup::Verdict;

    #[test]
    fn a_directory_that_others_can_reach_fails() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(check(dir.path()).verdict, Verdict::Fail, "it is not there");
        let redis = dir.path().join("redis");
        fs::create_dir(&redis).unwrap();
        for (mode, verdict) in [(0o755, Verdict::Fail), (0o700, Verdict::Ok)] {
            fs::set_permissions(&redis, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(check(dir.path()).verdict, verdict, "{mode:o}");
        }
    }
}

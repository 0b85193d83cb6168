//! A power cut: Redis is gone, and with it what its append-only file had not on the disk. A kill -9 alone
//! proves nothing about that, for the page cache outlives the process.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deadpool_redis::redis::cmd;
use rand::Rng;
use rand::rngs::StdRng;

use crate::support::redis::Redis;

/// A Redis whose syncs are noted.
pub(super) struct Powered {
    pub(super) redis: Redis,
    notes: PathBuf,
    _dir: tempfile::TempDir,
}

/// The time up to which the disk had the writes, in microseconds since 1970.
pub(super) struct Cut {
    /// Everything answered before is kept.
    pub(super) synced_us: u64,
    pub(super) lost_bytes: u64,
}

impl Powered {
    /// `appendfsync` is Redis's setting; `args` are more of its arguments.
    pub(super) fn start(appendfsync: &str, args: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (library, notes) = (dir.path().join("synced.so"), dir.path().join("notes"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/histories/synced.c");
        // Rust links with it, so it is there.
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .status();
        assert!(built.unwrap().success());
        let environment = [
            ("LD_PRELOAD", library.as_path()),
            ("SYNCED_NOTES", notes.as_path()),
        ];
        let mut all = vec!["--appendonly", "yes", "--appendfsync", appendfsync];
        all.extend(args.iter().map(String::as_str));
        let redis = Redis::start_in(&all, &environment);
        Self {
            redis,
            notes,
            _dir: dir,
        }
    }

    /// The power fails and comes back. The disk may have any prefix of the writes that were not synced.
    pub(super) fn cut(&mut self, rng: &mut StdRng) -> Cut {
        self.redis.kill();
        let notes = std::fs::read_to_string(&self.notes).unwrap_or_default();
        let syncs: Vec<(u64, u64)> = notes
            .lines()
            .map(|line| {
                let (size, us) = line.split_once(' ').unwrap();
                (size.parse().unwrap(), us.parse().unwrap())
            })
            .collect();
        let folder = self.redis.dir().join("appendonlydir");
        let log = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_str().unwrap().ends_with(".incr.aof"))
            .unwrap();
        let size = std::fs::metadata(&log).unwrap().len();
        let synced = syncs.last().map_or(0, |(size, _)| *size);
        let kept = rng.random_range(synced..=size);
        OpenOptions::new()
            .write(true)
            .open(&log)
            .unwrap()
            .set_len(kept)
            .unwrap();
        mend(&log);
        self.redis.start_again();
        Cut {
            // Between an answer and the start of the next sync Redis may hold writes back, while the sync
            // before is under way: what was answered before that one began was surely in the file.
            synced_us: syncs.iter().rev().nth(1).map_or(0, |(_, us)| *us),
            lost_bytes: size - kept,
        }
    }
}

/// Takes away a transaction of which only the beginning is there. Redis does so itself when it loads, but
/// leaves the whole commands of it in the file, where the next start takes them for done
/// (valkey-io/valkey#4342).
fn mend(log: &Path) {
    let mut check = Command::new("redis-server")
        .arg0("redis-check-aof")
        .arg("--fix")
        .arg(log)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(b"y\n").unwrap();
    assert!(check.wait().unwrap().success());
}

/// The tool itself: it takes what was not synced, and nothing else.
#[test]
fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
    use rand::SeedableRng;
    for (appendfsync, kept) in [("always", 100), ("no", 0)] {
        let mut rng = StdRng::seed_from_u64(0);
        let mut powered = Powered::start(appendfsync, &[]);
        for key in 0..100 {
            let () = powered.redis.command(cmd("SET").arg(key).arg("x".repeat(1000)));
        }
        let cut = powered.cut(&mut rng);
        let keys = || powered.redis.try_command::<usize>(&cmd("DBSIZE")).ok();
        let keys = crate::process::running::until("loaded data", keys);
        if kept == 0 {
            assert!(cut.lost_bytes > 0 && keys < 100, "{keys} of 100 keys");
        } else {
            assert_eq!((cut.lost_bytes, keys), (0, kept));
        }
    }
}

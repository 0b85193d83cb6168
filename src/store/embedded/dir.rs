//! The data directory: ours, private, and used by one service at a time.
//!
//! ```text
//! leaseq-data/          made 0700; left as it is when an operator mounted it
//!   leaseq.lock         held by the service
//!   leaseq-data.toml    the marker: this directory is ours, and whether it ever held data
//!   redis/              always 0700 and ours
//!     redis.lock        held by the redis-server child itself
//!     redis.conf        0600
//!     redis.sock
//!     appendonlydir/    the data
//! ```

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};

use super::EmbeddedError;

const LOCK: &str = "leaseq.lock";
const MARKER: &str = "leaseq-data.toml";
const REDIS: &str = "redis";
const MARKER_NEW: &str = "leaseq-data.toml.new";
/// Entries that a directory of ours may contain before it has a marker: leftovers of an interrupted start,
/// and those of mkfs in a new volume.
const HARMLESS: [&str; 3] = [LOCK, MARKER_NEW, "lost+found"];
/// Bytes of a unix socket's path, without the closing zero: `sun_path` on Linux.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// The version of the directory. It rises if an older leaseq must not open the directory any more.
const FORMAT: i64 = 1;

/// A data directory that this process holds.
#[derive(Debug)]
pub(super) struct DataDir {
    root: PathBuf,
    redis: PathBuf,
    socket: PathBuf,
    /// The kernel releases the lock when the process ends, however it ends.
    _lock: File,
}

impl DataDir {
    /// Creates the directory if it is missing, locks it, and checks that it is ours.
    pub(super) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let fails = |error: io::Error| unusable(path, error.to_string());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(fails)?;
        let root = path.canonicalize().map_err(fails)?;
        check_ours(&root)?;
        let lock = lock(&root)?;
        if begun(&root).is_err() {
            mark(&root, false)
                .map_err(|error| unusable(&root, format!("{MARKER} cannot be written: {error}")))?;
        }
        let redis = root.join(REDIS);
        private(&redis).map_err(fails)?;
        let socket = socket(&redis).map_err(fails)?;
        Ok(Self {
            root,
            redis,
            socket,
            _lock: lock,
        })
    }

    pub(super) fn redis(&self) -> &Path {
        &self.redis
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn child_lock(&self) -> PathBuf {
        self.redis.join("redis.lock")
    }

    /// Returns where Redis 7 and later keep the append-only file.
    pub(super) fn has_append_only_dir(&self) -> bool {
        self.redis.join("appendonlydir/appendonly.aof.manifest").exists()
    }

    /// Refuses to start an empty server where there was data before: after a lost disk or a mistyped restore,
    /// an empty queue would hide the loss.
    pub(super) fn check_data(&self) -> Result<(), EmbeddedError> {
        let there = self.has_append_only_dir() || self.redis.join("appendonly.aof").exists();
        if there || !begun(&self.root).unwrap_or(true) {
            return Ok(());
        }
        Err(EmbeddedError::DataGone {
            path: self.root.clone(),
        })
    }

    /// Notes that the append-only file must exist from now on. Call it before the first write.
    pub(super) fn mark_begun(&self) -> Result<(), EmbeddedError> {
        if begun(&self.root).unwrap_or(false) {
            return Ok(());
        }
        mark(&self.root, true)
            .map_err(|error| unusable(&self.root, format!("{MARKER} cannot be written: {error}")))
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // The short directory of a long path contained only the socket. The removal fails if it has other
        // entries.
        if let Some(home) = self.socket.parent().filter(|home| *home != self.redis) {
            let _ = std::fs::remove_file(&self.socket);
            let _ = std::fs::remove_dir(home);
        }
    }
}

fn lock(root: &Path) -> Result<File, EmbeddedError> {
    let path = root.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| unusable(root, format!("{LOCK} cannot be opened: {error}")))?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        let _ = (&file).take(32).read_to_string(&mut holder);
        return Err(EmbeddedError::InUse {
            path: root.to_owned(),
            holder: holder.trim().parse().ok(),
        });
    }
    // The process id is for people. Only the lock counts.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Refuses a directory with foreign entries, before anything is written to it.
fn check_ours(root: &Path) -> Result<(), EmbeddedError> {
    match begun(root) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(root, format!("{MARKER}: {error}"))),
    }
    let entries = std::fs::read_dir(root).map_err(|error| unusable(root, error.to_string()))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !HARMLESS.iter().any(|harmless| name == *harmless) {
            return Err(EmbeddedError::Foreign {
                path: root.to_owned(),
                entry: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(())
}

fn unusable(path: &Path, problem: String) -> EmbeddedError {
    EmbeddedError::Directory {
        path: path.to_owned(),
        problem,
    }
}

/// Reads from the marker whether the directory ever contained data.
fn begun(root: &Path) -> io::Result<bool> {
    let text = std::fs::read_to_string(root.join(MARKER))?;
    let odd = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem.to_owned());
    let table: toml::Table = text.parse().map_err(|_| odd("is damaged"))?;
    match table.get("format").and_then(toml::Value::as_integer) {
        Some(FORMAT) => {}
        Some(_) => return Err(odd("was written by another version of leaseq")),
        None => return Err(odd("is damaged")),
    }
    table
        .get("begun")
        .and_then(toml::Value::as_bool)
        .ok_or_else(|| odd("is damaged"))
}

/// Replaces the marker atomically, and syncs it before it returns.
fn mark(root: &Path, begun: bool) -> io::Result<()> {
    let new = root.join(MARKER_NEW);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    write!(
        file,
        "# This directory is a LeaseQ data directory; leaseq keeps this file.\n\
         format = {FORMAT}\n\
         # Once true, leaseq refuses to start without the data in redis/.\n\
         begun = {begun}\n"
    )?;
    file.sync_all()?;
    std::fs::rename(&new, root.join(MARKER))?;
    File::open(root)?.sync_all()
}

/// Creates a directory that only this user can enter.
fn private(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Through a link another user could choose where the data goes.
    let metadata = std::fs::symlink_metadata(path)?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!(
            "{} is not a directory of the user that runs leaseq",
            path.display()
        )));
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Returns the path of the socket: beside the data, or, if that is too long for a unix socket, in a private
/// directory under the system's temporary one. The data directory determines that name, so that killed
/// services do not leave many of them.
fn socket(redis: &Path) -> io::Result<PathBuf> {
    let beside = redis.join("redis.sock");
    if beside.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok(beside);
    }
    let digest = Sha256::digest(redis.as_os_str().as_bytes());
    let name = data_encoding::HEXLOWER.encode(&digest[..8]);
    let short = std::env::temp_dir().join(format!("leaseq-{name}"));
    private(&short)?;
    let socket = short.join("redis.sock");
    if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(io::Error::other(format!(
            "its path is too long for a unix socket, and so is {}: use a shorter path or set TMPDIR",
            short.display()
        )));
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_service_on_one_directory_is_refused_by_name() {
        let temp = tempfile::tempdir().unwrap();
        let first = DataDir::open(temp.path()).unwrap();
        let told = DataDir::open(temp.path()).unwrap_err();
        assert_eq!(
            told,
            EmbeddedError::InUse {
                path: first.root.clone(),
                holder: Some(std::process::id())
            }
        );
        assert!(told.to_string().contains(&first.root.display().to_string()));
        drop(first);
        DataDir::open(temp.path()).unwrap();
    }

    #[test]
    fn a_directory_with_foreign_files_is_refused_and_untouched() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("thesis.tex"), "x").unwrap();
        let told = DataDir::open(temp.path()).unwrap_err();
        assert!(matches!(told, EmbeddedError::Foreign { entry, .. } if entry == "thesis.tex"));
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);

        let volume = tempfile::tempdir().unwrap();
        std::fs::create_dir(volume.path().join("lost+found")).unwrap();
        DataDir::open(volume.path()).unwrap();
    }

    #[test]
    fn a_directory_that_lost_its_data_is_not_started_empty() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        dir.check_data().unwrap();
        dir.mark_begun().unwrap();
        assert!(matches!(dir.check_data(), Err(EmbeddedError::DataGone { .. })));
        std::fs::create_dir(dir.redis.join("appendonlydir")).unwrap();
        std::fs::write(dir.redis.join("appendonlydir/appendonly.aof.manifest"), "").unwrap();
        dir.check_data().unwrap();
    }

    #[test]
    fn the_redis_directory_is_private_whatever_the_mode_of_the_mount() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        assert_eq!(std::fs::metadata(dir.redis()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_path_too_long_for_a_socket_gets_a_short_private_one() {
        let temp = tempfile::tempdir().unwrap();
        let deep = temp.path().join("d".repeat(120));
        let dir = DataDir::open(&deep).unwrap();
        assert!(dir.socket().as_os_str().len() <= SOCKET_PATH_BYTES_MAX);
        let home = dir.socket().parent().unwrap();
        assert_eq!(std::fs::metadata(home).unwrap().mode() & 0o777, 0o700);
        assert_eq!(socket(dir.redis()).unwrap(), dir.socket());
        let home = home.to_owned();
        drop(dir);
        assert!(!home.exists());
    }

    #[test]
    fn a_marker_of_another_version_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join(MARKER), "format = 2\nbegun = true\n").unwrap();
        let told = DataDir::open(temp.path()).unwrap_err().to_string();
        assert!(told.contains("another version"), "{told}");
    }
}

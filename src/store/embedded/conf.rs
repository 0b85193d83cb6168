//! The child's redis.conf.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Sync;
use super::dir::DataDir;

/// Connections that the child accepts: a service needs some dozens. The default of 10,000 would only cause a
/// warning about the limit of open files.
const CLIENTS_MAX: u16 = 1000;

/// Entries up to which Redis keeps a hash or sorted set as a list that it searches from the start. Its
/// defaults of 512 and 128 make a call of a hundred tasks a fifth more expensive.
const SEARCHED_MAX: u16 = 32;

/// Writes the file, readable by this user only. Returns its path.
pub(super) fn write(dir: &DataDir, sync: Sync) -> io::Result<PathBuf> {
    let path = dir.redis().join("redis.conf");
    // Removed first, so that the file gets the mode below.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(text(dir, sync).as_bytes())?;
    Ok(path)
}

fn text(dir: &DataDir, sync: Sync) -> String {
    let fsync = match sync {
        Sync::Always => "always",
        Sync::EverySecond => "everysec",
    };
    // DEBUG and MODULE are off by default from Redis 7 on. Renaming them also works for 6.2, which lacks
    // those settings.
    let mut text = format!(
        "# Written by leaseq at each start; changes are lost.\n\
         port 0\n\
         unixsocket {socket}\n\
         unixsocketperm 700\n\
         protected-mode yes\n\
         maxclients {CLIENTS_MAX}\n\
         daemonize no\n\
         logfile \"\"\n\
         databases 1\n\
         dir {home}\n\
         save \"\"\n\
         appendonly yes\n\
         appendfsync {fsync}\n\
         maxmemory-policy noeviction\n\
         hash-max-ziplist-entries {SEARCHED_MAX}\n\
         zset-max-ziplist-entries {SEARCHED_MAX}\n\
         rename-command DEBUG \"\"\n\
         rename-command MODULE \"\"\n",
        socket = quoted(dir.socket()),
        home = quoted(dir.redis()),
    );
    // Redis 6.2 keeps its file elsewhere and would start empty. It does not know this line, so a downgrade
    // fails here instead.
    if dir.has_append_only_dir() {
        text.push_str("appenddirname \"appendonlydir\"\n");
        // `torn` removes the whole transaction instead.
        text.push_str("aof-load-truncated no\n");
    }
    text
}

/// Writes a path for redis.conf: quoted, with all but plain characters as `\xHH`.
fn quoted(path: &Path) -> String {
    let mut text = String::from("\"");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(byte.into());
            }
            b' '..=b'~' => text.push(byte.into()),
            _ => write!(text, "\\x{byte:02x}").expect("writing to a string cannot fail"),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_path_cannot_break_out_of_its_line() {
        let odd = Path::new("/a \"b\"\nport 6379/é\\");
        assert_eq!(quoted(odd), r#""/a \"b\"\x0aport 6379/\xc3\xa9\\""#);
    }

    #[test]
    fn the_file_is_for_its_owner_only() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        for _ in 0..2 {
            let path = write(&dir, Sync::Always).unwrap();
            assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o777, 0o600);
        }
        assert!(text(&dir, Sync::Always).contains("appendfsync always\n"));
        assert!(text(&dir, Sync::EverySecond).contains("appendfsync everysec\n"));
    }
}

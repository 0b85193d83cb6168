//! Removes the last transaction of the append-only file if a power cut left it half written.
//!
//! Redis drops such a transaction when it loads, but only from memory. Its complete commands stay in the file
//! after their `MULTI`, and the start after the next write executes them (valkey-io/valkey#4342). The effects
//! of a script are such a transaction, so half of one would come back. Therefore our Redis is configured to
//! refuse a torn file, and this module removes the whole transaction.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The last words of a redis-server that refuses a torn file.
const REFUSAL: &str = "Unexpected end of file reading the append only file";

/// Returns whether the last words of a server report a torn file.
pub(super) fn is_why(last_words: &str) -> bool {
    last_words.contains(REFUSAL)
}

/// Cuts the newest file after its last complete command outside of a transaction, and syncs it. Returns the
/// number of removed bytes. At level `fsync` none of them had been confirmed.
///
/// # Errors
/// If the file cannot be read or written, or is damaged before its end.
pub(super) fn mend(redis: &Path) -> io::Result<u64> {
    let path = last_part(&redis.join("appendonlydir"))?;
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let size = file.metadata()?.len();
    let whole = whole_bytes(BufReader::new(&file))?;
    file.set_len(whole)?;
    file.sync_all()?;
    Ok(size - whole)
}

/// Returns the last file of the manifest, which is the newest.
fn last_part(dir: &Path) -> io::Result<PathBuf> {
    let manifest = BufReader::new(File::open(dir.join("appendonly.aof.manifest"))?);
    let mut last = None;
    for line in manifest.lines() {
        let line = line?;
        let mut words = line.split(' ');
        if let (Some("file"), Some(name)) = (words.next(), words.next())
            && line.ends_with("type i")
        {
            last = Some(dir.join(name));
        }
    }
    last.ok_or_else(|| damaged("the manifest names no file that is being written"))
}

/// Returns the length of the complete commands that are not inside an unfinished transaction.
fn whole_bytes(mut log: impl BufRead) -> io::Result<u64> {
    let (mut at, mut whole, mut inside) = (0, 0, false);
    loop {
        match command(&mut log) {
            Ok(Some((bytes, word))) => {
                at += bytes;
                inside = match word {
                    Word::Multi => true,
                    Word::Exec => false,
                    Word::Other => inside,
                };
                if !inside {
                    whole = at;
                }
            }
            Ok(None) => return Ok(whole),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(whole),
            Err(error) => return Err(error),
        }
    }
}

enum Word {
    Multi,
    Exec,
    Other,
}

/// Reads one command. Returns its length and its kind; `None` at the end.
fn command(log: &mut impl BufRead) -> io::Result<Option<(u64, Word)>> {
    if log.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let (mut bytes, words) = number(log, b'*')?;
    let mut first = Vec::new();
    for nth in 0..words {
        let (head, length) = number(log, b'$')?;
        let with_end = length.saturating_add(2);
        let mut word = log.by_ref().take(with_end);
        let read = if nth == 0 && length < 16 {
            io::copy(&mut word, &mut first)?
        } else {
            io::copy(&mut word, &mut io::sink())?
        };
        if read < with_end {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes += head + read;
    }
    first.make_ascii_uppercase();
    let word = match &first[..] {
        b"MULTI\r\n" => Word::Multi,
        b"EXEC\r\n" => Word::Exec,
        _ => Word::Other,
    };
    Ok(Some((bytes, word)))
}

/// Reads a line of a sign and a number. Returns its length and the number.
fn number(log: &mut impl BufRead, sign: u8) -> io::Result<(u64, u64)> {
    /// Longer than any number.
    const LINE_BYTES_MAX: u64 = 32;
    let mut line = Vec::new();
    log.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') && (line.len() as u64) < LINE_BYTES_MAX {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let number = line
        .strip_prefix(&[sign])
        .and_then(|rest| rest.strip_suffix(b"\r\n"))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let number = number.ok_or_else(|| damaged("the append-only file is damaged before its end"))?;
    Ok((line.len() as u64, number))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$7\r\nMULTI\r\n\r\n";
    const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";
    const EXEC: &str = "*1\r\n$4\r\nEXEC\r\n";

    #[test]
    fn wherever_the_end_is_torn_off_whole_transactions_are_left() {
        let log = [SET, MULTI, SET, SET, EXEC, SET, MULTI, SET, EXEC].concat();
        let ends = [
            0,
            SET.len(),
            [SET, MULTI, SET, SET, EXEC].concat().len(),
            [SET, MULTI, SET, SET, EXEC, SET].concat().len(),
            log.len(),
        ];
        for cut in 0..=log.len() {
            let whole = *ends.iter().rfind(|end| **end <= cut).expect("0 is the first");
            assert_eq!(
                whole_bytes(&log.as_bytes()[..cut]).unwrap(),
                whole as u64,
                "{cut}"
            );
        }
    }

    #[test]
    fn what_is_damaged_elsewhere_is_left_to_people() {
        let log = [SET, "?", SET].concat();
        assert_eq!(
            whole_bytes(log.as_bytes()).unwrap_err().kind(),
            ErrorKind::InvalidData
        );
    }

    #[test]
    fn the_file_that_was_written_last_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let parts = dir.path().join("appendonlydir");
        std::fs::create_dir(&parts).unwrap();
        let manifest =
            "file a.base.rdb seq 1 type b\nfile a.1.incr seq 1 type i\nfile a.2.incr seq 2 type i\n";
        std::fs::write(parts.join("appendonly.aof.manifest"), manifest).unwrap();
        std::fs::write(parts.join("a.2.incr"), [SET, MULTI, SET].concat()).unwrap();
        assert_eq!(mend(dir.path()).unwrap(), (MULTI.len() + SET.len()) as u64);
        assert_eq!(std::fs::read(parts.join("a.2.incr")).unwrap(), SET.as_bytes());
    }
}

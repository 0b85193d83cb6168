//! The output of the child: it is copied to our log, and its end is kept for error messages.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const LINES_KEPT: usize = 12;
const LINE_BYTES_MAX: u64 = 2000;
/// Redis marks trouble with `#`. It also marks these harmless lines of every start and stop, and advice on
/// kernel settings (`WARNING Memory overcommit must be enabled!`), which may not matter here.
const NOTHING_WRONG: [&str; 10] = [
    "WARNING",
    "oO0",
    "Redis version=",
    "Valkey version=",
    "Configuration loaded",
    "Server initialized",
    "User requested shutdown",
    "Received SIGTERM",
    "Redis is now ready to exit",
    "Valkey is now ready to exit",
];

/// Reads the output of one child until it closes.
pub(super) struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Log {
    pub(super) fn follow(output: PipeReader) -> std::io::Result<Self> {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&lines);
        let reader = std::thread::Builder::new()
            .name("redis-log".into())
            .spawn(move || pass_on(output, &kept))?;
        Ok(Self { lines, reader })
    }

    /// Returns the last lines, for a person who must find out why the child died.
    pub(super) fn last_words(self) -> String {
        // The end is written, and only the reader may lag. A rewrite child can hold the pipe open.
        let patience = Instant::now() + Duration::from_millis(200);
        while !self.reader.is_finished() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(2));
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // A fatal error of Redis is its last line, or follows "FATAL CONFIG FILE ERROR".
        let told: Vec<&str> = lines
            .iter()
            .map(|line| message(line))
            .filter(|line| !line.is_empty())
            .collect();
        match told.as_slice() {
            [] => "it said nothing".into(),
            told => told[told.len().saturating_sub(3)..].join(" / "),
        }
    }
}

fn pass_on(output: PipeReader, kept: &Mutex<VecDeque<String>>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match output.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let told = message(&text);
        if is_wrong(&text) {
            tracing::warn!(target: "leaseq::redis", "{told}");
        } else {
            tracing::debug!(target: "leaseq::redis", "{told}");
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == LINES_KEPT {
            kept.pop_front();
        }
        kept.push_back(text);
    }
}

/// Returns whether an operator should read the line at once. A line without a level continues an error, or is
/// the reason why Redis never started, which the service reports anyway.
fn is_wrong(line: &str) -> bool {
    stamp(line).is_some_and(|(level, told)| {
        level == '#' && !NOTHING_WRONG.iter().any(|start| told.starts_with(start))
    })
}

/// Removes the prefix `pid:role date time level` of Redis, which our log has itself.
fn message(line: &str) -> &str {
    stamp(line).map_or(line, |(_, told)| told)
}

/// Returns the level and the rest of a line that has a level.
fn stamp(line: &str) -> Option<(char, &str)> {
    let (pid, _) = line.split_once(':')?;
    pid.parse::<u32>().ok()?;
    let levels = ['#', '*', '-', '.'].into_iter();
    levels
        .filter_map(|level| Some((line.find(&format!(" {level} "))?, level)))
        .min()
        .map(|(at, level)| (level, &line[at + 3..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_log_of_a_service_has_what_is_wrong_with_its_redis_and_nothing_else() {
        let stamp = "7:M 21 Nov 2026 01:37:05.123";
        for wrong in [
            "Bad file format reading the append only file: make a backup of your AOF file",
            "Error writing to the AOF file: No space left on device",
            "Possible SECURITY ATTACK detected.",
            "Can't save in background: fork: Cannot allocate memory",
        ] {
            assert!(is_wrong(&format!("{stamp} # {wrong}")), "{wrong}");
        }
        for usual in [
            "# WARNING Memory overcommit must be enabled! Without it, a background save may fail.",
            "# WARNING: The TCP backlog setting of 511 cannot be enforced",
            "# oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo",
            "# Redis version=7.0.15, bits=64",
            "# Redis is now ready to exit, bye bye...",
            "* Ready to accept connections",
            "* a key named # is no error",
            "- Accepted # 4",
        ] {
            assert!(!is_wrong(&format!("{stamp} {usual}")), "{usual}");
        }
        assert!(!is_wrong("") && !is_wrong("Bad directive # or wrong number of arguments"));
    }

    #[test]
    fn the_last_words_are_the_last_lines_without_their_stamps() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let log = Log::follow(reader).unwrap();
        for n in 0..50 {
            writeln!(writer, "7:M 21 Nov 2026 01:37:05.123 * line {n} - more").unwrap();
        }
        write!(writer, "*** FATAL CONFIG FILE ERROR ***\n\nBad directive").unwrap();
        drop(writer);
        assert_eq!(
            log.last_words(),
            "line 49 - more / *** FATAL CONFIG FILE ERROR *** / Bad directive"
        );
    }
}

//! The child's output: passed on to our log, its end kept for error messages.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const LINES_KEPT: usize = 12;
const LINE_BYTES_MAX: u64 = 2000;
/// Redis marks what an operator should know with `#`, and these lines of every start and stop too.
const GREETINGS: [&str; 6] = [
    "oO0",
    "Redis version=",
    "Configuration loaded",
    "Server initialized",
    "User requested shutdown",
    "Redis is now ready to exit",
];

/// Reads one child's output until it closes.
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

    /// What it said last, for a person who must find out why it died.
    pub(super) fn last_words(self) -> String {
        // Its end has been written; only the reader may lag. A rewrite child can hold the pipe open.
        let patience = Instant::now() + Duration::from_millis(200);
        while !self.reader.is_finished() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(2));
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // A fatal error of redis is its last line or follows "FATAL CONFIG FILE ERROR".
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
        if text.contains(" # ") && !GREETINGS.iter().any(|greeting| told.starts_with(greeting)) {
            tracing::info!(target: "leaseq::redis", "{told}");
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

/// A line without redis's own `pid:role date time level` in front; our log has these itself.
fn message(line: &str) -> &str {
    let stamped = line
        .split_once(':')
        .is_some_and(|(pid, _)| pid.parse::<u32>().is_ok());
    if !stamped {
        return line;
    }
    [" # ", " * ", " - ", " . "]
        .iter()
        .filter_map(|level| line.find(level))
        .min()
        .map_or(line, |at| &line[at + 3..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

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

//! The stderr of the worker and of its programs.
//!
//! A thread writes from a bounded channel: a stalled reader costs log lines, not heartbeats.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pieces that wait to be written. Further ones are dropped.
const PIECES_MAX: usize = 256;
/// Time that the end of the worker waits for a slow reader.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(500);

pub(super) struct Journal {
    handle: Handle,
    writer: Option<JoinHandle<()>>,
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Handle {
    pieces: SyncSender<Vec<u8>>,
    verbose: bool,
}

impl Journal {
    pub(super) fn start(verbose: bool) -> Self {
        let (pieces, queue) = sync_channel(PIECES_MAX);
        let writer = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || write(&queue))
            .ok();
        Self {
            handle: Handle { pieces, verbose },
            writer,
        }
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Writes the last line, and waits a short time until it is written.
    pub(super) fn end(self, line: &str) {
        self.handle.tell(line);
        drop(self.handle);
        let patience = Instant::now() + LAST_WORDS_WAIT;
        while self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Handle {
    /// Writes one line about the worker.
    pub(super) fn tell(&self, line: &str) {
        self.pass(format!("leaseq: {line}\n").into_bytes());
    }

    /// Writes one line if `--verbose` is set.
    pub(super) fn mention(&self, line: &str) {
        if self.verbose {
            self.tell(line);
        }
    }

    /// Writes the stderr of a program.
    pub(super) fn pass(&self, piece: Vec<u8>) {
        let _ = self.pieces.try_send(piece);
    }
}

fn write(queue: &Receiver<Vec<u8>>) {
    while let Ok(piece) = queue.recv() {
        // A closed stderr must neither stop the work nor fill the channel.
        let _ = std::io::stderr().write_all(&piece);
    }
}

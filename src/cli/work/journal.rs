//! The stderr of the worker: its own lines and those of its programs.
//!
//! A thread behind a bounded channel writes them. If the reader of stderr stalls, lines are lost, but
//! heartbeats continue.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pieces that wait to be written. Further ones are dropped.
const PIECES_MAX: usize = 256;
/// How long the worker waits for a slow reader before it exits.
const LAST_LINE_WAIT: Duration = Duration::from_millis(500);

pub(super) struct Journal {
    handle: Handle,
    writer: Option<JoinHandle<()>>,
}

/// The sending side of the journal. Cheap to clone.
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

    /// Writes the last line and waits briefly until it is written.
    pub(super) fn end(self, line: &str) {
        self.handle.log(line);
        drop(self.handle);
        let patience = Instant::now() + LAST_LINE_WAIT;
        while self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Handle {
    /// Writes a line about the worker.
    pub(super) fn log(&self, line: &str) {
        self.pass(format!("leaseq: {line}\n").into_bytes());
    }

    /// Writes a line if the worker is verbose.
    pub(super) fn log_if_verbose(&self, line: &str) {
        if self.verbose {
            self.log(line);
        }
    }

    /// Writes output of a program.
    pub(super) fn pass(&self, piece: Vec<u8>) {
        let _ = self.pieces.try_send(piece);
    }
}

fn write(queue: &Receiver<Vec<u8>>) {
    while let Ok(piece) = queue.recv() {
        // After a closed stderr the worker continues, and the channel must still be emptied.
        let _ = std::io::stderr().write_all(&piece);
    }
}

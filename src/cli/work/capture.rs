//! The bounded output of a program.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;

use super::journal;

/// The kept part of a pipe's output. The pipe is always read to its end, so that the program never blocks on
/// it.
pub(super) struct Capture {
    kept: Arc<Mutex<Kept>>,
    reader: JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    cut: bool,
}

impl Capture {
    /// Keeps the first `most` bytes.
    pub(super) fn head(pipe: Option<impl AsyncRead + Unpin + Send + 'static>, most: usize) -> Self {
        Self::read(pipe, move |kept, piece| {
            let room = most - kept.bytes.len();
            kept.cut |= piece.len() > room;
            kept.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        })
    }

    /// Keeps the last `most` bytes, and passes all bytes to the journal.
    pub(super) fn tail(
        pipe: Option<impl AsyncRead + Unpin + Send + 'static>,
        most: usize,
        pass: Option<journal::Handle>,
    ) -> Self {
        Self::read(pipe, move |kept, piece| {
            if let Some(journal) = &pass {
                journal.pass(piece.to_vec());
            }
            kept.bytes.extend_from_slice(piece);
            let over = kept.bytes.len().saturating_sub(most);
            kept.cut |= over > 0;
            kept.bytes.drain(..over);
        })
    }

    fn read(
        pipe: Option<impl AsyncRead + Unpin + Send + 'static>,
        keep: impl Fn(&mut Kept, &[u8]) + Send + 'static,
    ) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let shared = Arc::clone(&kept);
        let reader = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut piece = vec![0; 8 << 10];
            while let Ok(n @ 1..) = pipe.read(&mut piece).await {
                keep(
                    &mut shared.lock().unwrap_or_else(PoisonError::into_inner),
                    &piece[..n],
                );
            }
        });
        Self { kept, reader }
    }

    pub(super) async fn closed(&mut self) {
        if !self.reader.is_finished() {
            let _ = (&mut self.reader).await;
        }
    }

    pub(super) fn take(&self) -> (Vec<u8>, bool) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut kept.bytes), kept.cut)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

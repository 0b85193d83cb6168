//! The number of calls that wait in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cheap to clone; all clones share one count.
#[derive(Clone, Default)]
pub(in crate::engine) struct WaitingCalls(Arc<AtomicUsize>);

/// Counts one call while it is kept.
pub(in crate::engine) struct WaitingCall(WaitingCalls);

impl WaitingCalls {
    pub(in crate::engine) fn calls(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(in crate::engine) fn begin(&self) -> WaitingCall {
        self.0.fetch_add(1, Ordering::Relaxed);
        WaitingCall(self.clone())
    }
}

impl Drop for WaitingCall {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

//! The shared state of a worker.

use std::ffi::OsString;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{journal, watchdog};
use crate::cli::client::Api;

/// The state that all tasks of a worker share.
pub(super) struct Worker {
    pub(super) api: Api,
    pub(super) command: Vec<OsString>,
    pub(super) retry_after: Duration,
    pub(super) pass_stderr: bool,
    pub(super) journal: journal::Handle,
    pub(super) watchdog: watchdog::Handle,
    /// The grace time is over: stop programs and release tasks without waiting.
    pub(super) forced: CancellationToken,
}

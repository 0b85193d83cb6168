//! The state that all tasks of one worker share.

use std::ffi::OsString;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{journal, watchdog};
use crate::cli::client::Api;

/// The parts of a worker that all its tasks share.
pub(super) struct Worker {
    pub(super) api: Api,
    pub(super) command: Vec<OsString>,
    pub(super) retry_after: Duration,
    pub(super) pass_stderr: bool,
    pub(super) journal: journal::Handle,
    pub(super) watchdog: watchdog::Handle,
    /// Cancelled when the grace time is over: programs are stopped and their tasks released.
    pub(super) forced: CancellationToken,
}

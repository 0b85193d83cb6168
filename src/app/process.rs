//! Checks of the process: open files, and the data directory of its Redis.

use std::path::PathBuf;

use rustix::process::{Resource, getrlimit};

use crate::domain::checkup::Check;
use crate::store::embedded::health;

/// Open files besides client connections: Redis, logs, the runtime.
pub(super) const OTHER_FILES: u64 = 128;

pub(super) struct Process {
    /// The value of `max_connections`, even if the limit of open files is lower.
    pub(super) connections_wanted: usize,
    /// The data directory of the embedded Redis.
    pub(super) data_dir: Option<PathBuf>,
}

impl Process {
    pub(super) fn checks(&self) -> Vec<Check> {
        let dir = self.data_dir.as_deref().map(health::check);
        [self.files()].into_iter().chain(dir).collect()
    }

    fn files(&self) -> Check {
        let files = self.connections_wanted as u64 + OTHER_FILES;
        match getrlimit(Resource::Nofile).current {
            Some(granted) if granted < files => Check::warn(
                "open_files",
                format!("{granted} allowed, {files} needed for max_connections"),
                "Raise the hard limit (LimitNOFILE, ulimit -Hn), or set max_connections lower.",
            ),
            Some(granted) => Check::ok("open_files", format!("{granted} allowed")),
            None => Check::ok("open_files", "no limit"),
        }
    }
}

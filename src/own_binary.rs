//! The file of the running binary, for child processes that start as `leaseq` again.

use std::path::PathBuf;

/// Returns a path to the running binary that stays valid after an upgrade has replaced its file.
pub fn path() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() {
        return own;
    }
    std::env::current_exe().unwrap_or_else(|_| "leaseq".into())
}

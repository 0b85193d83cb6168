//! The program between fork and redis-server: our own binary, started as `leaseq __leash`.
//!
//! Between fork and exec a multi-threaded parent can do nothing safely, so the child first becomes
//! this program, which ties itself to its parent and takes the lock, and then becomes redis-server.
//! Both outlast the exec: the death signal (unless the binary is set-user-id) and the open lock.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal};

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "__leash";

/// Time that a server without its service may take to die before the next one gives up.
const PREDECESSOR_WAIT: Duration = Duration::from_secs(10);

/// The command that starts `program` on a leash held by this process.
pub(super) fn command(leash: &Path, lock: &Path, program: &Path) -> Command {
    let mut command = Command::new(leash);
    command
        .arg0("leaseq")
        .arg(SUBCOMMAND)
        .arg("--parent")
        .arg(std::process::id().to_string())
        .arg("--lock")
        .arg(lock)
        .arg("--")
        .arg(program);
    command
}

/// Ties this process to its parent, takes the lock, and becomes `program`. Returns only on failure, with the
/// reason.
pub fn become_child(parent: u32, lock: &Path, program: &Path, args: &[std::ffi::OsString]) -> String {
    if let Err(error) = die_with_parent(parent) {
        return error;
    }
    let file = match OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(lock)
    {
        Ok(file) => file,
        Err(error) => return format!("{} cannot be opened: {error}", lock.display()),
    };
    let deadline = Instant::now() + PREDECESSOR_WAIT;
    while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() > deadline {
            return format!(
                "another redis-server still runs on this directory and holds {}",
                lock.display()
            );
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // The lock belongs to the open file, and the open file must survive the exec.
    if let Err(error) = rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()) {
        return format!("the lock cannot be handed on: {error}");
    }
    let error = Command::new(program).args(args).exec();
    format!("{} cannot be executed: {error}", program.display())
}

/// Asks the kernel for SIGKILL when the thread that started this process ends. An orderly end is not needed:
/// nothing waits for it, and the append-only file is safe.
fn die_with_parent(parent: u32) -> Result<(), String> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("the death signal cannot be set: {error}"))?;
    // The parent may have died before the request above, which shows as another parent.
    if rustix::process::getppid().map(Pid::as_raw_pid) != i32::try_from(parent).ok() {
        return Err("the service that started this process is gone".into());
    }
    Ok(())
}

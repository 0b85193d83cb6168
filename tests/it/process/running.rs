//! Real processes, waited for by what they do.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Far beyond anything that works; only a failure waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const LEASEQ: &str = env!("CARGO_BIN_EXE_leaseq");

/// The binary, with nothing of this process's own settings.
pub(crate) fn leaseq(args: &[&str]) -> Command {
    let mut command = Command::new(LEASEQ);
    command.args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LEASEQ_") {
            command.env_remove(name);
        }
    }
    command
}

/// Asks until it is so. Other processes send no signal to wait for.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the process runs; one that is dead and not yet reaped does not.
pub(crate) fn runs(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}

pub(crate) fn children(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .into_iter()
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .chain(threads(pid).into_iter().flat_map(|thread| {
            std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/children"))
                .into_iter()
                .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        }))
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn threads(pid: u32) -> Vec<u32> {
    std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|thread| *thread != pid)
        .collect()
}

pub(crate) fn kill(pid: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success(), "kill {signal} {pid}");
}

pub(crate) fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path)
        .ok()
        .filter(|text| !text.trim().is_empty())
}

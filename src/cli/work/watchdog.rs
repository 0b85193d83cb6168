//! The watchdog: no program outlives its worker, even if the worker is killed with SIGKILL.
//!
//! A second process of ours reads from a pipe. The worker writes each process group before its program starts
//! (see [`super::gate`]), and again when it has ended. When the pipe closes for any reason, the watchdog
//! kills the remaining groups. It is one process for all tasks, and unlike a death signal it also reaches the
//! children of a program.

use std::collections::HashSet;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::cli::Done;
use crate::cli::exit::Exit;
use crate::own_binary;

/// The name of the hidden subcommand.
pub(crate) const SUBCOMMAND: &str = "__watchdog";

/// The side of the worker.
pub(super) struct Handle(Option<Mutex<Child>>);

impl Handle {
    /// Starts the watchdog. If that fails, for example at the limit of processes, the work continues, and
    /// only a SIGKILL of the worker could leave programs behind.
    pub(super) fn start() -> Self {
        let child = Command::new(own_binary::path())
            .arg0("leaseq")
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            // A reader of the worker's output must see it end with the worker.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C and a kill of the worker's group must not reach the watchdog.
            .process_group(0)
            .spawn();
        Self(child.ok().map(Mutex::new))
    }

    pub(super) fn watch(&self, group: Pid) {
        self.say('+', group);
    }

    pub(super) fn forget(&self, group: Pid) {
        self.say('-', group);
    }

    fn say(&self, sign: char, group: Pid) {
        let Some(child) = &self.0 else { return };
        let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stdin) = &mut child.stdin {
            let _ = stdin.write_all(format!("{sign}{}\n", group.as_raw_pid()).as_bytes());
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            let mut child = child.into_inner().unwrap_or_else(PoisonError::into_inner);
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Kill process groups when stdin closes
#[derive(Debug, clap::Args)]
pub(crate) struct Watchdog {}

impl Watchdog {
    #[allow(clippy::unused_self)] // The same shape as every other verb.
    pub(crate) fn run(self) -> Done {
        for group in left_over(std::io::stdin().lock()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        Ok(Exit::Ok)
    }
}

/// Returns the groups that were still listed when the input ended.
fn left_over(input: impl BufRead) -> HashSet<Pid> {
    let mut groups = HashSet::new();
    for line in input.lines().map_while(Result::ok) {
        let group = line
            .get(1..)
            .and_then(|number| number.parse().ok())
            // 1 is init, and killing it as a group would kill every process.
            .filter(|number| *number > 1)
            .and_then(Pid::from_raw);
        match (line.as_bytes().first(), group) {
            (Some(b'+'), Some(group)) => {
                groups.insert(group);
            }
            (Some(b'-'), Some(group)) => {
                groups.remove(&group);
            }
            _ => {}
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_that_still_run_are_killed() {
        let groups = left_over("+100\n+200\n-100\n+x\n+1\n+-5\n+0\n".as_bytes());
        let left: Vec<i32> = groups.into_iter().map(|group| group.as_raw_pid()).collect();
        assert_eq!(left, [200]);
    }
}

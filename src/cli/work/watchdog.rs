//! The watchdog, which kills programs that outlive their worker, even one that was killed with SIGKILL.
//!
//! The watchdog is a second process of ours that reads from a pipe. The worker writes the number of each
//! process group before the program in it starts (see [`super::gate`]), and again when the group has ended.
//! When the pipe closes, for whatever reason, the watchdog kills the remaining groups. One process serves all
//! tasks. Unlike a death signal, it also reaches the children of a program.

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

/// The worker's end of the pipe.
pub(super) struct Handle(Option<Mutex<Child>>);

impl Handle {
    /// Starts the watchdog. If it cannot be started, the worker continues without one; then only a SIGKILL of
    /// the worker leaves processes behind.
    pub(super) fn start() -> Self {
        let child = Command::new(own_binary::path())
            .arg0("leaseq")
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            // The reader of the worker's output must see its end when the worker ends.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C and a kill of the worker's group must not end the watchdog.
            .process_group(0)
            .spawn();
        Self(child.ok().map(Mutex::new))
    }

    pub(super) fn watch(&self, group: Pid) {
        self.send('+', group);
    }

    pub(super) fn forget(&self, group: Pid) {
        self.send('-', group);
    }

    fn send(&self, sign: char, group: Pid) {
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

/// Returns the groups that were registered and not removed when the input ended.
fn left_over(input: impl BufRead) -> HashSet<Pid> {
    let mut groups = HashSet::new();
    for line in input.lines().map_while(Result::ok) {
        let group = line
            .get(1..)
            .and_then(|number| number.parse().ok())
            // 1 is init, and a kill of group 1 would reach every process.
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

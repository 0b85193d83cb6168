//! No program outlives its worker, even one that is killed with SIGKILL.
//!
//! A second process of ours waits at the end of a pipe. The worker names each process group that it
//! starts, before the program in it begins (see [`super::gate`]), and each that is over; when the pipe closes, however that came about, the watchdog kills
//! the groups that are left. One process for all tasks, no cost per task, and unlike a death signal
//! it reaches whatever the program started.

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

/// The worker's side.
pub(super) struct Handle(Option<Mutex<Child>>);

impl Handle {
    /// Starts the watchdog. Without one (no more processes, say) work goes on, and only a SIGKILL of
    /// the worker would leave something behind.
    pub(super) fn start() -> Self {
        let child = Command::new(own_binary::path())
            .arg0("leaseq")
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            // Whoever reads the worker's output must see it end with the worker.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C and a kill of the worker's group must not take it along.
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

/// The groups that were named and not forgotten when the input ended.
fn left_over(input: impl BufRead) -> HashSet<Pid> {
    let mut groups = HashSet::new();
    for line in input.lines().map_while(Result::ok) {
        let group = line
            .get(1..)
            .and_then(|number| number.parse().ok())
            // 1 is init, and as a group its kill would mean everybody.
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

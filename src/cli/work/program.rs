//! One run of a program: payload on stdin, bounded output, and no process of its group left at the end.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::capture::Capture;
use super::gate;
use super::task::{HEADER_PREFIX, Task};
use super::worker::Worker;
use crate::cli::exit::Failure;
use crate::domain::limits::{ERROR_MESSAGE_BYTES_MAX, RESULT_BYTES_MAX};
use crate::own_binary;

/// The time between SIGTERM and SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(5);
/// How long to wait for the pipes if a process that the program left behind keeps them open.
const PIPES_WAIT: Duration = Duration::from_secs(1);

/// Checks that the command can be run, before a task is leased.
///
/// # Errors
/// The command was not found or is not executable.
pub(super) fn check(command: &OsStr) -> Result<(), Failure> {
    let usable = |file: &std::path::Path| {
        file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    };
    let path = std::path::Path::new(command);
    let found = if path.components().count() > 1 || path.is_absolute() {
        usable(path)
    } else {
        let search = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&search).any(|dir| usable(&dir.join(path)))
    };
    if found {
        return Ok(());
    }
    Err(
        Failure::usage(format!("{} is not a program that can be run", path.display()))
            .hint("leaseq work QUEUE -- ./program arguments"),
    )
}

/// The end of a program: its status and its output.
#[derive(Debug)]
pub(super) struct End {
    pub(super) status: ExitStatus,
    stdout: Vec<u8>,
    stdout_cut: bool,
    stderr: Vec<u8>,
    stderr_cut: bool,
}

pub(super) struct Program {
    child: Child,
    group: Option<Pid>,
    worker: Arc<Worker>,
    stdout: Capture,
    stderr: Capture,
    feeder: JoinHandle<()>,
}

impl Program {
    /// Starts a program in its own process group, behind a gate that opens once the watchdog knows the group.
    pub(super) fn start(worker: &Arc<Worker>, task: &Task) -> std::io::Result<Self> {
        let mut command = Command::new(own_binary::path());
        command
            .arg0("leaseq")
            .args([gate::SUBCOMMAND, "--"])
            .args(&worker.command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(HEADER_PREFIX) {
                command.env_remove(name);
            }
        }
        for (name, value) in task.variables() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command.spawn()?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(group) = group {
            worker.watchdog.watch(group);
        }
        let payload = task.payload.get().as_bytes();
        let mut input = Vec::with_capacity(1 + payload.len());
        input.push(gate::OPEN);
        input.extend_from_slice(payload);
        let stdin = child.stdin.take();
        let feeder = tokio::spawn(async move {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input may close the pipe.
                let _ = stdin.write_all(&input).await;
            }
        });
        let stdout = Capture::head(child.stdout.take(), RESULT_BYTES_MAX);
        let pass = worker.pass_stderr.then(|| worker.journal.clone());
        let stderr = Capture::tail(child.stderr.take(), ERROR_MESSAGE_BYTES_MAX, pass);
        Ok(Self {
            child,
            group,
            worker: Arc::clone(worker),
            stdout,
            stderr,
            feeder,
        })
    }

    /// Waits for the end of the program and collects its output. Cancel-safe: it may be dropped and called
    /// again.
    ///
    /// # Errors
    /// The program did not start.
    pub(super) async fn end(&mut self) -> std::io::Result<End> {
        let status = self.child.wait().await?;
        // Background processes of the program may keep the pipes open. They are not waited for, and are
        // killed when this value is dropped.
        let pipes = async {
            self.stdout.closed().await;
            self.stderr.closed().await;
        };
        let _ = tokio::time::timeout(PIPES_WAIT, pipes).await;
        let (stdout, stdout_cut) = self.stdout.take();
        let (stderr, stderr_cut) = self.stderr.take();
        if let Some(error) = gate::start_error(status, &stdout) {
            return Err(error);
        }
        Ok(End {
            status,
            stdout,
            stdout_cut,
            stderr,
            stderr_cut,
        })
    }

    /// Sends SIGTERM to the process group, and SIGKILL to the rest of it after a while.
    pub(super) async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let _ = tokio::time::timeout(KILL_AFTER, self.child.wait()).await;
        self.signal(Signal::KILL);
        let _ = self.child.wait().await;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // An error means that no process is left in the group.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.feeder.abort();
        if let Some(group) = self.group {
            self.worker.watchdog.forget(group);
        }
    }
}

impl End {
    /// Returns stdout as the result for the ack, if it is one JSON value that is not too long.
    pub(super) fn result(&self) -> Option<Box<RawValue>> {
        if self.stdout_cut {
            return None;
        }
        let text = std::str::from_utf8(&self.stdout).ok()?.trim();
        RawValue::from_string(text.to_owned()).ok()
    }

    /// Returns the exit code as a shell does: for a signal, 128 plus its number.
    pub(super) fn code(&self) -> i32 {
        self.status
            .code()
            .or_else(|| Some(128 + self.status.signal()?))
            .unwrap_or(-1)
    }

    /// Returns the end of stderr, or the exit code or signal if stderr is empty.
    pub(super) fn message(&self) -> String {
        let mut from = self.stderr.as_slice();
        if self.stderr_cut {
            // Start at a whole line if there is one.
            let line = from.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            from = &from[line.filter(|at| *at < from.len()).unwrap_or(0)..];
        }
        let text = String::from_utf8_lossy(from);
        let text = text.trim();
        if text.is_empty() {
            return match self.status.signal() {
                Some(signal) => format!("killed by signal {signal}; stderr is empty"),
                None => format!("exited with {}; stderr is empty", self.code()),
            };
        }
        // Replaced bytes that are no UTF-8 take more space, so the front may have to be cut again.
        let mut cut = text.len().saturating_sub(ERROR_MESSAGE_BYTES_MAX);
        while !text.is_char_boundary(cut) {
            cut += 1;
        }
        text[cut..].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(raw_status: i32, stdout: &str, stderr: &[u8], stderr_cut: bool) -> End {
        End {
            status: ExitStatus::from_raw(raw_status),
            stdout: stdout.as_bytes().to_vec(),
            stdout_cut: false,
            stderr: stderr.to_vec(),
            stderr_cut,
        }
    }

    #[test]
    fn stdout_is_the_result_only_if_it_is_one_json_value() {
        let result = |stdout: &str| {
            end(0, stdout, b"", false)
                .result()
                .map(|raw| raw.get().to_owned())
        };
        assert_eq!(result("  {\"n\": 1.10}\n").as_deref(), Some("{\"n\": 1.10}"));
        assert_eq!(result("42\n").as_deref(), Some("42"));
        for none in ["", "\n", "done", "{} {}", "{"] {
            assert_eq!(result(none), None, "{none:?}");
        }
        let cut = End {
            stdout_cut: true,
            ..end(0, "42", b"", false)
        };
        assert!(cut.result().is_none());
    }

    #[test]
    fn a_signal_has_the_exit_code_that_a_shell_gives_it() {
        assert_eq!(end(9, "", b"", false).code(), 137);
        assert_eq!(end(3 << 8, "", b"", false).code(), 3);
    }

    #[test]
    fn the_message_is_the_end_of_stderr_in_whole_lines_and_characters() {
        assert_eq!(end(256, "", b"boom\n", false).message(), "boom");
        assert_eq!(end(256, "", b"half\nwhole\n", true).message(), "whole");
        assert_eq!(
            end(256, "", b"", false).message(),
            "exited with 1; stderr is empty"
        );
        assert_eq!(
            end(9, "", b" \n", false).message(),
            "killed by signal 9; stderr is empty"
        );
        let bad = vec![0xff; ERROR_MESSAGE_BYTES_MAX];
        assert!(end(256, "", &bad, true).message().len() <= ERROR_MESSAGE_BYTES_MAX);
    }
}

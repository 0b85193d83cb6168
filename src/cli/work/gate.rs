//! The gate that delays a program until the watchdog knows its process group.
//!
//! A process group has no number before it exists. A worker that is killed between the start of the program
//! and its registration would leave an orphan. The worker therefore starts our own binary, which waits for a
//! byte on stdin and then becomes the program, with the payload next in the pipe. If the worker dies first,
//! the pipe closes and the program never starts.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};

use crate::cli::Done;
use crate::cli::exit::Failure;

/// The name of the hidden subcommand.
pub(crate) const SUBCOMMAND: &str = "__gate";
/// The byte that opens the gate. It precedes the payload.
pub(super) const OPEN: u8 = b'\n';
/// Exit code and start of stdout of a gate that did not start its program. A program with the same exit code
/// and output is taken for one that never started.
const NOT_STARTED_CODE: i32 = 126;
const NOT_STARTED_PREFIX: &str = "\0leaseq: ";

/// Become a program once the gate is opened
#[derive(Debug, clap::Args)]
pub(crate) struct Gate {
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

impl Gate {
    pub(crate) fn run(self) -> Done {
        let Some((program, args)) = self.program.split_first() else {
            return Err(Failure::usage("a program is needed"));
        };
        let problem = if is_opened() {
            Command::new(program).args(args).exec().to_string()
        } else {
            "the worker died before the program started".into()
        };
        let mut stdout = std::io::stdout();
        let _ = write!(stdout, "{NOT_STARTED_PREFIX}{problem}").and_then(|()| stdout.flush());
        // Not one of our own exit codes, because it replaces that of the program.
        std::process::exit(NOT_STARTED_CODE)
    }
}

/// Reads exactly one byte. The bytes after it belong to the program.
fn is_opened() -> bool {
    let mut byte = [0];
    loop {
        match rustix::io::read(std::io::stdin(), &mut byte) {
            Err(rustix::io::Errno::INTR) => {}
            read => return read == Ok(1) && byte[0] == OPEN,
        }
    }
}

/// Returns why the program did not start, or `None` if it did.
pub(super) fn start_error(status: ExitStatus, stdout: &[u8]) -> Option<std::io::Error> {
    let reason = stdout
        .strip_prefix(NOT_STARTED_PREFIX.as_bytes())
        .filter(|_| status.code() == Some(NOT_STARTED_CODE))?;
    Some(std::io::Error::other(
        String::from_utf8_lossy(reason).into_owned(),
    ))
}

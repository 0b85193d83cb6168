//! A gate: a program starts only once the watchdog knows about it.
//!
//! A process group has no number before it exists, and a worker that is killed between start and notice would
//! leave an orphan. So the worker starts our own binary, which waits for a byte on stdin and then becomes the
//! program, with the payload next in the pipe. If the worker dies first, the pipe ends and the program never
//! starts.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};

use crate::cli::Done;
use crate::cli::exit::Failure;

/// The name of the hidden subcommand.
pub(crate) const SUBCOMMAND: &str = "__gate";
/// The byte that opens the gate, before the payload.
pub(super) const OPEN: u8 = b'\n';
/// The exit code and the start of stdout if the program could not start. A program that prints the same is
/// believed.
const SHUT_CODE: i32 = 126;
const SHUT_WORDS: &str = "\0leaseq: ";

/// Become a program once its gate opens
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
            "the worker died first".into()
        };
        let mut stdout = std::io::stdout();
        let _ = write!(stdout, "{SHUT_WORDS}{problem}").and_then(|()| stdout.flush());
        // Not one of our exit codes: it replaces that of the program.
        std::process::exit(SHUT_CODE)
    }
}

/// Reads exactly one byte: the rest belongs to the program.
fn is_opened() -> bool {
    let mut byte = [0];
    loop {
        match rustix::io::read(std::io::stdin(), &mut byte) {
            Err(rustix::io::Errno::INTR) => {}
            read => return read == Ok(1) && byte[0] == OPEN,
        }
    }
}

/// Returns why the program did not start, if that is so.
pub(super) fn shut(status: ExitStatus, stdout: &[u8]) -> Option<std::io::Error> {
    let said = stdout
        .strip_prefix(SHUT_WORDS.as_bytes())
        .filter(|_| status.code() == Some(SHUT_CODE))?;
    Some(std::io::Error::other(String::from_utf8_lossy(said).into_owned()))
}

//! A program begins only once the watchdog knows of it.
//!
//! A process group has no number before it is there, and a worker killed between start and notice would leave an
//! orphan. So what the worker starts is this: our own binary, which waits for a byte on stdin and then becomes the
//! program, payload next in the pipe. If the worker dies first, the pipe ends, and the program never began.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};

use crate::cli::Done;
use crate::cli::exit::Failure;

/// The name of the hidden subcommand.
pub(crate) const SUBCOMMAND: &str = "__gate";
/// What opens it, in front of the payload.
pub(super) const OPEN: u8 = b'\n';
/// The exit code, and the beginning of stdout, of a gate behind which nothing ran. A program that says the same of
/// itself is believed.
const SHUT_CODE: i32 = 126;
const SHUT_WORDS: &str = "\0leaseq: ";

/// Become a program when told to
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
        // None of our own exit codes: it stands for the program's.
        std::process::exit(SHUT_CODE)
    }
}

/// Reads the one byte and no more: what follows belongs to the program.
fn is_opened() -> bool {
    let mut byte = [0];
    loop {
        match rustix::io::read(std::io::stdin(), &mut byte) {
            Err(rustix::io::Errno::INTR) => {}
            read => return read == Ok(1) && byte[0] == OPEN,
        }
    }
}

/// Why nothing ran, if that is so.
pub(super) fn shut(status: ExitStatus, stdout: &[u8]) -> Option<std::io::Error> {
    let said = stdout
        .strip_prefix(SHUT_WORDS.as_bytes())
        .filter(|_| status.code() == Some(SHUT_CODE))?;
    Some(std::io::Error::other(String::from_utf8_lossy(said).into_owned()))
}

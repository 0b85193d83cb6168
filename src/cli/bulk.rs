//! Confirmation and progress of operations on many tasks.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::exit::{Exit, Failure};

/// The options that confirm a bulk operation.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Confirm {
    /// Only count, change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

impl Confirm {
    /// Whether the user is asked, so that the tasks must be counted first.
    pub(super) fn asks(self) -> bool {
        !self.yes && !self.dry_run
    }

    /// Asks the user at the terminal, unless `--yes` was given.
    ///
    /// # Errors
    /// Stdin is no terminal, or the user did not answer yes.
    pub(super) fn ask(self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!(
                "{question} Stdin is no terminal, so nobody can confirm. Nothing was done"
            ))
            .hint("--yes, or --dry-run to count first"));
        }
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{question} [y/N] ");
        let _ = stderr.flush();
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Failure::new(Exit::Interrupted, "nothing was done"))
    }
}

/// A progress bar on stderr. Hidden if stderr is no terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Starts a bar, or a spinner if there is no total.
    pub(super) fn of(what: &'static str, total: Option<u64>) -> Self {
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{msg} {wide_bar} {human_pos}/{human_len}, {eta} left",
            ),
            None => (
                ProgressBar::new_spinner(),
                "{spinner} {msg} {human_pos}, {elapsed}",
            ),
        };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.expect("the templates are constants that parse"));
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    /// Sets the position. The total grows with it, because more tasks may match than were counted.
    pub(super) fn at(&self, done: u64) {
        if self.0.length().is_some_and(|total| done > total) {
            self.0.set_length(done);
        }
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

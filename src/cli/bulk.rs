//! Work on many tasks: asked before, shown while it runs.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::exit::{Exit, Failure};

/// How bulk work is confirmed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Confirm {
    /// Only tell how many it would be
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Confirm {
    /// Whether somebody must be asked, and wants to know how many it would be.
    pub(super) fn asks(self) -> bool {
        !self.yes && !self.dry_run
    }

    /// Asks the person at the terminal, unless that was settled before.
    ///
    /// # Errors
    /// Where nobody can be asked, or the answer was not yes.
    pub(super) fn ask(self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(
                Failure::usage(format!("{question} Nobody is there to say so; nothing was done"))
                    .hint("--yes, or --dry-run to count first"),
            );
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

/// A line on stderr that moves; silent where stderr is no terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Without a total where nobody counted before.
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

    /// There may be more than were counted before.
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

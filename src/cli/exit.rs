//! Exit codes: one table for the code, `--help` and the reference.

use std::fmt;
use std::fmt::Write as _;
use std::process::ExitCode;

/// The outcome of a verb. Scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Ok = 0,
    Error = 1,
    Usage = 2,
    Empty = 3,
    Auth = 4,
    NotFound = 5,
    Conflict = 6,
    Partial = 7,
    Throttled = 8,
    Unreachable = 9,
    Interrupted = 130,
}

impl Exit {
    pub(super) const ALL: [Self; 11] = [
        Self::Ok,
        Self::Error,
        Self::Usage,
        Self::Empty,
        Self::Auth,
        Self::NotFound,
        Self::Conflict,
        Self::Partial,
        Self::Throttled,
        Self::Unreachable,
        Self::Interrupted,
    ];

    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Error => "failed for a reason that has no code of its own",
            Self::Usage => "wrong arguments or settings; nothing was done",
            Self::Empty => "nothing to lease (with --exit-empty)",
            Self::Auth => "the API key is missing, unknown, or not allowed to do this",
            Self::NotFound => "no such queue, task or lease",
            Self::Conflict => "the lease is lost, or the state of the task or queue does not allow it",
            Self::Partial => "only some of the tasks were handled",
            Self::Throttled => "throttled, or the queue or its store is full",
            Self::Unreachable => "the service or its store is not available",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns the exit code for an HTTP status.
    pub(super) const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Ok,
            401 | 403 => Self::Auth,
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            429 | 507 => Self::Throttled,
            502..=504 => Self::Unreachable,
            _ => Self::Error,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Returns the table under `--help`.
pub(super) fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        writeln!(text, "  {:>3}  {}", exit.code(), exit.meaning()).expect("writing to a string cannot fail");
    }
    text
}

/// The reason why a verb failed, as a text for the user.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    message: String,
    /// A command or option to try next.
    hint: Option<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The reader of stdout closed it, as `head` does. Prints nothing and exits with 0.
    pub(super) fn closed_pipe() -> Self {
        Self::new(Exit::Ok, "")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return Ok(());
        }
        writeln!(f, "leaseq: {}", self.message)?;
        match &self.hint {
            Some(hint) => writeln!(f, "  try: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones() {
        let codes: Vec<u8> = Exit::ALL.map(Exit::code).to_vec();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130]);
        for exit in Exit::ALL {
            assert!(help().contains(exit.meaning()));
        }
    }

    #[test]
    fn each_status_of_the_api_has_its_exit_code() {
        let table = [
            (201, Exit::Ok),
            (400, Exit::Error),
            (401, Exit::Auth),
            (403, Exit::Auth),
            (404, Exit::NotFound),
            (409, Exit::Conflict),
            (412, Exit::Conflict),
            (422, Exit::Error),
            (429, Exit::Throttled),
            (500, Exit::Error),
            (503, Exit::Unreachable),
            (504, Exit::Unreachable),
            (507, Exit::Throttled),
        ];
        for (status, exit) in table {
            assert_eq!(Exit::of_status(status), exit, "{status}");
        }
    }
}

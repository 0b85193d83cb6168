//! The mistakes of a request, and their places.

use std::fmt;

use super::kind::Refusal;
use super::texts::prefix;
use crate::http::problem::{Code, FieldError, Problem};

/// A place in the body. It becomes a JSON pointer (RFC 6901) only if there is a mistake.
#[derive(Clone, Copy)]
pub(in crate::http) enum At<'p> {
    Root,
    Field(&'p At<'p>, &'p str),
    Item(&'p At<'p>, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Item(parent, index) => write!(f, "{parent}/{index}"),
            Self::Field(parent, key) if key.contains(['~', '/']) => {
                write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Self::Field(parent, key) => write!(f, "{parent}/{key}"),
        }
    }
}

/// All mistakes of a request, so that one response reports them together.
#[derive(Debug, Default)]
pub(in crate::http) struct Wrong {
    errors: Vec<FieldError>,
    code: Option<Code>,
}

impl Wrong {
    /// Mistakes that one response reports: more would not help a reader, and the response to a bad batch must
    /// stay small.
    const SHOWN_MAX: usize = 20;
    /// Bytes of a client's key that a response repeats.
    const POINTER_BYTES_MAX: usize = 200;

    pub(in crate::http) fn add(&mut self, at: At<'_>, refusal: impl Into<Refusal>) {
        self.push(|| at.to_string(), refusal.into());
    }

    /// Adds a mistake outside the body, for example `query` and the name of a parameter.
    pub(in crate::http) fn add_named(&mut self, place: &str, name: &str, refusal: impl Into<Refusal>) {
        self.push(|| format!("{place}:{name}"), refusal.into());
    }

    fn push(&mut self, pointer: impl FnOnce() -> String, refusal: Refusal) {
        let Refusal { code, detail } = refusal;
        // A plain mistake decides the code before a size does: the client must fix it in any case.
        if self.code != Some(Code::ValidationFailed) {
            self.code = Some(if code == Code::ValidationFailed {
                code
            } else {
                self.code.unwrap_or(code)
            });
        }
        if self.errors.len() < Self::SHOWN_MAX {
            let mut pointer = pointer();
            if pointer.len() > Self::POINTER_BYTES_MAX {
                pointer.truncate(prefix(&pointer, Self::POINTER_BYTES_MAX).len());
                pointer.push('…');
            }
            self.errors.push(FieldError { pointer, detail });
        }
    }

    pub(in crate::http) fn is_empty(&self) -> bool {
        self.code.is_none()
    }

    /// Returns the problem of a request that cannot be read further.
    pub(in crate::http) fn into_problem(self) -> Problem {
        Problem::of_fields(self.code.unwrap_or(Code::ValidationFailed), self.errors)
    }

    /// # Errors
    /// If there was any mistake.
    pub(in crate::http) fn into_result(self) -> Result<(), Problem> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.into_problem())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_what_pointers_are_made_of() {
        let names = At::Field(&At::Root, "names");
        assert_eq!(
            At::Item(&At::Field(&names, "a/b~c"), 3).to_string(),
            "/names/a~1b~0c/3"
        );
        assert_eq!(At::Root.to_string(), "");
    }

    #[test]
    fn an_answer_repeats_only_so_much_of_a_request() {
        let mut wrong = Wrong::default();
        for _ in 0..1000 {
            wrong.add(At::Field(&At::Root, &"é".repeat(1000)), "is wrong");
        }
        let problem = wrong.into_problem();
        assert_eq!(problem.errors().len(), Wrong::SHOWN_MAX);
        assert!(problem.errors()[0].pointer.len() < 2 * Wrong::POINTER_BYTES_MAX);
    }
}

//! What a checkup says: one thing that was looked at, how it is, and what to do about it.

use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Ok,
    /// It works, and will bite somebody.
    Warn,
    /// It does not work, or loses tasks.
    Fail,
}

impl Verdict {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line of a checkup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    /// What was seen. Never a secret, never a host.
    pub detail: String,
    /// One sentence; there unless all is well.
    pub advice: Option<Cow<'static, str>>,
}

impl Check {
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            detail: detail.into(),
            advice: None,
        }
    }

    pub fn warn(name: &'static str, detail: impl Into<String>, advice: impl Into<Cow<'static, str>>) -> Self {
        Self {
            verdict: Verdict::Warn,
            advice: Some(advice.into()),
            ..Self::ok(name, detail)
        }
    }

    pub fn fail(name: &'static str, detail: impl Into<String>, advice: impl Into<Cow<'static, str>>) -> Self {
        Self {
            verdict: Verdict::Fail,
            advice: Some(advice.into()),
            ..Self::ok(name, detail)
        }
    }
}

/// The worst of them; nothing looked at is nothing wrong.
pub fn worst(checks: &[Check]) -> Verdict {
    checks
        .iter()
        .map(|check| check.verdict)
        .max()
        .unwrap_or(Verdict::Ok)
}

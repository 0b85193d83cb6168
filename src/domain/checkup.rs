//! Checkups: one checked property each, its state, and advice.

use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Ok,
    /// It works now, and will cause trouble.
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
    /// The observed state. Contains no secrets and no host names.
    pub detail: String,
    /// One sentence of advice; absent if all is well.
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

/// Returns the worst state; no checks count as well.
pub fn worst(checks: &[Check]) -> Verdict {
    checks
        .iter()
        .map(|check| check.verdict)
        .max()
        .unwrap_or(Verdict::Ok)
}

//! The filters for dead letters, which all verbs share.

use serde::Serialize;

use crate::domain::Millis;
use crate::domain::task::DeadReason;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which dead letters")]
pub(super) struct Which {
    /// Only dead letters of tasks with this name
    #[arg(long)]
    name: Option<String>,
    /// Only dead letters of tasks in this group
    #[arg(long)]
    group: Option<String>,
    /// Only dead letters with this reason: attempts_exhausted, rejected or expired
    #[arg(long, value_parser = reason)]
    reason: Option<&'static str>,
    /// Only dead letters whose last error has this type
    #[arg(long, value_name = "TYPE")]
    error_type: Option<String>,
    /// Only dead letters whose last error message contains this text
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Only dead letters since this time, such as 2027-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = Millis::parse)]
    died_after: Option<Millis>,
    /// Only dead letters from before this time
    #[arg(long, value_name = "TIME", value_parser = Millis::parse)]
    died_before: Option<Millis>,
}

/// The filter in a request body.
#[derive(Serialize)]
pub(super) struct Filter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    died_after: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    died_before: Option<Millis>,
}

impl Which {
    pub(super) fn filter(&self) -> Option<Filter<'_>> {
        let filter = Filter {
            name: self.name.as_deref(),
            group: self.group.as_deref(),
            reason: self.reason,
            error_type: self.error_type.as_deref(),
            error: self.error.as_deref(),
            died_after: self.died_after,
            died_before: self.died_before,
        };
        self.parameters()
            .iter()
            .any(|(_, value)| value.is_some())
            .then_some(filter)
    }

    /// Returns the filter as query parameters, `None` for each that was not given.
    pub(super) fn parameters(&self) -> [(&'static str, Option<String>); 7] {
        let instant = |at: Option<Millis>| at.map(|at| at.to_string());
        [
            ("name", self.name.clone()),
            ("group", self.group.clone()),
            ("reason", self.reason.map(str::to_owned)),
            ("error_type", self.error_type.clone()),
            ("error", self.error.clone()),
            ("died_after", instant(self.died_after)),
            ("died_before", instant(self.died_before)),
        ]
    }
}

fn reason(text: &str) -> Result<&'static str, String> {
    let words = DeadReason::ALL.map(DeadReason::word);
    DeadReason::parse(text)
        .map(DeadReason::word)
        .ok_or_else(|| format!("must be one of {}", words.join(", ")))
}

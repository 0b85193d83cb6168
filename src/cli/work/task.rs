//! A leased task, and the environment variables that describe it to the program.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Deserialize)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) queue: String,
    pub(super) name: String,
    group: Option<String>,
    /// The payload, byte for byte.
    pub(super) payload: Box<RawValue>,
    priority: u64,
    pub(super) attempt: u64,
    pub(super) max_attempts: u64,
    grant: u64,
    pub(super) lease_id: String,
    lease_seconds: f64,
    lease_expires_at: String,
    enqueued_at: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    traceparent: Option<String>,
    tracestate: Option<String>,
}

/// Variables that not every task has. They are removed if absent, so that a worker inside another worker does
/// not pass on its own.
const OPTIONAL: [&str; 3] = ["LEASEQ_GROUP", "TRACEPARENT", "TRACESTATE"];
pub(super) const HEADER_PREFIX: &str = "LEASEQ_HEADER_";

impl Task {
    /// Returns the length of the lease without an extend, at least a second.
    pub(super) fn lease(&self) -> Duration {
        let seconds = if self.lease_seconds.is_finite() {
            self.lease_seconds.clamp(1.0, 43_200.0)
        } else {
            1.0
        };
        Duration::from_secs_f64(seconds)
    }

    /// Returns the variables to set, with `None` for those to remove. Headers that differ only in case or
    /// punctuation share a variable; the last one by name sets it.
    pub(super) fn variables(&self) -> Vec<(String, Option<String>)> {
        let always = [
            ("LEASEQ_TASK_ID", self.id.clone()),
            ("LEASEQ_QUEUE", self.queue.clone()),
            ("LEASEQ_NAME", self.name.clone()),
            ("LEASEQ_ATTEMPT", self.attempt.to_string()),
            ("LEASEQ_MAX_ATTEMPTS", self.max_attempts.to_string()),
            ("LEASEQ_GRANT", self.grant.to_string()),
            ("LEASEQ_LEASE_ID", self.lease_id.clone()),
            ("LEASEQ_PRIORITY", self.priority.to_string()),
            ("LEASEQ_ENQUEUED_AT", self.enqueued_at.clone()),
            ("LEASEQ_LEASE_SECONDS", self.lease_seconds.to_string()),
            ("LEASEQ_LEASE_EXPIRES_AT", self.lease_expires_at.clone()),
        ];
        let optional = OPTIONAL
            .into_iter()
            .zip([&self.group, &self.traceparent, &self.tracestate]);
        let headers = self.headers.iter().map(|(name, value)| {
            let plain: String = name
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() {
                        c.to_ascii_uppercase()
                    } else {
                        '_'
                    }
                })
                .collect();
            (format!("{HEADER_PREFIX}{plain}"), Some(without_nul(value)))
        });
        always
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value)))
            .chain(optional.map(|(name, value)| (name.to_owned(), value.as_deref().map(without_nul))))
            .chain(headers)
            .collect()
    }
}

/// Replaces NUL, which JSON strings may contain and variables may not.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn task() -> Task {
        serde_json::from_str(
            r#"{"id":"t1","queue":"emails","name":"welcome","payload":{"a": 1.10},"priority":10,"attempt":2,
                "max_attempts":5,"deferrals":0,"grant":7,"lease_id":"L1","lease_seconds":30,
                "lease_expires_at":"2027-01-15T08:00:30.000Z","server_time":"2027-01-15T08:00:00.000Z",
                "enqueued_at":"2027-01-15T07:59:00.000Z","ready_at":"2027-01-15T07:59:00.000Z",
                "headers":{"x-trace.id":"a\u0000b"},"traceparent":"00-abc","last_error":{"later":true}}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_environment_describes_the_task() {
        let variables: BTreeMap<String, Option<String>> = task().variables().into_iter().collect();
        let of = |name: &str| variables[name].as_deref();
        assert_eq!(of("LEASEQ_TASK_ID"), Some("t1"));
        assert_eq!(of("LEASEQ_ATTEMPT"), Some("2"));
        assert_eq!(of("LEASEQ_GRANT"), Some("7"));
        assert_eq!(of("LEASEQ_LEASE_SECONDS"), Some("30"));
        assert_eq!(of("LEASEQ_GROUP"), None);
        assert_eq!(of("TRACEPARENT"), Some("00-abc"));
        assert_eq!(of("LEASEQ_HEADER_X_TRACE_ID"), Some("a\u{fffd}b"));
        assert_eq!(task().payload.get(), r#"{"a": 1.10}"#);
    }

    #[test]
    fn a_lease_of_impossible_length_still_has_a_heartbeat() {
        for (seconds, lease) in [(0.0, 1), (-5.0, 1), (1e300, 43_200), (90.0, 90)] {
            let task = Task {
                lease_seconds: seconds,
                ..task()
            };
            assert_eq!(task.lease(), Duration::from_secs(lease));
        }
    }
}

//! Reading of the few fields that matter in responses.
//!
//! Responses are searched for the words they must contain, and not parsed: a JSON parser here would cost as
//! much CPU as the server. The tests of the service check responses closely.

const SETTLED: &str = r#""settled":["#;

/// The contents of a lease response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leased<'a> {
    /// The part with the tasks.
    pub(super) tasks: &'a str,
    /// The number of settles in the lease request that completed their task.
    pub(super) completed: u64,
}

pub(super) fn leased(body: &[u8]) -> Leased<'_> {
    let body = std::str::from_utf8(body).unwrap_or_default();
    let Some(settled_at) = body.find(SETTLED) else {
        return Leased {
            tasks: body,
            completed: 0,
        };
    };
    // The results contain no lists, so the first bracket ends them. The tasks are before or after them.
    let (before, settled) = body.split_at(settled_at);
    let (settled, after) = settled.split_at(settled.find(']').unwrap_or(settled.len()));
    let tasks = if before.len() > after.len() { before } else { after };
    Leased {
        tasks,
        completed: completed(settled),
    }
}

pub(super) fn push_lease_ids(tasks: &str, lease_ids: &mut Vec<String>) {
    const BEFORE: &str = r#""lease_id":""#;
    for (at, found) in tasks.match_indices(BEFORE) {
        let rest = &tasks[at + found.len()..];
        if let Some(end) = rest.find('"') {
            lease_ids.push(rest[..end].to_owned());
        }
    }
}

/// Returns the number of completed tasks in the response to an ack or a batch of acks.
pub(super) fn completed(body: &str) -> u64 {
    body.matches(r#""completed""#).count() as u64
}

/// Returns the number of tasks that a batch enqueue accepted.
pub(super) fn accepted(body: &[u8]) -> Option<u64> {
    const BEFORE: &str = r#""accepted":"#;
    let body = std::str::from_utf8(body).ok()?;
    let rest = &body[body.find(BEFORE)? + BEFORE.len()..];
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Leased, accepted, leased, push_lease_ids};

    #[test]
    fn a_lease_response_is_read_in_either_order_of_its_parts() {
        let tasks = r#""tasks":[{"id":"1","lease_id":"L1","payload":{}},{"id":"2","lease_id":"L2"}]"#;
        let settled =
            r#""settled":[{"index":0,"state":"completed"},{"index":1,"error":{"code":"lease_lost"}}]"#;
        for body in [format!("{{{tasks},{settled}}}"), format!("{{{settled},{tasks}}}")] {
            let response = leased(body.as_bytes());
            assert_eq!(response.completed, 1);
            let mut ids = Vec::new();
            push_lease_ids(response.tasks, &mut ids);
            assert_eq!(ids, ["L1", "L2"]);
        }
        assert_eq!(
            leased(br#"{"tasks":[]}"#),
            Leased {
                tasks: r#"{"tasks":[]}"#,
                completed: 0
            }
        );
    }

    #[test]
    fn a_batch_response_contains_the_number_of_accepted_tasks() {
        assert_eq!(
            accepted(br#"{"accepted":99,"duplicates":0,"rejected":1,"results":[]}"#),
            Some(99)
        );
        assert_eq!(accepted(br#"{"code":"x"}"#), None);
    }
}

//! I12: attempts are counted exactly as far as anybody can tell, and end in one dead letter.

use crate::histories::history::{Grant, History, Settle, Verb};

pub(super) fn bounded(history: &History) -> Vec<String> {
    let settles = history.settles_by_lease();
    let mut breaches = Vec::new();
    for grants in history.by_task().values() {
        for grant in grants {
            if grant.attempt < 1 || grant.attempt > grant.max_attempts || grant.attempt > grant.number {
                breaches.push(format!("I12: an attempt too many: {grant:?}"));
            }
        }
        for pair in grants.windows(2) {
            let settles = settles
                .get(pair[0].lease_id.as_str())
                .map_or(&[][..], Vec::as_slice);
            let least = pair[0].attempt + u64::from(failed(settles));
            let most = pair[0].attempt + unseen(pair) + u64::from(!released(settles));
            if !(least..=most).contains(&pair[1].attempt) {
                breaches.push(format!(
                    "I12: the attempt must be {least} to {most}: {:?} after {:?} and {settles:?}",
                    pair[1], pair[0]
                ));
            }
        }
    }
    for (task, left) in &history.finals {
        let left = &left[0];
        if left.state == "dead" && left.reason == "attempts_exhausted" && left.attempt != left.max_attempts {
            breaches.push(format!("I12: {task} died early or late: {left:?}"));
        }
    }
    breaches
}

/// Grants between two that nobody was handed.
fn unseen(pair: &[&Grant]) -> u64 {
    pair[1].number.saturating_sub(pair[0].number + 1)
}

fn failed(settles: &[&Settle]) -> bool {
    settles
        .iter()
        .any(|settle| settle.verb == Verb::Nack && settle.outcome.done().is_some())
}

fn released(settles: &[&Settle]) -> bool {
    settles
        .iter()
        .any(|settle| settle.verb == Verb::Release && settle.outcome.done().is_some())
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{assert_breach, done, grant, ordinary, settle};
    use super::*;

    fn of(attempts: &[(u64, u64)], settles: Vec<Settle>) -> History {
        let grants = attempts.iter().zip(1..).map(|((number, attempt), nth)| {
            let mut grant = grant("a", *number, nth * 200);
            grant.attempt = *attempt;
            grant
        });
        History {
            grants: grants.collect(),
            settles,
            ..History::default()
        }
    }

    #[test]
    fn attempts_rise_by_failures_alone() {
        for (attempts, settles) in [
            (vec![(1, 1), (2, 2)], vec![]),
            (
                vec![(1, 1), (2, 2)],
                vec![settle(Verb::Nack, "a/1", 210, done("ready"))],
            ),
            (
                vec![(1, 1), (2, 1)],
                vec![settle(Verb::Release, "a/1", 210, done("ready"))],
            ),
            // One in between was given back, or ran out unseen.
            (vec![(1, 1), (3, 2)], vec![]),
            (vec![(1, 1), (3, 3)], vec![]),
            // A release that nobody answered may have been done.
            (vec![(1, 1), (2, 1)], vec![]),
        ] {
            assert_eq!(bounded(&of(&attempts, settles)), Vec::<String>::new());
        }
    }

    #[test]
    fn attempts_that_are_miscounted_are_seen() {
        for (attempts, settles) in [
            (vec![(1, 1), (2, 3)], vec![]),
            (vec![(1, 2), (2, 1)], vec![]),
            (vec![(6, 6)], vec![]),
            (vec![(1, 0)], vec![]),
            (
                vec![(1, 1), (2, 1)],
                vec![settle(Verb::Nack, "a/1", 210, done("ready"))],
            ),
            (
                vec![(1, 1), (2, 2)],
                vec![settle(Verb::Release, "a/1", 210, done("ready"))],
            ),
        ] {
            assert_breach(&bounded(&of(&attempts, settles)), "I12");
        }
    }

    #[test]
    fn an_early_death_is_seen() {
        let mut history = ordinary();
        let left = &mut history.finals.get_mut("a").unwrap()[0];
        left.state = "dead".to_owned();
        left.reason = "rejected".to_owned();
        assert_eq!(bounded(&history), Vec::<String>::new());
        history.finals.get_mut("a").unwrap()[0].reason = "attempts_exhausted".to_owned();
        assert_breach(&bounded(&history), "I12: a died");
    }
}

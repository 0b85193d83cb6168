//! I9, I10: what was settled stays settled, and says so when asked again.

use std::collections::BTreeMap;

use crate::histories::history::{History, Outcome, Settle, Verb};

/// After an answered ack the task is granted no more, and by no other lease it is acked again.
pub(super) fn ack_is_final(history: &History) -> Vec<String> {
    let (tasks, leases) = (history.by_task(), history.by_lease());
    let mut breaches = Vec::new();
    let mut acked: BTreeMap<&str, &Settle> = BTreeMap::new();
    for ack in history.settles.iter().filter(|settle| settle.verb == Verb::Ack) {
        if ack.outcome.done().is_none() {
            continue;
        }
        if let Some(other) = acked.insert(&ack.task, ack)
            && other.lease_id != ack.lease_id
        {
            breaches.push(format!("I10: two leases acked one task: {other:?} and {ack:?}"));
        }
        let number = leases.get(ack.lease_id.as_str()).map(|lease| lease.number);
        let later = tasks.get(ack.task.as_str()).into_iter().flatten().find(|grant| {
            ack.span.is_before(grant.span) || number.is_some_and(|number| grant.number > number)
        });
        if let Some(later) = later {
            breaches.push(format!("I10: granted after an ack: {later:?} after {ack:?}"));
        }
    }
    breaches
}

/// A settle that was answered is answered again, as a repeat; a lease that settled its task does nothing
/// else.
pub(super) fn repeats_say_already(history: &History) -> Vec<String> {
    let mut breaches = Vec::new();
    for settles in history.settles_by_lease().values() {
        let ends = settles.iter().filter(|settle| settle.verb != Verb::Extend);
        let Some(first) = ends.clone().find(|settle| settle.outcome.done().is_some()) else {
            continue;
        };
        for next in settles.iter().filter(|next| first.span.is_before(next.span)) {
            let repeats = next.verb.word() == first.verb.word();
            let right = match &next.outcome {
                Outcome::Unknown => true,
                Outcome::Done(done) => {
                    let state = first.outcome.done().map(|done| &done.state);
                    repeats && done.already && Some(&done.state) == state
                }
                Outcome::Refused(code) => {
                    // A service that could not be reached, or refused the request, says nothing about the
                    // lease.
                    !repeats || !["lease_lost", "lease_unknown"].contains(&code.as_str())
                }
            };
            if !right {
                breaches.push(format!("I9: {next:?} after {first:?}"));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{already, assert_breach, done, grant, lost, ordinary, settle};
    use super::*;

    #[test]
    fn a_grant_after_an_ack_is_seen() {
        let mut history = ordinary();
        history.grants.push(grant("a", 2, 300));
        assert_breach(&ack_is_final(&history), "I10");
    }

    #[test]
    fn an_ack_of_any_but_the_last_grant_is_seen_whenever_it_came() {
        let mut history = ordinary();
        history.grants.push(grant("a", 2, 121));
        assert_breach(&ack_is_final(&history), "I10");
    }

    #[test]
    fn a_grant_may_follow_an_ack_that_was_not_answered() {
        let mut history = ordinary();
        history.grants.push(grant("a", 2, 300));
        for outcome in [Outcome::Unknown, lost()] {
            history.settles[0].outcome = outcome;
            assert_eq!(ack_is_final(&history), Vec::<String>::new());
        }
    }

    #[test]
    fn two_acks_of_one_task_are_seen() {
        let mut history = ordinary();
        history.settles[1] = settle(Verb::Ack, "b/1", 130, done("completed"));
        assert_breach(&ack_is_final(&history), "I10: two leases");
    }

    #[test]
    fn a_repeat_says_already() {
        for outcome in [
            already("completed"),
            Outcome::Unknown,
            Outcome::Refused("store_unavailable".to_owned()),
        ] {
            let mut history = ordinary();
            history.settles.push(settle(Verb::Ack, "a/1", 200, outcome));
            history.settles.push(settle(Verb::Nack, "a/1", 220, lost()));
            assert_eq!(repeats_say_already(&history), Vec::<String>::new());
        }
    }

    #[test]
    fn a_repeat_that_acts_is_refused_or_answers_otherwise_is_seen() {
        for (verb, outcome) in [
            (Verb::Ack, done("completed")),
            (Verb::Ack, already("dead")),
            (Verb::Ack, lost()),
            (Verb::Nack, done("ready")),
            (Verb::Nack, already("ready")),
            (Verb::Extend, done("")),
        ] {
            let mut history = ordinary();
            history.settles.push(settle(verb, "a/1", 200, outcome));
            assert_breach(&repeats_say_already(&history), "I9");
        }
    }
}

//! I6, I7, I12, I19: who may work on a task, since when, and until when.

use std::collections::BTreeMap;

use crate::histories::history::{Grant, History, Outcome, Settle, Verb};

/// No `lease_id` was ever handed out twice.
pub(super) fn ids_are_unique(history: &History) -> Vec<String> {
    let mut seen: BTreeMap<&str, &Grant> = BTreeMap::new();
    let mut breaches = Vec::new();
    for grant in history.grants.iter().chain(&history.lost_grants) {
        if let Some(first) = seen.insert(&grant.lease_id, grant) {
            breaches.push(format!(
                "I12: one lease_id for two grants: {first:?} and {grant:?}"
            ));
        }
    }
    breaches
}

/// The later of two grants of a task starts after the earlier one ends, on the clock of Redis.
pub(super) fn one_live_lease_per_task(history: &History) -> Vec<String> {
    let settles = history.settles_by_lease();
    let mut breaches = Vec::new();
    for grants in history.by_task().values() {
        for pair in grants.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if first.number == second.number {
                breaches.push(format!("I7: one grant number twice: {first:?} and {second:?}"));
            }
            if second.at_ms < first.at_ms || second.span.is_before(first.span) {
                breaches.push(format!("I7: grant numbers fall: {first:?} and {second:?}"));
            }
            let settles = settles
                .get(first.lease_id.as_str())
                .map_or(&[][..], Vec::as_slice);
            let ends = end_ms(first, second, settles);
            if ends.is_some_and(|ends| second.at_ms < ends) {
                breaches.push(format!(
                    "I6: two live leases until {ends:?}: {first:?} and {second:?}, with {settles:?}"
                ));
            }
        }
    }
    breaches
}

/// Until when `first` surely held the task when `second` came; `None` when its holder may have ended it.
fn end_ms(first: &Grant, second: &Grant, settles: &[&Settle]) -> Option<u64> {
    let mut ends = first.expires_ms;
    for settle in settles {
        let refused = matches!(settle.outcome, Outcome::Refused(_));
        match settle.verb {
            Verb::Nack | Verb::Reject | Verb::Release if !refused && settle.span.start <= second.span.end => {
                return None;
            }
            Verb::Extend if settle.span.is_before(second.span) => {
                ends = settle
                    .outcome
                    .done()
                    .and_then(|done| done.until_ms)
                    .unwrap_or(ends);
            }
            _ => {}
        }
    }
    Some(ends)
}

/// Nothing is done for a lease once a later grant of the task is known, but to say that it had been done
/// before.
pub(super) fn only_the_latest_settles(history: &History) -> Vec<String> {
    let (tasks, leases) = (history.by_task(), history.by_lease());
    let mut breaches = Vec::new();
    for settle in &history.settles {
        let done = settle.outcome.done().is_some_and(|done| !done.already);
        let Some(lease) = leases.get(settle.lease_id.as_str()).filter(|_| done) else {
            continue;
        };
        let later = tasks
            .get(lease.task.as_str())
            .into_iter()
            .flatten()
            .find(|other| {
                let is_later = other.number > lease.number || lease.span.is_before(other.span);
                other.lease_id != lease.lease_id && is_later && other.span.is_before(settle.span)
            });
        if let Some(later) = later {
            breaches.push(format!(
                "I7: a stale lease did something after {later:?}: {settle:?}"
            ));
        }
    }
    breaches
}

/// No grant before a task is due: as it was scheduled, or as its last nack or release was answered.
pub(super) fn never_early(history: &History) -> Vec<String> {
    let mut breaches = Vec::new();
    let tasks = history.by_task();
    for accepted in history
        .enqueues
        .iter()
        .filter_map(|enqueue| enqueue.outcome.done())
    {
        let first = tasks.get(accepted.task.as_str()).map(|grants| grants[0]);
        if let (Some(run_at_ms), Some(first)) = (accepted.run_at_ms, first)
            && first.at_ms < run_at_ms
        {
            breaches.push(format!("I19: granted before {run_at_ms}: {first:?}"));
        }
    }
    let leases = history.by_lease();
    for settle in history
        .settles
        .iter()
        .filter(|settle| settle.verb != Verb::Extend)
    {
        let until_ms = settle.outcome.done().and_then(|done| done.until_ms);
        let (Some(until_ms), Some(lease)) = (until_ms, leases.get(settle.lease_id.as_str())) else {
            continue;
        };
        let later = tasks
            .get(lease.task.as_str())
            .into_iter()
            .flatten()
            .find(|grant| grant.number > lease.number);
        if let Some(early) = later.filter(|grant| grant.at_ms < until_ms) {
            breaches.push(format!(
                "I13: granted before {until_ms}: {early:?} after {settle:?}"
            ));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{assert_breach, done, grant, lost, ordinary, settle, span, until};
    use super::*;
    use crate::histories::history::Accepted;

    fn of(grants: Vec<Grant>, settles: Vec<Settle>) -> History {
        History {
            grants,
            settles,
            ..History::default()
        }
    }

    #[test]
    fn a_lease_id_that_repeats_is_seen() {
        let mut history = ordinary();
        history.grants[2].lease_id = "a/1".to_owned();
        assert_breach(&ids_are_unique(&history), "I12");
    }

    #[test]
    fn two_live_leases_are_seen() {
        let history = of(vec![grant("a", 1, 100), grant("a", 2, 199)], vec![]);
        assert_breach(&one_live_lease_per_task(&history), "I6");
        let refused = settle(Verb::Nack, "a/1", 150, lost());
        let history = of(vec![grant("a", 1, 100), grant("a", 2, 199)], vec![refused]);
        assert_breach(&one_live_lease_per_task(&history), "I6");
        let too_late = settle(Verb::Nack, "a/1", 210, done("ready"));
        let history = of(vec![grant("a", 1, 100), grant("a", 2, 199)], vec![too_late]);
        assert_breach(&one_live_lease_per_task(&history), "I6");
        let extend = settle(Verb::Extend, "a/1", 150, until(250));
        let history = of(vec![grant("a", 1, 100), grant("a", 2, 249)], vec![extend]);
        assert_breach(&one_live_lease_per_task(&history), "I6");
    }

    #[test]
    fn a_lease_may_follow_an_ended_one() {
        for (at, settles) in [
            (200, vec![]),
            (199, vec![settle(Verb::Release, "a/1", 150, done("ready"))]),
            (199, vec![settle(Verb::Nack, "a/1", 150, Outcome::Unknown)]),
            (199, vec![settle(Verb::Nack, "a/1", 199, until(190))]),
            (250, vec![settle(Verb::Extend, "a/1", 150, until(250))]),
            // Answered only after the other grant: it may have been done just after.
            (200, vec![settle(Verb::Extend, "a/1", 201, until(301))]),
        ] {
            let history = of(vec![grant("a", 1, 100), grant("a", 2, at)], settles);
            assert_eq!(one_live_lease_per_task(&history), Vec::<String>::new());
        }
    }

    #[test]
    fn grant_numbers_that_repeat_or_fall_are_seen() {
        let history = of(vec![grant("a", 1, 100), grant("a", 1, 300)], vec![]);
        assert_breach(&one_live_lease_per_task(&history), "I7: one grant number twice");
        let history = of(vec![grant("a", 2, 100), grant("a", 1, 300)], vec![]);
        assert_breach(&one_live_lease_per_task(&history), "I7: grant numbers fall");
    }

    #[test]
    fn a_stale_lease_that_does_something_is_seen() {
        for verb in [Verb::Ack, Verb::Nack, Verb::Extend, Verb::Release] {
            let stale = settle(verb, "a/1", 320, done("completed"));
            let history = of(vec![grant("a", 1, 100), grant("a", 2, 300)], vec![stale]);
            assert_breach(&only_the_latest_settles(&history), "I7");
        }
    }

    #[test]
    fn a_lease_that_redis_lost_does_nothing_once_another_has_its_number() {
        let mut history = of(vec![grant("a", 1, 300)], vec![]);
        let mut lost = grant("a", 1, 100);
        lost.lease_id = "a/lost".to_owned();
        history.lost_grants.push(lost);
        assert_eq!(ids_are_unique(&history), Vec::<String>::new());
        history
            .settles
            .push(settle(Verb::Ack, "a/lost", 320, done("completed")));
        assert_breach(&only_the_latest_settles(&history), "I7");
        history.lost_grants[0].lease_id = "a/1".to_owned();
        assert_breach(&ids_are_unique(&history), "I12");
    }

    #[test]
    fn a_stale_lease_may_be_refused_reminded_or_race() {
        let reminded = super::super::by_hand::already("ready");
        for stale in [
            settle(Verb::Ack, "a/1", 320, lost()),
            settle(Verb::Nack, "a/1", 320, reminded),
            settle(Verb::Ack, "a/1", 320, Outcome::Unknown),
            settle(Verb::Ack, "a/1", 303, done("completed")),
            settle(Verb::Ack, "a/2", 320, done("completed")),
        ] {
            let history = of(vec![grant("a", 1, 100), grant("a", 2, 300)], vec![stale]);
            assert_eq!(only_the_latest_settles(&history), Vec::<String>::new());
        }
    }

    #[test]
    fn an_early_grant_is_seen() {
        let mut history = ordinary();
        let accepted = |run_at_ms| {
            Outcome::Done(Accepted {
                task: "a".to_owned(),
                run_at_ms,
            })
        };
        history.enqueues[0].outcome = accepted(Some(100));
        assert_eq!(never_early(&history), Vec::<String>::new());
        history.enqueues[0].outcome = accepted(Some(101));
        assert_breach(&never_early(&history), "I19");

        let mut history = ordinary();
        history.settles[1].outcome = until(151);
        history.settles[1].span = span(128, 160);
        assert_breach(&never_early(&history), "I13");
    }
}

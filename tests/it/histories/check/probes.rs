//! I22: a breaker of a name that only fails. Once it opened it closes no more, and every grant is a probe.

use super::clocks::Clocks;
use super::limits::most_at_once;
use crate::histories::history::{Grant, History, Settle, Verb};

/// A breaker that lets one probe through at a time.
#[derive(Debug, Clone, Copy)]
pub(in crate::histories) struct Failing {
    pub(in crate::histories) queue: &'static str,
    pub(in crate::histories) name: &'static str,
    pub(in crate::histories) failure_threshold: usize,
    pub(in crate::histories) reset_ms: u32,
}

const GROWTH_MAX: i64 = 10;

/// Failures of these that surely counted, in the order they were answered.
fn failures<'a>(history: &'a History, grants: &[&Grant]) -> Vec<&'a Settle> {
    let is_one = |settle: &&Settle| {
        let is_failure = matches!(settle.verb, Verb::Nack | Verb::Reject);
        let counts = settle.outcome.done().is_some_and(|done| !done.already);
        is_failure && counts && grants.iter().any(|grant| grant.lease_id == settle.lease_id)
    };
    let mut failures: Vec<&Settle> = history.settles.iter().filter(is_one).collect();
    failures.sort_by_key(|settle| settle.span.end);
    failures
}

/// The grants that were surely made after the breaker had opened for the first time: after so many failures
/// without any success, it is open or half-open for good.
fn probes(history: &History, failing: Failing) -> Vec<&Grant> {
    let clocks = Clocks::of(history);
    let of_name =
        |grant: &&Grant| grant.queue == failing.queue && grant.name == failing.name && !grant.recalled;
    let mut grants: Vec<&Grant> = history.grants.iter().filter(of_name).collect();
    grants.sort_by_key(|grant| grant.at_ms);
    let Some(last) = failures(history, &grants)
        .into_iter()
        .nth(failing.failure_threshold - 1)
    else {
        return Vec::new();
    };
    let (_, opened) = clocks.effect(last.span);
    grants.retain(|grant| Clocks::made(grant).0 > opened);
    grants
}

/// One probe at a time, and after a failed one none for as long as it is open then: twice as long each time,
/// up to ten times.
pub(in crate::histories) fn one_at_a_time(history: &History, failing: Failing) -> Vec<String> {
    let mut breaches = Vec::new();
    let (clocks, probes) = (Clocks::of(history), probes(history, failing));
    let (most, last) = most_at_once(history, &probes);
    if most > 1 {
        breaches.push(format!("I22: {most} probes at once: {last:?}"));
    }
    let mut growth = 1;
    for failure in failures(history, &probes) {
        growth = (growth * 2).min(GROWTH_MAX);
        let (earliest, latest) = clocks.effect(failure.span);
        let until = earliest + growth * i64::from(failing.reset_ms) * 1000;
        let early = probes.iter().find(|probe| {
            let (first, last) = Clocks::made(probe);
            first > latest && last < until
        });
        if let Some(early) = early {
            breaches.push(format!(
                "I22: granted while it was open: {early:?} after {failure:?}"
            ));
        }
    }
    breaches
}

/// How many probes there were: a history without shows nothing.
pub(in crate::histories) fn count(history: &History, failing: Failing) -> usize {
    probes(history, failing).len()
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{already, assert_breach, done, grant, settle, span_of_ms, timed};
    use super::*;
    use crate::histories::history::Outcome;

    const FAILING: Failing = Failing {
        queue: "q",
        name: "mail",
        failure_threshold: 2,
        reset_ms: 100,
    };

    fn failed(lease_id: &str, ms: u64) -> Settle {
        Settle {
            span: span_of_ms(ms),
            ..settle(Verb::Nack, lease_id, ms, done("ready"))
        }
    }

    /// Two failures open it; then probes at these times, which fail five later.
    fn history(probes: &[u64]) -> History {
        let mut history = History {
            grants: ["a", "b"].map(|task| timed(grant(task, 1, 1000))).to_vec(),
            settles: vec![failed("a/1", 1010), failed("b/1", 1020)],
            ..History::default()
        };
        for (n, at) in probes.iter().enumerate() {
            history.grants.push(timed(grant(&format!("p{n}"), 1, *at)));
            history.settles.push(failed(&format!("p{n}/1"), at + 5));
        }
        history
    }

    #[test]
    fn probes_that_wait_for_longer_each_time_are_right() {
        let times = [1130, 1340, 1750, 2560, 3570, 4580];
        assert_eq!(one_at_a_time(&history(&times), FAILING), Vec::<String>::new());
        assert_eq!(count(&history(&times), FAILING), 6);
    }

    #[test]
    fn a_probe_that_comes_too_soon_is_seen() {
        for times in [
            &[1130, 1330][..],
            &[1130, 1340, 1740],
            &[1130, 1340, 1750, 2560, 3560],
        ] {
            assert_breach(&one_at_a_time(&history(times), FAILING), "I22");
        }
    }

    #[test]
    fn two_probes_at_once_are_seen() {
        let mut history = history(&[1130, 1133]);
        assert_breach(&one_at_a_time(&history, FAILING), "I22: 2 probes");
        history.settles.drain(2..);
        assert_breach(&one_at_a_time(&history, FAILING), "I22: 2 probes");
        // The first may have been released meanwhile.
        history.settles.push(Settle {
            span: span_of_ms(1132),
            ..settle(Verb::Release, "p0/1", 1132, Outcome::Unknown)
        });
        assert_eq!(one_at_a_time(&history, FAILING), Vec::<String>::new());
    }

    #[test]
    fn what_was_granted_before_it_opened_and_what_did_not_count_is_no_matter() {
        let mut early = history(&[]);
        early.grants.push(timed(grant("c", 1, 1015)));
        early.grants.push(timed(grant("d", 1, 1016)));
        assert_eq!(one_at_a_time(&early, FAILING), Vec::<String>::new());
        let mut closed = history(&[1130, 1133]);
        closed.settles[1].outcome = already("ready");
        closed.settles.truncate(2);
        assert_eq!(one_at_a_time(&closed, FAILING), Vec::<String>::new());
    }
}

//! I23, and what is held or opened by hand: while a gate is shut nothing is granted behind it.

use super::clocks::Clocks;
use crate::histories::history::{Gate, Grant, History, Outcome, Turned, Until};

/// A time, in microseconds of Redis's clock, in which a gate was surely shut.
struct Shut<'a> {
    from: i64,
    to: i64,
    by: &'a Turned,
}

impl Gate {
    fn keeps(&self, grant: &Grant) -> bool {
        match self {
            Self::Pause => true,
            Self::HoldOfName(name) | Self::Breaker(name) => grant.name == *name,
            Self::HoldOfGroup(group) => grant.group == *group,
        }
    }

    fn invariant(&self) -> &'static str {
        match self {
            Self::Pause => "I23",
            Self::HoldOfName(_) | Self::HoldOfGroup(_) => "I19",
            Self::Breaker(_) => "I22",
        }
    }
}

/// From the answer that says so until it ends by itself, or until somebody may have opened it: at the
/// earliest when he asked to. A request with an unknown outcome may take effect at any time after it was
/// sent.
fn shut_times<'a>(history: &'a History, clocks: Clocks) -> Vec<Shut<'a>> {
    let mut times = Vec::new();
    for by in &history.turned {
        let until = match by.outcome.done() {
            Some(Until::Ms(ms)) => i64::try_from(*ms).expect("a time of today") * 1000,
            Some(Until::Further) => i64::MAX,
            Some(Until::Open) | None => continue,
        };
        let (_, from) = clocks.effect(by.span);
        let opens = |other: &Turned| {
            let is_of = other.queue == by.queue
                && other.gate == by.gate
                && !std::ptr::eq(other, by)
                && !other.only_longer;
            let may_be_done = match other.outcome {
                Outcome::Done(_) => !other.span.is_before(by.span),
                Outcome::Unknown => true,
                Outcome::Refused(_) => false,
            };
            (is_of && may_be_done).then(|| clocks.effect(other.span).0)
        };
        let to = history.turned.iter().filter_map(opens).fold(until, i64::min);
        if from < to {
            times.push(Shut { from, to, by });
        }
    }
    times
}

pub(super) fn nothing_passes_a_shut_gate(history: &History) -> Vec<String> {
    let mut breaches = Vec::new();
    for shut in shut_times(history, Clocks::of(history)) {
        for grant in history.grants.iter().filter(|grant| !grant.recalled) {
            let (first, last) = Clocks::made(grant);
            let is_behind = grant.queue == shut.by.queue && shut.by.gate.keeps(grant);
            if is_behind && first > shut.from && last < shut.to {
                breaches.push(format!(
                    "{}: granted behind a shut gate: {grant:?} after {:?}; around it: {:?}",
                    shut.by.gate.invariant(),
                    shut.by,
                    around(history, shut.by)
                ));
            }
        }
    }
    breaches
}

/// Other changes of the gate within a second.
fn around<'a>(history: &'a History, by: &Turned) -> Vec<&'a Turned> {
    let is_near = |other: &&Turned| {
        other.queue == by.queue
            && other.gate == by.gate
            && other.span.start.abs_diff(by.span.start) < 1_000_000
    };
    history.turned.iter().filter(is_near).collect()
}

/// How often a gate was surely shut for a while: a history without shows nothing.
pub(in crate::histories) fn times_shut(history: &History) -> usize {
    shut_times(history, Clocks::of(history)).len()
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{assert_breach, grant, span_of_ms, timed};
    use super::*;

    fn turned(gate: Gate, ms: u64, outcome: Outcome<Until>) -> Turned {
        Turned {
            span: span_of_ms(ms),
            queue: "q",
            gate,
            outcome,
            only_longer: false,
        }
    }

    fn history(turned: Vec<Turned>) -> History {
        let mut history = History {
            grants: [100, 150, 200].map(|at| timed(grant("a", at, at))).to_vec(),
            turned,
            ..History::default()
        };
        history.grants[1].group = "acme".to_owned();
        history
    }

    const OPEN: Outcome<Until> = Outcome::Done(Until::Open);
    const FURTHER: Outcome<Until> = Outcome::Done(Until::Further);

    #[test]
    fn a_grant_behind_a_shut_gate_is_seen() {
        for (gate, invariant) in [
            (Gate::Pause, "I23"),
            (Gate::HoldOfName("mail"), "I19"),
            (Gate::HoldOfGroup("acme"), "I19"),
            (Gate::Breaker("mail"), "I22"),
        ] {
            let shut = |until| turned(gate.clone(), 120, Outcome::Done(until));
            let opened = turned(gate.clone(), 180, OPEN);
            for until in [Until::Ms(180), Until::Further] {
                let history = history(vec![shut(until), opened.clone()]);
                assert_breach(&nothing_passes_a_shut_gate(&history), invariant);
                assert_eq!(times_shut(&history), 1);
            }
            let never_opened = history(vec![shut(Until::Further)]);
            assert_breach(&nothing_passes_a_shut_gate(&never_opened), invariant);
        }
    }

    #[test]
    fn what_is_granted_before_or_after_or_beside_is_right() {
        let gate = || Gate::HoldOfName("mail");
        for turned in [
            // Before it was answered, and after its end.
            vec![turned(gate(), 160, Outcome::Done(Until::Ms(200)))],
            // A task of another name, or another group.
            vec![turned(Gate::Breaker("sync"), 120, FURTHER)],
            vec![turned(Gate::HoldOfGroup("zeta"), 120, FURTHER)],
            // It may have been opened before, as was asked for.
            vec![turned(gate(), 120, FURTHER), turned(gate(), 149, OPEN)],
            vec![
                turned(gate(), 120, FURTHER),
                turned(gate(), 149, Outcome::Unknown),
            ],
            vec![
                turned(gate(), 110, Outcome::Unknown),
                turned(gate(), 120, FURTHER),
            ],
            // Nobody was told that it is shut.
            vec![turned(gate(), 120, Outcome::Unknown)],
            vec![turned(gate(), 120, Outcome::Refused("nobody".to_owned()))],
        ] {
            assert_eq!(nothing_passes_a_shut_gate(&history(turned)), Vec::<String>::new());
        }
        let mut recalled = history(vec![turned(gate(), 120, FURTHER)]);
        recalled.grants.drain(2..);
        recalled.grants[1].recalled = true;
        assert_eq!(nothing_passes_a_shut_gate(&recalled), Vec::<String>::new());
    }

    #[test]
    fn what_was_refused_or_done_before_opens_nothing() {
        let gate = || Gate::HoldOfName("mail");
        let refused = Outcome::Refused("nobody".to_owned());
        for other in [
            turned(gate(), 130, refused),
            turned(gate(), 110, OPEN),
            turned(Gate::Pause, 130, OPEN),
        ] {
            let history = history(vec![turned(gate(), 120, FURTHER), other]);
            assert_breach(&nothing_passes_a_shut_gate(&history), "I19");
        }
        let mut longer = turned(gate(), 130, Outcome::Done(Until::Ms(140)));
        longer.only_longer = true;
        let history = history(vec![turned(gate(), 120, FURTHER), longer]);
        assert_breach(&nothing_passes_a_shut_gate(&history), "I19");
    }
}

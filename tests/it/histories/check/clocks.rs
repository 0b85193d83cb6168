//! Two clocks of one machine: how far Redis's is ahead of the test's, as far as answers tell.

use crate::histories::history::{Grant, History, Span};

/// In microseconds: what a grant shows that was made between its call and its answer, in the millisecond that
/// Redis says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    ahead_min: i64,
    ahead_max: i64,
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).expect("clocks begin in 1970")
}

/// The first and the last microsecond of a millisecond.
fn whole(ms: u64) -> (i64, i64) {
    (signed(ms * 1000), signed(ms * 1000 + 999))
}

impl Clocks {
    /// The narrowest that all grants allow; as wide as can be where there are none.
    pub(super) fn of(history: &History) -> Self {
        let mut clocks = Self {
            ahead_min: i64::MIN / 4,
            ahead_max: i64::MAX / 4,
        };
        for grant in history.grants.iter().filter(|grant| !grant.recalled) {
            let (first, last) = whole(grant.at_ms);
            clocks.ahead_min = clocks.ahead_min.max(first - signed(grant.span.end));
            clocks.ahead_max = clocks.ahead_max.min(last - signed(grant.span.start));
        }
        clocks
    }

    /// Whether there is any difference that all answers agree with.
    pub(super) fn agree(self) -> bool {
        self.ahead_min <= self.ahead_max
    }

    /// On Redis's clock, the earliest and the latest that something of this span took effect.
    pub(super) fn effect(self, span: Span) -> (i64, i64) {
        (
            signed(span.start) + self.ahead_min,
            signed(span.end) + self.ahead_max,
        )
    }

    /// When a grant was made, at the earliest and at the latest, by what Redis says.
    pub(super) fn made(grant: &Grant) -> (i64, i64) {
        whole(grant.at_ms)
    }
}

/// A clock that was set by hand in between makes every comparison void.
pub(in crate::histories) fn one_time(history: &History) -> Vec<String> {
    let clocks = Clocks::of(history);
    let breach = || format!("clocks: no difference fits all answers: {clocks:?}");
    (!clocks.agree()).then(breach).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{assert_breach, grant, span, timed};
    use super::*;

    fn history(grants: Vec<Grant>) -> History {
        History {
            grants,
            ..History::default()
        }
    }

    #[test]
    fn answers_narrow_the_difference() {
        let mut wide = timed(grant("a", 1, 100));
        wide.span = span(0, 200_000);
        let clocks = Clocks::of(&history(vec![wide, timed(grant("b", 1, 150))]));
        assert_eq!(clocks.effect(span(70_000, 80_000)), (70_000 - 999, 80_000 + 999));
    }

    #[test]
    fn a_clock_that_jumped_is_seen() {
        let mut later = timed(grant("b", 1, 150));
        later.at_ms = 170;
        assert_breach(
            &one_time(&history(vec![timed(grant("a", 1, 100)), later])),
            "clocks",
        );
        let right = history(vec![timed(grant("a", 1, 100)), timed(grant("b", 1, 150))]);
        assert_eq!(one_time(&right), Vec::<String>::new());
    }
}

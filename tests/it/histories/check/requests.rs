//! A lease call that names itself is served once: whoever repeats it gets what is still leased of that, and
//! nothing else.

use crate::histories::history::{Grant, History, Repeat};

pub(super) fn repeats_give_the_same(history: &History) -> Vec<String> {
    let mut breaches = Vec::new();
    for repeat in &history.repeats {
        // Redis remembers the call until the last of its leases has run out.
        let Some(ends_ms) = repeat.first.iter().map(|grant| grant.expires_ms).max() else {
            continue;
        };
        for other in without(&repeat.again, &repeat.first) {
            if other.at_ms < ends_ms {
                breaches.push(format!("request_id: another grant {other:?} by {repeat:?}"));
            }
        }
        for withheld in without(&repeat.first, &repeat.again) {
            if is_surely_live(withheld, repeat) {
                breaches.push(format!("request_id: {withheld:?} is not in {repeat:?}"));
            }
        }
    }
    breaches
}

fn without<'a>(grants: &'a [Grant], others: &'a [Grant]) -> impl Iterator<Item = &'a Grant> {
    let same = |one: &Grant, other: &Grant| {
        (&one.lease_id, &one.task, one.number, &one.payload)
            == (&other.lease_id, &other.task, other.number, &other.payload)
    };
    grants
        .iter()
        .filter(move |grant| !others.iter().any(|other| same(grant, other)))
}

/// Nobody settles between the first answer and the repeat. A lease of which the answer took nine tenths is
/// not handed out.
fn is_surely_live(grant: &Grant, repeat: &Repeat) -> bool {
    let left_us = (grant.expires_ms * 1000).saturating_sub(repeat.span.end);
    let took_us = repeat.span.end - repeat.span.start;
    took_us < left_us / 10 * 9
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{assert_breach, grant, span};
    use super::*;

    fn history(again: Vec<Grant>) -> History {
        let repeat = Repeat {
            span: span(150_000, 151_000),
            first: vec![grant("a", 1, 100), grant("b", 1, 100)],
            again,
        };
        History {
            repeats: vec![repeat],
            ..History::default()
        }
    }

    #[test]
    fn the_same_again_is_right() {
        let again = vec![grant("a", 1, 100), grant("b", 1, 100)];
        assert_eq!(repeats_give_the_same(&history(again)), Vec::<String>::new());
    }

    #[test]
    fn another_grant_is_seen() {
        for other in [grant("c", 1, 150), grant("a", 2, 199)] {
            let again = vec![grant("a", 1, 100), grant("b", 1, 100), other];
            assert_breach(&repeats_give_the_same(&history(again)), "request_id: another");
        }
        let too_late = vec![grant("a", 1, 100), grant("b", 1, 100), grant("c", 1, 200)];
        assert_eq!(repeats_give_the_same(&history(too_late)), Vec::<String>::new());
    }

    #[test]
    fn a_live_lease_that_is_withheld_is_seen() {
        let mut history = history(vec![grant("a", 1, 100)]);
        assert_breach(&repeats_give_the_same(&history), "request_id");
        history.repeats[0].span = span(150_000, 199_000);
        assert_eq!(repeats_give_the_same(&history), Vec::<String>::new());
    }
}

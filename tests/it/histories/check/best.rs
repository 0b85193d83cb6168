//! I17 for a whole group: of two tasks that wait, the one with the lower `ready_at - priority × aging` is
//! granted first, whatever their names.

use std::collections::BTreeMap;

use super::clocks::Clocks;
use crate::histories::history::{Enqueue, Grant, History};

/// `aging_seconds`, in microseconds.
const AGING_US: i64 = 6_000_000;

/// A task that was ready as soon as it was accepted, and its very first grant.
#[derive(Debug)]
struct First<'a> {
    enqueue: &'a Enqueue,
    grant: &'a Grant,
    /// When it became ready, at the earliest and at the latest, on Redis's clock.
    ready: (i64, i64),
}

impl First<'_> {
    fn score(&self, ready: i64) -> i64 {
        ready - i64::from(self.enqueue.priority) * AGING_US
    }

    /// Whether this one was surely there to be granted, and better, when the other one was granted, and came
    /// after it.
    fn was_overtaken_by(&self, other: &Self) -> bool {
        let before = Clocks::made(other.grant).0;
        let came_later = self.grant.at_ms > other.grant.at_ms
            || (self.grant.span == other.grant.span
                && self.grant.at_ms == other.grant.at_ms
                && self.grant.place > other.grant.place);
        let was_asked_for = !other.grant.by_name || self.enqueue.name == other.enqueue.name;
        let is_better = self.score(self.ready.1) < other.score(other.ready.0);
        came_later && was_asked_for && self.ready.1 < before && is_better
    }
}

pub(super) fn best_of_its_group_first(history: &History) -> Vec<String> {
    let clocks = Clocks::of(history);
    let mut groups: BTreeMap<&str, Vec<First<'_>>> = BTreeMap::new();
    for (enqueue, grant) in history.first_grants() {
        let ready = clocks.effect(enqueue.span);
        let first = First {
            enqueue,
            grant,
            ready,
        };
        groups.entry(&enqueue.group).or_default().push(first);
    }
    let mut breaches = Vec::new();
    for firsts in groups.values() {
        for one in firsts {
            let overtaken = |other: &&First<'_>| one.was_overtaken_by(other);
            if let Some(other) = firsts.iter().find(overtaken) {
                breaches.push(format!("I17: {other:?} came before {one:?}"));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{assert_breach, enqueue, grant, span_of_ms, timed};
    use super::*;

    /// Three tasks of one group, each of a name of its own, sent at these times with these priorities and
    /// granted in the order given.
    fn history(tasks: [(u64, u16); 3], granted: [&str; 3]) -> History {
        let enqueues = ["a", "b", "c"]
            .into_iter()
            .zip(tasks)
            .map(|(task, (ms, priority))| Enqueue {
                span: span_of_ms(ms),
                name: task.to_owned(),
                priority,
                ..enqueue(task, ms)
            });
        let grants = granted.into_iter().zip([100_000, 100_010, 100_020]);
        History {
            enqueues: enqueues.collect(),
            grants: grants.map(|(task, at)| timed(grant(task, 1, at))).collect(),
            ..History::default()
        }
    }

    const EQUAL: [(u64, u16); 3] = [(10, 10), (20, 10), (30, 10)];
    /// The second is worth more than the first and less than the third waited for.
    const AGED: [(u64, u16); 3] = [(20_000, 10), (25_000, 11), (20_000, 11)];

    #[test]
    fn the_best_first_is_right() {
        for (tasks, granted) in [(EQUAL, ["a", "b", "c"]), (AGED, ["c", "b", "a"])] {
            assert_eq!(
                best_of_its_group_first(&history(tasks, granted)),
                Vec::<String>::new()
            );
        }
    }

    #[test]
    fn a_worse_one_first_is_seen() {
        for (tasks, granted) in [
            (EQUAL, ["b", "a", "c"]),
            (EQUAL, ["a", "c", "b"]),
            (AGED, ["b", "c", "a"]),
            (AGED, ["c", "a", "b"]),
        ] {
            assert_breach(&best_of_its_group_first(&history(tasks, granted)), "I17");
        }
        let mut at_once = history(EQUAL, ["a", "c", "b"]);
        for (place, grant) in at_once.grants.iter_mut().enumerate() {
            (grant.at_ms, grant.span, grant.place) = (100_000, span_of_ms(100_000), place);
        }
        assert_breach(&best_of_its_group_first(&at_once), "I17");
    }

    #[test]
    fn who_was_not_there_or_not_asked_for_is_not_overtaken() {
        let overtaken = |change: fn(&mut History)| {
            let mut history = history(EQUAL, ["b", "a", "c"]);
            change(&mut history);
            best_of_its_group_first(&history)
        };
        for change in [
            (|history| history.grants[0].by_name = true) as fn(&mut History),
            |history| history.enqueues[0].group = "q/Some(\"acme\")".to_owned(),
            |history| history.enqueues[0].span.end = 20_500,
            |history| history.grants[1].number = 2,
            |history| history.grants[1].recalled = true,
        ] {
            assert_eq!(overtaken(change), Vec::<String>::new());
        }
    }
}

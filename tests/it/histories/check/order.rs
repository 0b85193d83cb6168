//! I17, as far as it can be seen from outside: in one lane, tasks are first granted in the order they were
//! accepted.

use std::collections::BTreeMap;

use crate::histories::history::{Enqueue, Grant, History};

/// Compares tasks whose very first grant somebody was handed: a grant that nobody got may have come earlier.
pub(super) fn first_come_first_served(history: &History) -> Vec<String> {
    let mut lanes: BTreeMap<&str, Vec<(&Enqueue, &Grant)>> = BTreeMap::new();
    for (enqueue, first) in history.first_grants() {
        lanes.entry(&enqueue.lane).or_default().push((enqueue, first));
    }
    let mut breaches = Vec::new();
    for lane in lanes.values() {
        overtaken(lane, &mut breaches);
    }
    breaches
}

/// Goes through a lane by when its tasks were sent, keeping the latest grant among those surely accepted
/// before.
fn overtaken(lane: &[(&Enqueue, &Grant)], breaches: &mut Vec<String>) {
    let mut sent = lane.to_vec();
    sent.sort_by_key(|(enqueue, _)| (enqueue.span.start, enqueue.place));
    let mut answered = lane.to_vec();
    answered.sort_by_key(|(enqueue, _)| enqueue.span.end);
    let mut answered = answered.into_iter().peekable();
    let mut latest: Option<(&Enqueue, &Grant)> = None;
    let mut before: Option<(&Enqueue, &Grant)> = None;
    for task in sent {
        while let Some(done) = answered.next_if(|(enqueue, _)| enqueue.span.is_before(task.0.span)) {
            if latest.is_none_or(|latest| later(done.1, latest.1)) {
                latest = Some(done);
            }
        }
        // In one request, the order is that of the request.
        before = before.filter(|before| before.0.span == task.0.span);
        for earlier in latest.iter().chain(&before) {
            if later(earlier.1, task.1) {
                breaches.push(format!("I17: {task:?} overtook {earlier:?}"));
            }
        }
        if before.is_none_or(|before| later(task.1, before.1)) {
            before = Some(task);
        }
    }
}

fn later(one: &Grant, other: &Grant) -> bool {
    let same_answer = one.span == other.span && one.at_ms == other.at_ms;
    one.at_ms > other.at_ms || (same_answer && one.place > other.place)
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{assert_breach, enqueue, grant, span};
    use super::*;

    fn history() -> History {
        History {
            enqueues: ["a", "b", "c"]
                .iter()
                .zip([10, 20, 30])
                .map(|(task, at)| enqueue(task, at))
                .collect(),
            grants: ["a", "b", "c"]
                .iter()
                .zip([100, 110, 120])
                .map(|(task, at)| grant(task, 1, at))
                .collect(),
            ..History::default()
        }
    }

    #[test]
    fn tasks_in_turn_are_right() {
        assert_eq!(first_come_first_served(&history()), Vec::<String>::new());
    }

    #[test]
    fn a_task_that_overtakes_is_seen() {
        let mut history = history();
        history.grants[2].at_ms = 99;
        assert_breach(&first_come_first_served(&history), "I17");
    }

    #[test]
    fn overtaking_within_one_answer_is_seen() {
        let mut history = history();
        for (place, grant) in [2, 1, 0].into_iter().zip(&mut history.grants) {
            (grant.at_ms, grant.span, grant.place) = (100, span(98, 102), place);
        }
        assert_breach(&first_come_first_served(&history), "I17");
    }

    #[test]
    fn overtaking_within_one_request_is_seen() {
        let mut history = history();
        for (place, enqueue) in (0..).zip(&mut history.enqueues) {
            (enqueue.span, enqueue.place) = (span(10, 15), place);
        }
        assert_eq!(first_come_first_served(&history), Vec::<String>::new());
        history.grants[0].at_ms = 111;
        assert_breach(&first_come_first_served(&history), "I17");
    }

    #[test]
    fn who_was_sent_at_once_scheduled_elsewhere_or_granted_before_has_no_place() {
        let early = |change: fn(&mut History)| {
            let mut history = history();
            history.grants[2].at_ms = 99;
            change(&mut history);
            first_come_first_served(&history)
        };
        assert_eq!(
            early(|history| history.enqueues[2].span = span(5, 40)),
            Vec::<String>::new()
        );
        assert_eq!(
            early(|history| history.enqueues[2].lane = "other".to_owned()),
            Vec::<String>::new()
        );
        assert_eq!(
            early(|history| history.grants[2].number = 2),
            Vec::<String>::new()
        );
    }
}

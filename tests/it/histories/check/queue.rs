//! I1, I2: what was accepted is there or was finished; what is there or was granted had been sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::histories::history::{History, Outcome, Verb, payload, tag};

/// States in which a quiet queue may have a task.
const QUIET: [&str; 2] = ["completed", "dead"];

pub(super) fn nothing_absurd(history: &History) -> Vec<String> {
    history.absurd.clone()
}

pub(super) fn nothing_lost(history: &History) -> Vec<String> {
    let mut breaches = Vec::new();
    for enqueue in &history.enqueues {
        let Outcome::Done(accepted) = &enqueue.outcome else {
            continue;
        };
        let Some(left) = history.finals.get(&accepted.task) else {
            breaches.push(format!(
                "I1: {} was accepted and is nowhere: {enqueue:?}",
                accepted.task
            ));
            continue;
        };
        if tag(&left[0].payload) != enqueue.tag {
            breaches.push(format!("I1: {} became another task: {left:?}", accepted.task));
        }
    }
    for (task, left) in &history.finals {
        if left.len() > 1 {
            breaches.push(format!(
                "I1: {task} is in {} states at once: {left:?}",
                left.len()
            ));
        }
        if !QUIET.contains(&left[0].state.as_str()) {
            breaches.push(format!("I1: {task} never ended: {left:?}"));
        }
    }
    for settle in &history.settles {
        let state = history
            .finals
            .get(&settle.task)
            .map(|left| left[0].state.as_str());
        let Some(answered) = settle.outcome.done() else {
            continue;
        };
        let expected = match (settle.verb, answered.state.as_str()) {
            (Verb::Ack, _) => "completed",
            (Verb::Nack | Verb::Reject | Verb::Release, "dead") => "dead",
            _ => continue,
        };
        if state != Some(expected) {
            breaches.push(format!(
                "I1: {expected} was answered, {state:?} is there: {settle:?}"
            ));
        }
    }
    breaches
}

pub(super) fn nothing_invented(history: &History) -> Vec<String> {
    let mut breaches = Vec::new();
    let sent: BTreeMap<&str, _> = history
        .enqueues
        .iter()
        .map(|enqueue| (enqueue.tag.as_str(), enqueue))
        .collect();
    let granted = history.grants.iter().map(|grant| (&grant.task, &grant.payload));
    let left = history
        .finals
        .iter()
        .flat_map(|(task, left)| left.iter().map(move |left| (task, &left.payload)));
    let mut tasks: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (task, bytes) in granted.chain(left) {
        let tag = tag(bytes);
        if *bytes != payload(tag) {
            breaches.push(format!("I2: {task} has another payload: {bytes}"));
        }
        match sent.get(tag).map(|enqueue| &enqueue.outcome) {
            None => breaches.push(format!("I2: nobody sent {task}: {bytes}")),
            Some(Outcome::Refused(code)) => {
                breaches.push(format!("I5: {tag} was refused as {code}, and is {task}"));
            }
            Some(Outcome::Done(accepted)) if accepted.task != **task => {
                breaches.push(format!("I2: {tag} is {} and {task}", accepted.task));
            }
            Some(_) => {}
        }
        tasks.entry(tag).or_default().insert(task);
    }
    for (tag, tasks) in tasks {
        if tasks.len() > 1 {
            breaches.push(format!("I2: {tag} was sent once and is {tasks:?}"));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{assert_breach, done, enqueue, grant, left, lost, ordinary, settle};
    use super::*;

    #[test]
    fn a_lost_task_is_seen() {
        let mut history = ordinary();
        history.finals.remove("a");
        assert_breach(&nothing_lost(&history), "I1: a was accepted and is nowhere");
    }

    #[test]
    fn a_task_that_never_ends_is_seen() {
        let mut history = ordinary();
        history.finals.extend([left("a", "leased")]);
        assert_breach(&nothing_lost(&history), "I1: a never ended");
    }

    #[test]
    fn a_task_in_two_states_is_seen() {
        let mut history = ordinary();
        let twice = [left("a", "completed").1, left("a", "completed").1].concat();
        history.finals.insert("a".to_owned(), twice);
        assert_breach(&nothing_lost(&history), "I1: a is in 2 states");
    }

    #[test]
    fn an_ack_that_did_not_last_is_seen() {
        let mut history = ordinary();
        history.finals.extend([left("a", "dead")]);
        assert_breach(&nothing_lost(&history), "I1: completed was answered");
        history.settles = vec![settle(Verb::Nack, "b/1", 130, done("dead"))];
        assert_breach(&nothing_lost(&history), "I1: dead was answered");
    }

    #[test]
    fn what_nobody_sent_is_seen() {
        let mut history = ordinary();
        history.finals.extend([left("c", "completed")]);
        assert_breach(&nothing_invented(&history), "I2: nobody sent c");
        let mut history = ordinary();
        history.grants.push(grant("c", 1, 200));
        assert_breach(&nothing_invented(&history), "I2: nobody sent c");
    }

    #[test]
    fn a_changed_payload_is_seen() {
        let mut history = ordinary();
        history.grants[0].payload = payload("a").replace("[ ]", "[]");
        assert_breach(&nothing_invented(&history), "I2: a has another payload");
    }

    #[test]
    fn what_was_refused_must_not_exist() {
        let mut history = ordinary();
        history.enqueues[0].outcome = lost();
        assert_breach(&nothing_invented(&history), "I5: a was refused");
    }

    #[test]
    fn an_unknown_enqueue_may_be_there_once_or_not_at_all() {
        let mut history = ordinary();
        history.enqueues[0].outcome = Outcome::Unknown;
        history.enqueues.push(enqueue("c", 30));
        history.enqueues[2].outcome = Outcome::Unknown;
        assert_eq!(nothing_lost(&history), Vec::<String>::new());
        assert_eq!(nothing_invented(&history), Vec::<String>::new());

        let (_, twin) = left("a", "completed");
        history.finals.insert("a again".to_owned(), twin);
        assert_breach(&nothing_invented(&history), "I2: a was sent once");
    }
}

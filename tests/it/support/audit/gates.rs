//! I20 and I21: what gates remember agrees with the tasks; and what is parked is parked everywhere, and will
//! be looked at again.

use std::collections::{BTreeMap, BTreeSet};

use super::Problems;
use super::lanes::{PARKED, by_group, by_name};
use super::raw::{Lane, Raw};

pub fn check(raw: &Raw, problems: &mut Problems) {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for task in raw.leased.keys().filter_map(|id| raw.tasks.get(id)) {
        *counts.entry(format!("n{}", task.lane.name)).or_default() += 1;
        if !task.lane.group.is_empty() {
            *counts.entry(format!("g{}", task.lane.group)).or_default() += 1;
        }
    }
    problems.check(raw.counts == counts, || {
        format!("I21: {:?} are counted, and {counts:?} are leased", raw.counts)
    });
    for (scope, gate) in &raw.gates {
        let [tokens, at, _, burst, ..] = gate[..] else {
            problems.check(false, || format!("I20: the gate {scope} cannot be read"));
            continue;
        };
        problems.check(tokens >= 0.0 && tokens <= burst && at >= 0.0, || {
            format!("I20: the gate {scope} has {tokens} tokens of {burst}")
        });
    }
    problems.check(raw.number("shut") == raw.shut.len() as u64, || {
        format!(
            "{} gates are counted as shut, {:?} are",
            raw.number("shut"),
            raw.shut
        )
    });

    let lanes: BTreeSet<&Lane> = raw.fresh.keys().chain(raw.back.keys()).collect();
    let mut with_turns = BTreeSet::new();
    for lane in lanes {
        let head = raw
            .heads
            .get(&lane.group)
            .and_then(|heads| heads.get(&by_name(lane)));
        let listed = raw
            .names
            .get(&lane.name)
            .and_then(|names| names.get(&by_group(lane)));
        let (Some(head), Some(listed)) = (head, listed) else {
            continue;
        };
        problems.check((*head == f64::INFINITY) == (*listed < 0.0), || {
            format!("{lane:?} is parked by halves: {head} and {listed}")
        });
        if *head == f64::INFINITY {
            problems.check(raw.shut.contains_key(&format!("n{}", lane.name)), || {
                format!("{lane:?} is parked, and nobody looks at it again")
            });
        } else {
            with_turns.insert(&lane.group);
        }
    }
    for (group, _) in raw.turn.iter().filter(|(_, pass)| **pass >= PARKED) {
        let looked_at = raw.shut.contains_key(&format!("g{group}"));
        problems.check(looked_at || !with_turns.contains(group), || {
            format!("group {group:?} is parked, and nobody looks at it again")
        });
    }
}

//! I4 for lanes: heads, names and turns say what the lanes hold, and nothing is left of empty ones. I17 and
//! I18 rest on it: a head that promises more than its lane has would hide a task.

use std::collections::{BTreeMap, BTreeSet};

use super::Problems;
use super::raw::{Lane, Raw};
use super::states::is_live_fresh;

/// The offset in the scores of parked lanes and groups.
pub const PARKED: f64 = 4_503_599_627_370_496.0;

pub fn check(raw: &Raw, problems: &mut Problems) {
    let lanes: BTreeSet<&Lane> = raw.fresh.keys().chain(raw.back.keys()).collect();
    for lane in &lanes {
        check_head(raw, lane, problems);
        let pass = raw.turn.get(&lane.group);
        problems.check(pass.is_some(), || {
            format!("I18: group {:?} of {lane:?} has no turn", lane.group)
        });
        let listed = raw
            .names
            .get(&lane.name)
            .and_then(|lanes| lanes.get(&by_group(lane)));
        problems.check(listed.is_some(), || {
            format!("I4: {lane:?} is not among the lanes of its name")
        });
        if let (Some(pass), Some(listed)) = (pass, listed) {
            // Lower bounds of passes; what is parked is told by 2^52, below zero here and above there.
            let (pass, listed) = (pass % PARKED, (listed + PARKED) % PARKED);
            problems.check(listed <= pass, || {
                format!("I18: {lane:?} is listed at {listed}, behind its group's pass {pass}")
            });
        }
    }
    for (lane, counted) in &raw.stale {
        let entries = raw.fresh.get(lane).into_iter().flatten();
        let stale = entries.filter(|entry| !is_live_fresh(raw, entry)).count() as u64;
        problems.check(*counted == stale, || {
            format!("I4: {stale} entries of {lane:?} are stale, {counted} are counted")
        });
    }
    let expected: BTreeSet<_> = lanes
        .iter()
        .map(|lane| (lane.group.clone(), by_name(lane)))
        .collect();
    nothing_else(&raw.heads, &expected, "head", problems);
    let expected: BTreeSet<_> = lanes
        .iter()
        .map(|lane| (lane.name.clone(), by_group(lane)))
        .collect();
    nothing_else(&raw.names, &expected, "name", problems);
    for group in raw
        .turn
        .keys()
        .filter(|group| !lanes.iter().any(|lane| lane.group == **group))
    {
        problems.check(false, || format!("I18: group {group:?} has a turn and no lane"));
    }
}

pub fn by_name(lane: &Lane) -> String {
    format!("{}/{}", lane.priority, lane.name)
}

pub fn by_group(lane: &Lane) -> String {
    format!("{}/{}", lane.priority, lane.group)
}

/// A head's score is a lower bound of the best live task in its lane.
fn check_head(raw: &Raw, lane: &Lane, problems: &mut Problems) {
    let Some(head) = raw
        .heads
        .get(&lane.group)
        .and_then(|heads| heads.get(&by_name(lane)))
    else {
        problems.check(false, || format!("I4: {lane:?} has no head"));
        return;
    };
    let fresh = raw
        .fresh
        .get(lane)
        .into_iter()
        .flatten()
        .filter(|entry| is_live_fresh(raw, entry));
    let best = fresh
        .chain(raw.back.get(lane).into_iter().flatten())
        .map(|entry| order_score(raw, lane.priority, entry.place))
        .fold(f64::INFINITY, f64::min);
    problems.check(*head <= best || *head == f64::INFINITY, || {
        format!("I17: the head of {lane:?} says {head}, its best task is at {best}")
    });
}

/// `ready_at - priority * aging` of the spec, in 2,048ths of a millisecond.
#[allow(clippy::cast_precision_loss)] // All below 2^53.
fn order_score(raw: &Raw, priority: u64, place: f64) -> f64 {
    match raw.number("order") {
        0 => place - (priority * raw.number("aging_ms") * 2048) as f64,
        2 => place,
        1 => (1000 - priority) as f64 * 2f64.powi(43) + (place / 2048.0).floor(),
        other => panic!("order {other:?}"),
    }
}

fn nothing_else(
    index: &BTreeMap<String, BTreeMap<String, f64>>,
    expected: &BTreeSet<(String, String)>,
    what: &str,
    problems: &mut Problems,
) {
    for (key, members) in index {
        for member in members
            .keys()
            .filter(|member| !expected.contains(&(key.clone(), (*member).clone())))
        {
            problems.check(false, || {
                format!("I4: {what} {key:?} lists {member:?}, which is empty")
            });
        }
    }
}

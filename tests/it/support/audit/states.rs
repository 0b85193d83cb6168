//! I3: nothing appears or vanishes uncounted. I4: every task is in exactly one state index.

use std::collections::{BTreeMap, BTreeSet};

use leaseq::domain::TaskId;
use leaseq::domain::limits::NAMES_MAX;

use super::Problems;
use super::raw::{Entry, Lane, Raw};

const EXITS: [&str; 6] = [
    "completed_total",
    "cancelled_total",
    "purged_total",
    "dead_evicted_total",
    "dead_aged_total",
    "replayed_total",
];

pub fn check(raw: &Raw, problems: &mut Problems) {
    for stranger in &raw.strangers {
        problems.check(false, || format!("I4: key {stranger} is in no schema"));
    }
    let mut found: BTreeMap<TaskId, Vec<String>> = BTreeMap::new();
    let mut note = |id: TaskId, index: &str| found.entry(id).or_default().push(index.to_owned());
    let mut ready = 0;
    for (lane, entry) in entries(&raw.fresh) {
        if is_live_fresh(raw, entry) {
            ready += 1;
            note(entry.id, "fresh");
            check_lane(raw, lane, entry, problems);
        }
    }
    for (lane, entry) in entries(&raw.back) {
        ready += 1;
        note(entry.id, "back");
        check_lane(raw, lane, entry, problems);
    }
    for (index, members) in [("due", &raw.due), ("leased", &raw.leased), ("dead", &raw.dead)] {
        members.keys().for_each(|id| note(*id, index));
    }
    raw.results.keys().for_each(|id| note(*id, "res"));
    // One that a lease met past its expiry has left its lane, and counts as ready until the sweep buries it.
    let overdue: Vec<_> = raw.expiry.keys().filter(|id| !found.contains_key(id)).collect();
    for id in overdue {
        let expires_at = raw.tasks.get(id).and_then(|task| task.expires_at);
        if expires_at.is_some_and(|at| at <= raw.now) {
            ready += 1;
            found.insert(*id, vec!["expiry".to_owned()]);
        }
    }

    for (id, indexes) in &found {
        problems.check(raw.tasks.contains_key(id), || {
            format!("I4: {id} is in {indexes:?} without a record")
        });
        problems.check(indexes.len() == 1, || {
            format!("I4: {id} is in {indexes:?} at once")
        });
    }
    for id in raw.tasks.keys().filter(|id| !found.contains_key(id)) {
        problems.check(false, || {
            format!("I1 I4: {id} has a record and is in no state index")
        });
    }
    check_parts(raw, problems);
    conserved(raw, ready, problems);
    weighed(raw, problems);
    named(raw, problems);
}

/// A fresh entry is live while nothing has happened to its task.
pub fn is_live_fresh(raw: &Raw, entry: &Entry) -> bool {
    raw.tasks.contains_key(&entry.id) && !raw.mutables.contains_key(&entry.id)
}

fn entries(lanes: &BTreeMap<Lane, Vec<Entry>>) -> impl Iterator<Item = (&Lane, &Entry)> {
    lanes
        .iter()
        .flat_map(|(lane, entries)| entries.iter().map(move |entry| (lane, entry)))
}

/// An entry lies in the lane of its task, with the tick of its task.
fn check_lane(raw: &Raw, lane: &Lane, entry: &Entry, problems: &mut Problems) {
    let Some(task) = raw.tasks.get(&entry.id) else {
        return;
    };
    let priority = raw
        .mutables
        .get(&entry.id)
        .map_or(task.lane.priority, |m| m.priority);
    let own = Lane {
        priority,
        ..task.lane.clone()
    };
    problems.check(*lane == own, || {
        format!("I4: {} lies in {lane:?}, not in {own:?}", entry.id)
    });
    problems.check(entry.tick == task.tick, || {
        format!(
            "I17: {} was accepted at {}, its entry says {}",
            entry.id, task.tick, entry.tick
        )
    });
}

/// Payloads that lie apart, mutable parts and histories belong to records, and agree with them.
fn check_parts(raw: &Raw, problems: &mut Problems) {
    let big: BTreeSet<_> = raw
        .tasks
        .iter()
        .filter(|(_, task)| task.big)
        .map(|(id, _)| id)
        .collect();
    for id in raw.payloads.keys().filter(|id| !big.contains(id)) {
        problems.check(false, || {
            format!("I4: {id} has a payload apart that no record calls for")
        });
    }
    for id in big.into_iter().filter(|id| !raw.payloads.contains_key(id)) {
        problems.check(false, || format!("I2: the payload of {id} is gone"));
    }
    for id in raw.mutables.keys().filter(|id| !raw.tasks.contains_key(id)) {
        problems.check(false, || format!("I4: {id} has a mutable part and no record"));
    }
    for id in raw.histories.keys().filter(|id| !raw.mutables.contains_key(id)) {
        problems.check(false, || format!("I4: {id} has a history and no mutable part"));
    }
    for (id, mutable) in &raw.mutables {
        let latest = raw.histories.get(id).and_then(|numbers| numbers.last()).copied();
        problems.check(latest.unwrap_or(0) == mutable.failed, || {
            format!(
                "I12: {id} failed {} times, its history ends with {latest:?}",
                mutable.failed
            )
        });
    }
}

fn conserved(raw: &Raw, ready: usize, problems: &mut Problems) {
    let live = [raw.due.len(), ready, raw.leased.len(), raw.dead.len()];
    let left = EXITS.map(|exit| raw.number(exit));
    let accounted = live.iter().sum::<usize>() as u64 + left.iter().sum::<u64>();
    let accepted = raw.number("accepted_total");
    problems.check(accepted == accounted, || {
        format!("I3: {accepted} accepted, but {live:?} scheduled, ready, leased, dead and {left:?} left by {EXITS:?}")
    });
    // The totals behind the charts. Purged tasks may have been dead letters, or not.
    let [died, purged] = ["died_total", "purged_total"].map(|total| raw.number(total));
    let buried = ["dead_evicted_total", "dead_aged_total", "replayed_total"].map(|exit| raw.number(exit));
    let buried = raw.dead.len() as u64 + buried.iter().sum::<u64>();
    problems.check((buried..=buried + purged).contains(&died), || {
        format!("I24: {died} died, but {buried} are dead or left as such, and {purged} were purged")
    });
    let failed: u64 = raw.mutables.values().map(|mutable| mutable.failed).sum();
    problems.check(raw.number("failed_total") >= failed, || {
        format!(
            "I24: {} attempts failed, those that are kept have {failed}",
            raw.number("failed_total")
        )
    });
    problems.check(raw.number("ready") == ready as u64, || {
        format!(
            "I3: ready is counted as {}, the lanes hold {ready}",
            raw.number("ready")
        )
    });
}

/// I28: the names of what is unfinished are known, and no more than there may be.
fn named(raw: &Raw, problems: &mut Problems) {
    let names = raw.named.len();
    problems.check(names <= NAMES_MAX, || format!("I28: {names} names are known"));
    let unfinished = |id: &&TaskId| !raw.results.contains_key(id) && !raw.dead.contains_key(id);
    for id in raw.tasks.keys().filter(unfinished) {
        let name = &raw.tasks[id].lane.name;
        problems.check(raw.named.contains_key(name), || {
            format!("I28: nobody knows that {id} has the name {name}")
        });
    }
}

/// I28: what is unfinished is counted with all its bytes.
fn weighed(raw: &Raw, problems: &mut Problems) {
    let unfinished = |id: &&TaskId| !raw.results.contains_key(id) && !raw.dead.contains_key(id);
    let apart = |id: &TaskId| raw.payloads.get(id).copied().unwrap_or(0);
    let bytes: usize = raw
        .tasks
        .keys()
        .filter(unfinished)
        .map(|id| raw.tasks[id].bytes + apart(id))
        .sum();
    let counted = raw.number("unfinished_bytes");
    problems.check(counted == bytes as u64, || {
        format!("I28: unfinished tasks have {bytes} bytes, {counted} are counted")
    });
}

//! I15: who holds a key is there to hold it, and who should hold one does. I28: what is remembered of
//! requests is found again when its time is over.

use super::Problems;
use super::raw::{Hold, Raw, Task};

pub fn check(raw: &Raw, problems: &mut Problems) {
    for (key, hold) in &raw.holds {
        if hold.expires > 0 {
            let listed = raw.hold_ends.get(key).copied();
            problems.check(listed == Some(ms(hold.expires)), || {
                format!(
                    "I28: key {key:?} expires at {}, listed at {listed:?}",
                    hold.expires
                )
            });
        } else {
            let task = raw.tasks.get(&hold.holder);
            problems.check(task.is_some_and(|task| holds(raw, task, hold, key)), || {
                format!("I15: {} holds {key:?} for ever", hold.holder)
            });
        }
    }
    for key in raw.hold_ends.keys() {
        problems.check(raw.holds.get(key).is_some_and(|hold| hold.expires > 0), || {
            format!("I28: {key:?} is listed to expire, but does not")
        });
    }
    for (id, task) in &raw.tasks {
        let Some((_, key)) = &task.unique else { continue };
        let hold = Hold {
            holder: *id,
            expires: 0,
        };
        // One that waited past its expiry is dead, though nobody may have buried it yet: another may hold its
        // key.
        let lives = raw.leased.contains_key(id) || task.expires_at.is_none_or(|at| at > raw.now);
        if lives && holds(raw, task, &hold, key) {
            problems.check(raw.holds.get(key) == Some(&hold), || {
                format!("I15: {id} should hold {key:?}, but {:?} does", raw.holds.get(key))
            });
        }
    }
    for (field, expires) in &raw.repeats {
        let listed = raw
            .repeat_ends
            .iter()
            .filter(|(at, listed)| at == expires && listed == field);
        let count = listed.count();
        problems.check(count == 1, || {
            format!("I28: the mark {field:02x?} is listed {count} times to be forgotten at {expires}")
        });
    }
}

/// Whether the task is one that holds this key until its first grant or its end, and these are yet to come.
fn holds(raw: &Raw, task: &Task, hold: &Hold, key: &str) -> bool {
    let id = &hold.holder;
    let over = raw.results.contains_key(id) || raw.dead.contains_key(id);
    let granted = raw.leased.contains_key(id) || raw.mutables.get(id).is_some_and(|m| m.grants > 0);
    match &task.unique {
        Some(('l', own)) => own == key && !over && !granted,
        Some(('f', own)) => own == key && !over,
        _ => false,
    }
}

#[allow(clippy::cast_precision_loss)] // Milliseconds stay below 2^53.
fn ms(at: u64) -> f64 {
    at as f64
}

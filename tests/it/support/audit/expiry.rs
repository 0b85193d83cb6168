//! The index of expiry times has every waiting task with such a time, and no task that is leased or finished.

use std::collections::BTreeMap;

use leaseq::domain::TaskId;

use super::Problems;
use super::raw::Raw;
use super::states::is_live_fresh;

pub fn check(raw: &Raw, problems: &mut Problems) {
    let waits = |id: &TaskId| {
        let elsewhere = [&raw.leased, &raw.dead];
        !raw.results.contains_key(id) && elsewhere.iter().all(|index| !index.contains_key(id))
    };
    let tasks = raw.tasks.iter().filter(|(id, _)| waits(id));
    #[allow(clippy::cast_precision_loss)] // Milliseconds stay below 2^53.
    let expected: BTreeMap<TaskId, f64> = tasks
        .filter_map(|(id, task)| Some((*id, task.expires_at? as f64)))
        .collect();
    for (id, at) in &expected {
        let indexed = raw.expiry.get(id);
        problems.check(indexed == Some(at), || {
            format!("I4: {id} expires at {at}, the index says {indexed:?}")
        });
    }
    for id in raw.expiry.keys().filter(|id| !expected.contains_key(id)) {
        problems.check(false, || {
            format!("I4: {id} does not wait to expire, and is in the index")
        });
    }
    for (lane, entries) in &raw.fresh {
        for entry in entries.iter().filter(|entry| is_live_fresh(raw, entry)) {
            let expires = raw.tasks.get(&entry.id).and_then(|task| task.expires_at);
            problems.check(expires.is_none(), || {
                format!(
                    "I4: {} may expire and lies where it cannot be taken out, in {lane:?}",
                    entry.id
                )
            });
        }
    }
}

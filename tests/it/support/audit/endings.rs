//! I25: what is kept of finished tasks agrees with itself; repeated lease calls leave what can be found
//! again.

use std::collections::BTreeSet;

use super::Problems;
use super::raw::Raw;

pub fn check(raw: &Raw, problems: &mut Problems) {
    let done: BTreeSet<_> = raw.done.iter().map(|done| done.id).collect();
    problems.check(done.len() == raw.done.len(), || {
        "I25: a finished task is kept twice".to_owned()
    });
    for done in &raw.done {
        match raw.results.get(&done.id) {
            None => problems.check(false, || format!("I25: {} is kept without a result", done.id)),
            Some((letter, at)) => {
                problems.check(
                    "cx".contains(*letter) && !raw.linger.contains_key(&done.id),
                    || format!("I25: {} ended as {letter:?}", done.id),
                );
                problems.check(*at == done.at, || {
                    format!("I25: {} ended at {at} and at {}", done.id, done.at)
                });
            }
        }
    }
    for (id, (letter, _)) in raw.results.iter().filter(|(id, _)| !done.contains(id)) {
        problems.check(raw.linger.contains_key(id), || {
            format!("I25: the result of {id} would be kept for ever")
        });
        problems.check("cxd".contains(*letter), || {
            format!("I25: {id} ended as {letter:?}")
        });
    }
    for id in raw.linger.keys().filter(|id| !raw.results.contains_key(id)) {
        problems.check(false, || format!("I25: {id} lingers and did not end"));
    }
    let (counted, bytes) = (
        raw.number("done_bytes"),
        raw.done.iter().map(|done| done.bytes).sum::<u64>(),
    );
    problems.check(counted == bytes, || {
        format!("I25: {bytes} bytes are kept, {counted} counted")
    });
    let (since, oldest) = (raw.number("done_since"), raw.done.first().map(|done| done.at));
    problems.check(oldest.is_none_or(|oldest| since <= oldest), || {
        format!("I25: nothing is looked at until {since} has aged, but {oldest:?} is kept")
    });

    let requests: BTreeSet<_> = raw.requests.iter().collect();
    let ends: BTreeSet<_> = raw.request_ends.keys().collect();
    problems.check(requests == ends, || {
        format!("I28: requests {requests:?} and their ends {ends:?} disagree")
    });
}

//! I14: what the bounds of dead letters and their groups count is what there is.

use std::collections::BTreeSet;

use super::Problems;
use super::raw::Raw;

pub fn check(raw: &Raw, problems: &mut Problems) {
    let dead: BTreeSet<_> = raw.dead.keys().collect();
    let letters: BTreeSet<_> = raw.letters.keys().collect();
    problems.check(dead == letters, || {
        format!("I14: {dead:?} are dead, {letters:?} have a fingerprint")
    });
    for (id, (bytes, _)) in &raw.letters {
        let size = raw.sizes.get(id).copied().unwrap_or(0);
        problems.check(*bytes == size, || {
            format!("I14: dead letter {id} has {size} bytes, {bytes} are counted")
        });
    }
    let bytes: u64 = raw.letters.values().map(|(bytes, _)| bytes).sum();
    let counted = raw.number("dead_bytes");
    problems.check(counted == bytes, || {
        format!("I14: dead letters have {bytes} bytes, {counted} are counted")
    });

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Whole ms.
    let alike: BTreeSet<_> = raw
        .letters
        .iter()
        .filter_map(|(id, (_, print))| Some((print.clone(), *raw.dead.get(id)? as u64, *id)))
        .collect();
    problems.check(alike == raw.alike, || {
        format!("I14: groups count {:?}, there are {alike:?}", raw.alike)
    });
    let prints: BTreeSet<_> = raw.letters.values().map(|(_, print)| print.as_str()).collect();
    let known: BTreeSet<_> = raw.prints.keys().map(String::as_str).collect();
    let named: BTreeSet<_> = prints.into_iter().filter(|print| *print != "other").collect();
    problems.check(named == known, || {
        format!("I28: groups {known:?} are kept, {named:?} have dead letters")
    });
    for (print, of) in &raw.prints {
        problems.check(print == of, || format!("I14: group {print} is of {of}"));
    }
}

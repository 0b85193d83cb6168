//! The auditor: reads the raw keys of one queue and says where they disagree.
//!
//! It shares no code with the scripts: it decodes what lies in Redis by the layout that `lua/task.lua` and
//! `store/keys.rs` describe, and checks I3 (conservation) and I4 (index agreement) from the bytes alone.
//! For a queue at rest; what it reads comes in two round trips.

use crate::support::redis::Redis;

mod deaths;
mod endings;
mod expiry;
mod gates;
mod guards;
mod lanes;
mod raw;
mod states;

use raw::Raw;

/// Everything that is wrong with a queue, in words; empty for a sound one, and for one that does not exist.
pub fn audit(redis: &Redis, queue: &str) -> Vec<String> {
    let raw = Raw::read(redis, queue);
    let mut problems = Problems::default();
    if !raw.exists() {
        problems.check(raw.is_empty(), || {
            "keys of a queue that does not exist".to_owned()
        });
        return problems.0;
    }
    states::check(&raw, &mut problems);
    lanes::check(&raw, &mut problems);
    deaths::check(&raw, &mut problems);
    gates::check(&raw, &mut problems);
    endings::check(&raw, &mut problems);
    guards::check(&raw, &mut problems);
    expiry::check(&raw, &mut problems);
    problems.0
}

/// Fails the test with every problem of the queue.
#[track_caller]
pub fn assert_sound(redis: &Redis, queue: &str) {
    let problems = audit(redis, queue);
    assert!(
        problems.is_empty(),
        "queue {queue} is unsound:\n  {}",
        problems.join("\n  ")
    );
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn check(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.0.push(problem());
        }
    }
}

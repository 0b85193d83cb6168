//! Log lines about failed requests: every kind is told of, no storm fills the disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::problem::Code;

/// Lines of one code in one second. Of our own mistakes each should be found under the id that its caller was given;
/// of the others, a store that is down for example, one line says what thousands would.
const fn lines_per_second(code: Code) -> u64 {
    match code {
        Code::Internal => 50,
        _ => 1,
    }
}

/// What was logged lately, by code.
pub(super) struct FailureLog {
    began: Instant,
    slots: [Slot; Code::ALL.len()],
}

#[derive(Default)]
struct Slot {
    second: AtomicU64,
    lines: AtomicU64,
    swallowed: AtomicU64,
}

impl FailureLog {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            slots: std::array::from_fn(|_| Slot::default()),
        }
    }

    /// Whether a line may be written; if so, how many were swallowed before it.
    pub(super) fn line(&self, code: Code) -> Option<u64> {
        // From 1, because 0 is what slots begin with.
        self.line_at(code, self.began.elapsed().as_secs() + 1)
    }

    /// Counts are exact enough for a log: a race may let a line more through.
    fn line_at(&self, code: Code, second: u64) -> Option<u64> {
        let slot = &self.slots[code as usize];
        if slot.second.swap(second, Ordering::Relaxed) != second {
            slot.lines.store(0, Ordering::Relaxed);
        }
        if slot.lines.fetch_add(1, Ordering::Relaxed) < lines_per_second(code) {
            Some(slot.swallowed.swap(0, Ordering::Relaxed))
        } else {
            slot.swallowed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_one_line_a_second_that_says_how_many_it_stands_for() {
        let log = FailureLog::new();
        assert_eq!(log.line_at(Code::StoreUnavailable, 1), Some(0));
        for _ in 0..999 {
            assert_eq!(log.line_at(Code::StoreUnavailable, 1), None);
        }
        assert_eq!(log.line_at(Code::StoreUnavailable, 2), Some(999));
        assert_eq!(
            log.line_at(Code::StoreFull, 2),
            Some(0),
            "codes do not hide each other"
        );
    }
}

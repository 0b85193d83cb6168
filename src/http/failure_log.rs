//! Log lines about failed requests: every kind is logged, and no storm fills the disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::problem::Code;

/// Log lines per code and second. Each internal error should be found under its request id. For others, such
/// as a store that is down, one line is as good as thousands.
const fn lines_per_second(code: Code) -> u64 {
    match code {
        Code::Internal => 50,
        _ => 1,
    }
}

/// The lines that were logged recently, by code.
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

    /// Returns `None` if the line must not be written; otherwise how many lines were suppressed before it.
    pub(super) fn line(&self, code: Code) -> Option<u64> {
        // Counted from 1, because slots start with 0.
        self.line_at(code, self.began.elapsed().as_secs() + 1)
    }

    /// A race may let one more line through, which is exact enough for a log.
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

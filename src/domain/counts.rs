//! The counts of a queue: the one list of them.

use std::ops::AddAssign;

macro_rules! counts {
    ($($(#[$doc:meta])* $field:ident,)+) => {
        /// Counts of one queue from one snapshot, or their sums over queues: tasks by state, and totals since
        /// the creation of the queue. `ops/overview.lua` writes them in this order.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $field: u64,)+
        }

        impl Counts {
            /// Reads all counts in order.
            ///
            /// # Errors
            /// The first error of `next`.
            pub fn read<E>(mut next: impl FnMut() -> Result<u64, E>) -> Result<Self, E> {
                Ok(Self { $($field: next()?,)+ })
            }
        }

        impl AddAssign for Counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)+
            }
        }
    };
}

counts! {
    ready,
    /// Ready tasks that a limit, a hold or a breaker blocks. Exact up to 128 lanes, a lower bound beyond.
    held,
    /// Names whose breaker is open. A lower bound once more than 1,000 breakers have state.
    breakers_open,
    breakers_half_open,
    scheduled,
    leased,
    dead,
    /// Bytes of scheduled, ready and leased tasks: records and payloads.
    unfinished_bytes,
    accepted_total,
    completed_total,
    cancelled_total,
    purged_total,
    dead_evicted_total,
    dead_aged_total,
    replayed_total,
    duplicates_total,
    leases_expired_total,
    /// Marks of requests with an `Idempotency-Key` that were dropped before their time.
    idempotency_dropped_total,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_in_order_and_added_field_by_field() {
        let mut numbers = 1..;
        let mut counts = Counts::read(|| numbers.next().ok_or(())).unwrap();
        assert_eq!(
            (counts.ready, counts.dead, counts.idempotency_dropped_total),
            (1, 7, 18)
        );
        counts += counts;
        assert_eq!(
            (counts.ready, counts.dead, counts.idempotency_dropped_total),
            (2, 14, 36)
        );
    }
}

//! Checkers: pure functions from a history to what is wrong with it, in words that begin with the invariant.
//!
//! They allow whatever the clients' clocks cannot exclude, and nothing else. Times by the clock of Redis in a
//! response (grant, end of a lease) are compared exactly. Each is tried on good and bad histories written by
//! hand: a checker that cannot fail proves nothing.

mod acks;
mod attempts;
mod best;
mod clocks;
mod gates;
mod leases;
mod limits;
mod order;
mod probes;
mod queue;
mod requests;
mod turns;

#[cfg(test)]
mod by_hand;

pub(super) use clocks::one_time;
pub(super) use gates::times_shut;
pub(super) use limits::{Limit, Of, at_its_rate, no_more_at_once};
pub(super) use probes::{Failing, count as probes, one_at_a_time};
pub(super) use turns::{Lost, fair_share, fair_share_but_for};

use super::history::History;

type Checker = fn(&History) -> Vec<String>;

/// The properties that hold under every fault that the durability level must survive.
const ALWAYS: &[Checker] = &[
    queue::nothing_absurd,
    queue::nothing_lost,
    queue::nothing_invented,
    leases::ids_are_unique,
    leases::one_live_lease_per_task,
    leases::only_the_latest_settles,
    leases::never_early,
    acks::ack_is_final,
    acks::repeats_say_already,
    attempts::bounded,
    order::first_come_first_served,
    requests::repeats_give_the_same,
    gates::nothing_passes_a_shut_gate,
];

/// The properties that hold if no gate blocks anything, so that every ready task is eligible.
pub(super) fn breaches_of_order(history: &History) -> Vec<String> {
    best::best_of_its_group_first(history)
}

/// Every breach, or none.
pub(super) fn breaches(history: &History) -> Vec<String> {
    ALWAYS.iter().flat_map(|check| check(history)).collect()
}

//! Histories: concurrent clients over replicas of the service, somebody who breaks things meanwhile, and
//! checkers that read afterwards what everybody was told.
//!
//! `LEASEQ_HISTORY_SECONDS` makes each one longer, `LEASEQ_HISTORY_SEED` repeats the choices of one that
//! failed (not its timing, which is the machine's).

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

mod answers;
mod check;
mod crew;
mod fleet;
mod history;
mod phone;
mod power;
pub(crate) mod proxy;
mod run;

mod calm;
mod gated;
mod kills;
mod late;
mod outages;
mod stops;
mod terminated;
mod wires;

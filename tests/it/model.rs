//! The semantics of a queue, as a program: what each operation means, without a thought for how Redis does
//! it.
//!
//! Read [`task`] for the states, [`turns`] for fair share, [`queue`] for order, [`unique`] and [`repeats`]
//! for what is made once, [`grant`] and [`settle`] for what workers do, [`pause`] for what operators stop,
//! [`housekeeping`] and [`expiry`] for what time does. The rest sets the model beside the real scripts on a
//! set clock: histories of random steps ([`step`]), taken by both ([`history`]), must give the same answers
//! and the same visible state after every step, and leave a queue in which the auditor finds nothing (I3,
//! I4).
//!
//! `PROPTEST_CASES=5000 cargo test --test it model` looks longer. A history that fails shrinks to a short
//! one; it belongs into [`promises`], under the name of what it broke.

mod answer;
mod breaker;
mod dead;
mod expiry;
mod follow;
mod gates;
mod grant;
mod history;
mod housekeeping;
mod live;
mod look;
mod marks;
mod operate;
mod operated;
mod pause;
mod promises;
mod queue;
mod repeats;
mod seen;
mod settle;
mod step;
mod task;
mod turns;
mod unique;
mod world;

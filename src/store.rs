//! What Redis remembers.

pub mod embedded;

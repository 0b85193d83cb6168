//! One integration-test binary: real Redis always, names are promises.

mod engine;
// In a test binary `pub` means: for the other files of the suite.
#![allow(unreachable_pub)]

mod auditor;
mod scripts;
mod support;

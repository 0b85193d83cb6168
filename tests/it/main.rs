//! One integration-test binary: real Redis always, names are promises.

// In a test binary `pub` means: for the other files of the suite.
#![allow(unreachable_pub)]
// How much a test keeps while it waits is nobody's concern.
#![expect(clippy::large_futures)]

mod auditor;
mod engine;
mod explain;
mod histories;
mod http;
mod model;
mod process;
mod scripts;
mod support;
mod verify;

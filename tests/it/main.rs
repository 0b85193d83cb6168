//! One integration-test binary: real Redis always, names are promises.

mod engine;
mod scripts;
mod support;

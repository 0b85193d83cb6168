//! One integration-test binary: real Redis always, names are promises.

mod scripts;
mod support;

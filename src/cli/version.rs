//! `leaseq version`.

use super::exit::Exit;
use super::{Done, output};

/// Print the version
#[derive(Debug, clap::Args)]
pub(super) struct Version {}

impl Version {
    #[allow(clippy::unused_self)] // The same shape as every other verb.
    pub(super) fn run(self) -> Done {
        output::line(concat!("leaseq ", env!("CARGO_PKG_VERSION")).as_bytes())?;
        Ok(Exit::Ok)
    }
}

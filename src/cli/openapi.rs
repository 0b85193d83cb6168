//! `leaseq openapi`.

use super::exit::Exit;
use super::{Done, output};
use crate::http;

/// Print the OpenAPI document of this version
///
/// The text is the same as `/openapi.json` of a running service.
#[derive(Debug, clap::Args)]
pub(super) struct Openapi {}

impl Openapi {
    #[allow(clippy::unused_self)] // The same shape as every other verb.
    pub(super) fn run(self) -> Done {
        output::line(http::openapi_text().as_bytes())?;
        Ok(Exit::Ok)
    }
}

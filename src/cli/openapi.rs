//! `leaseq openapi`.

use super::connect::Connect;
use super::exit::Exit;
use super::{Done, output};
use crate::config::Env;

/// Print the OpenAPI document of the service
#[derive(Debug, clap::Args)]
pub(super) struct Openapi {
    #[command(flatten)]
    connect: Connect,
}

impl Openapi {
    pub(super) async fn run(self, env: &Env) -> Done {
        let document = self.connect.api(env)?.get("/openapi.json").await?;
        output::line(&document)?;
        Ok(Exit::Ok)
    }
}

//! `leaseq dlq`.

use clap::Subcommand;

use super::Done;
use crate::config::Env;

mod groups;

/// Look at dead letters
#[derive(Debug, clap::Args)]
pub(super) struct Dlq {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Groups(groups::Groups),
}

impl Dlq {
    pub(super) async fn run(self, env: &Env) -> Done {
        match self.verb {
            Verb::Groups(verb) => verb.run(env).await,
        }
    }
}

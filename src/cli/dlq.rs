//! `leaseq dlq`: dead letters.

mod bulk;
mod export;
mod groups;
mod peek;
mod purge;
mod replay;
mod show;
mod which;

use clap::Subcommand;

use super::Done;
use crate::config::Env;

/// List, show, replay, purge and export dead letters
#[derive(Debug, clap::Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Dlq {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Peek(peek::Peek),
    Show(show::Show),
    Replay(replay::Replay),
    Purge(purge::Purge),
    Export(export::Export),
    Groups(groups::Groups),
}

impl Dlq {
    pub(super) async fn run(self, env: &Env) -> Done {
        match self.verb {
            Verb::Peek(verb) => verb.run(env).await,
            Verb::Show(verb) => verb.run(env).await,
            Verb::Replay(verb) => verb.run(env).await,
            Verb::Purge(verb) => verb.run(env).await,
            Verb::Export(verb) => verb.run(env).await,
            Verb::Groups(verb) => verb.run(env).await,
        }
    }
}

//! `leaseq __leash`, the verb that starts the embedded Redis: see [`crate::store::embedded::leash`].

use std::ffi::OsString;
use std::path::PathBuf;

use super::Done;
use super::exit::{Exit, Failure};
use crate::app::leash;

/// Become a program that dies with its parent
#[derive(Debug, clap::Args)]
pub(super) struct Leash {
    #[arg(long)]
    parent: u32,
    #[arg(long)]
    lock: PathBuf,
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

impl Leash {
    pub(super) fn run(self) -> Done {
        let Some((program, args)) = self.program.split_first() else {
            return Err(Failure::usage("a program is needed"));
        };
        let problem = leash::become_child(self.parent, &self.lock, program.as_ref(), args);
        Err(Failure::new(Exit::Error, problem))
    }
}

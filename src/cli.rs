//! The command line. Client verbs use only the public HTTP API.

// `--help` prints the doc comments of arguments on a terminal, where back-ticks are noise.
#![allow(clippy::doc_markdown)]

mod ack;
#[cfg(feature = "bench")]
mod bench;
mod bulk;
mod client;
mod config;
mod connect;
mod dlq;
mod doctor;
mod duration;
mod enqueue;
mod exit;
mod extend;
mod input;
mod lease;
mod leash;
mod nack;
mod openapi;
mod output;
mod paging;
mod query;
mod queues;
// The reference describes the default build, which contains every verb.
#[cfg(test)]
#[cfg(feature = "bench")]
mod reference;
mod release;
mod serve;
mod stats;
mod task;
mod verify;
mod version;
mod work;
mod workers;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Env;
use exit::{Exit, Failure};

/// A task queue that any language can use over plain HTTP
#[derive(Debug, Parser)]
#[command(name = "leaseq", version, after_help = exit::help(), disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Enqueue(enqueue::Enqueue),
    Lease(lease::Lease),
    Ack(ack::Ack),
    Nack(nack::Nack),
    Extend(extend::Extend),
    Release(release::Release),
    Work(work::Work),
    Stats(stats::Stats),
    Workers(workers::Workers),
    Dlq(dlq::Dlq),
    Verify(verify::Verify),
    Doctor(doctor::Doctor),
    Task(task::Task),
    Queues(queues::Queues),
    #[cfg(feature = "bench")]
    Bench(bench::Args),
    Config(config::Config),
    Openapi(openapi::Openapi),
    Version(version::Version),
    #[command(name = crate::app::leash::SUBCOMMAND, hide = true)]
    Leash(leash::Leash),
    #[command(name = work::watchdog::SUBCOMMAND, hide = true)]
    Watchdog(work::watchdog::Watchdog),
    #[command(name = work::gate::SUBCOMMAND, hide = true)]
    Gate(work::gate::Gate),
}

type Done = Result<Exit, Failure>;

/// Parses the arguments of the process, runs the verb, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap also returns `--help` and `--version` as errors, for stdout. A closed pipe is no failure.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    match cli.command.run(&Env::process()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "{failure}");
            failure.exit.into()
        }
    }
}

impl Command {
    fn run(self, env: &Env) -> Done {
        match self {
            Self::Serve(verb) => verb.run(env),
            Self::Config(verb) => verb.run(env),
            Self::Openapi(verb) => verb.run(),
            Self::Version(verb) => verb.run(),
            Self::Leash(verb) => verb.run(),
            Self::Watchdog(verb) => verb.run(),
            Self::Gate(verb) => verb.run(),
            Self::Enqueue(verb) => on_one_thread(verb.run(env)),
            Self::Lease(verb) => on_one_thread(verb.run(env)),
            Self::Ack(verb) => on_one_thread(verb.run(env)),
            Self::Nack(verb) => on_one_thread(verb.run(env)),
            Self::Extend(verb) => on_one_thread(verb.run(env)),
            Self::Release(verb) => on_one_thread(verb.run(env)),
            Self::Work(verb) => on_one_thread(verb.run(env)),
            Self::Stats(verb) => on_one_thread(verb.run(env)),
            Self::Workers(verb) => on_one_thread(verb.run(env)),
            Self::Dlq(verb) => on_one_thread(verb.run(env)),
            Self::Verify(verb) => on_one_thread(verb.run(env)),
            Self::Doctor(verb) => on_one_thread(verb.run(env)),
            Self::Task(verb) => on_one_thread(verb.run(env)),
            Self::Queues(verb) => on_one_thread(verb.run(env)),
            #[cfg(feature = "bench")]
            Self::Bench(args) => on_one_thread(bench::run(args)),
        }
    }
}

/// Runs a client verb on one thread. Such verbs wait more than they compute.
fn on_one_thread(verb: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Error, format!("cannot start the runtime: {error}")))?;
    let done = runtime.block_on(verb);
    // An abandoned read of stdin must not delay the exit.
    runtime.shutdown_background();
    done
}

//! The options of `leaseq bench`.

// `--help` prints these doc comments on a terminal, where back-ticks are noise.
#![allow(clippy::doc_markdown)]

use super::mode::Mode;
use super::payload::PayloadSize;
use super::report::Settings;
use super::requests::Recipe;
use super::target::Target;
use super::watch::RedisAddress;
use std::io::Result;
use std::path::PathBuf;
use std::time::Duration;

const LATENCY_PRODUCERS: usize = 4;
const LATENCY_WORKERS: usize = 8;

/// Measure a running service with load
///
/// Creates its own queues and deletes them at the end, unless you name one with --queue. The generator runs
/// on threads of its own; leave it a core or two. Exits with 1 if there were errors.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kind of load
    #[arg(value_enum, default_value_t = Mode::Cycle)]
    pub(super) mode: Mode,
    /// Address of the service, plain HTTP only
    #[arg(long, env = "LEASEQ_URL", default_value = "http://127.0.0.1:8080")]
    pub(super) url: Target,
    /// File with the API key; by default LEASEQ_API_KEY
    #[arg(long)]
    pub(super) api_key_file: Option<PathBuf>,
    /// Name of the queue, or prefix of the names of several; by default a new one, which is deleted at the
    /// end
    #[arg(long)]
    pub(super) queue: Option<String>,
    /// Number of queues, used in turn
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) queues: u32,
    /// Connections
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) connections: u32,
    /// Connections that only enqueue (cycle, latency); overrides --connections
    #[arg(long, requires = "workers", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) producers: Option<u32>,
    /// Connections that only lease and ack (cycle, latency)
    #[arg(long, requires = "producers", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) workers: Option<u32>,
    /// Number of waiting workers (idle)
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) waiters: u32,
    /// Tasks in each request
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) batch: u64,
    /// Size of a payload, such as 200, or 150..250 for evenly spread sizes
    #[arg(long, default_value = "200")]
    pub(super) payload_bytes: PayloadSize,
    /// Stop after this many tasks
    #[arg(long, default_value_t = 1_000_000)]
    pub(super) tasks: u64,
    /// Stop after this many seconds, warm-up not included
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub(super) seconds: Duration,
    /// Seconds at the start that are not measured
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    pub(super) warmup_seconds: Duration,
    /// Tasks to enqueue before the measurement
    #[arg(long, default_value_t = 0)]
    pub(super) backlog: u64,
    /// Tasks per second, sent on schedule even if responses are slow (latency)
    #[arg(long, default_value_t = 200.0)]
    pub(super) rate: f64,
    /// Send acks with the next lease request
    #[arg(long)]
    pub(super) settle_in_lease: bool,
    /// Number of task names, used in turn
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) names: u64,
    /// Number of groups, used in turn; with 0 tasks have no group
    #[arg(long, default_value_t = 0)]
    pub(super) groups: u64,
    /// Enqueue scheduled tasks with this delay
    #[arg(long)]
    pub(super) delay_seconds: Option<f64>,
    /// Length of the leases
    #[arg(long)]
    pub(super) lease_seconds: Option<f64>,
    /// Threads of the load generator
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) threads: u32,
    /// Process id of the service, to measure its memory (idle)
    #[arg(long)]
    pub(super) server_pid: Option<u32>,
    /// Redis of the service, to count the commands that it receives (idle)
    #[arg(long)]
    pub(super) redis: Option<RedisAddress>,
    /// Tasks to enqueue at the end, to check that each reaches a waiting worker (idle)
    #[arg(long, default_value_t = 10)]
    pub(super) probes: u64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("must be at most a day".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

impl Args {
    /// Returns the number of connections, and how many of them only enqueue. These come first.
    pub(super) fn connections(&self) -> (usize, usize) {
        match (self.mode, self.producers, self.workers) {
            (Mode::Cycle | Mode::Latency, Some(producers), Some(workers)) => {
                ((producers + workers) as usize, producers as usize)
            }
            (Mode::Latency, ..) => (LATENCY_PRODUCERS + LATENCY_WORKERS, LATENCY_PRODUCERS),
            _ => (self.connections as usize, 0),
        }
    }

    pub(super) fn recipe(&self) -> Result<Recipe> {
        let api_key = match &self.api_key_file {
            Some(file) => Some(std::fs::read_to_string(file)?.trim().to_owned()),
            None => std::env::var("LEASEQ_API_KEY").ok(),
        };
        Ok(Recipe {
            host: self.url.host().to_owned(),
            api_key,
            payload: self.payload_bytes,
            names: self.names,
            groups: self.groups,
            delay_seconds: self.delay_seconds,
            lease_seconds: self.lease_seconds,
        })
    }

    pub(super) fn settings(&self, connections: usize, producers: usize) -> Settings {
        Settings {
            url: self.url.to_string(),
            queues: self.queues as usize,
            connections,
            producers,
            workers: if producers > 0 { connections - producers } else { 0 },
            threads: self.threads as usize,
            batch: self.batch,
            settle_in_lease: self.settle_in_lease,
            payload_bytes: self.payload_bytes.to_string(),
            backlog: self.backlog,
            names: self.names,
            groups: self.groups,
            warmup_seconds: self.warmup_seconds.as_secs_f64(),
            tasks_per_second_asked: (self.mode == Mode::Latency).then_some(self.rate),
        }
    }
}

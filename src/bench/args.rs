//! What can be asked of `leaseq bench`.

use super::payload::PayloadSize;
use super::report::Settings;
use super::requests::Recipe;
use super::target::Target;
use super::watch::RedisAddress;
use clap::ValueEnum;
use serde::Serialize;
use std::io::Result;
use std::path::PathBuf;
use std::time::Duration;

const LATENCY_PRODUCERS: usize = 4;
const LATENCY_WORKERS: usize = 8;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Producers only.
    Enqueue,
    /// Lease and leave leased.
    Lease,
    /// Lease and ack until the queues are empty.
    Drain,
    /// Enqueue, lease and ack: on each connection in turn, or apart with --producers and --workers.
    Cycle,
    /// Enqueue at a fixed rate; the time until a waiting worker has the task.
    Latency,
    /// Many waiting workers and no tasks.
    Idle,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_enum, default_value_t = Mode::Cycle)]
    pub(super) mode: Mode,
    /// The service, plain HTTP.
    #[arg(long, env = "LEASEQ_URL", default_value = "http://127.0.0.1:8080")]
    pub(super) url: Target,
    /// A file with the API key; without it, the one in `LEASEQ_API_KEY`.
    #[arg(long)]
    pub(super) api_key_file: Option<PathBuf>,
    /// The queue, or what the names of several begin with; by default a new one, deleted in the end.
    #[arg(long)]
    pub(super) queue: Option<String>,
    /// How many queues the requests go round.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) queues: u32,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) connections: u32,
    /// Connections that only enqueue (cycle, latency); --connections then does not count.
    #[arg(long, requires = "workers", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) producers: Option<u32>,
    /// Connections that only lease and ack (cycle, latency).
    #[arg(long, requires = "producers", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) workers: Option<u32>,
    /// Waiting workers (idle).
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(super) waiters: u32,
    /// Tasks per request.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) batch: u64,
    /// Size of a payload, such as 200, or 150..250 for an even spread.
    #[arg(long, default_value = "200")]
    pub(super) payload_bytes: PayloadSize,
    /// Stop after so many tasks.
    #[arg(long, default_value_t = 1_000_000)]
    pub(super) tasks: u64,
    /// Stop after so many seconds, not counting the warm-up.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub(super) seconds: Duration,
    /// What happens in the first seconds is not counted.
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    pub(super) warmup_seconds: Duration,
    /// Tasks to lay down before the measurement.
    #[arg(long, default_value_t = 0)]
    pub(super) backlog: u64,
    /// Tasks per second, sent on time whatever the answers take (latency).
    #[arg(long, default_value_t = 200.0)]
    pub(super) rate: f64,
    /// Acks travel with the next lease.
    #[arg(long)]
    pub(super) settle_in_lease: bool,
    /// Task names that the tasks go round.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) names: u64,
    /// Groups that the tasks go round; 0: tasks have none.
    #[arg(long, default_value_t = 0)]
    pub(super) groups: u64,
    /// Enqueue scheduled tasks.
    #[arg(long)]
    pub(super) delay_seconds: Option<f64>,
    /// Ask for leases of this length.
    #[arg(long)]
    pub(super) lease_seconds: Option<f64>,
    /// Threads of the generator.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) threads: u32,
    /// The server's process, to measure its memory (idle).
    #[arg(long)]
    pub(super) server_pid: Option<u32>,
    /// The server's Redis, to count the commands it gets (idle).
    #[arg(long)]
    pub(super) redis: Option<RedisAddress>,
    /// Tasks enqueued at the end, to see that they reach a waiting worker (idle).
    #[arg(long, default_value_t = 10)]
    pub(super) probes: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("at most a day".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

impl Args {
    /// How many connections there are, and how many of the first only produce.
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

//! The Redis ceiling: calls `bench/reference/*.lua` directly over a unix socket.
//!
//! One thread drives all connections, so that Redis has the other core to itself. Prints one JSON object:
//! tasks per second, and microseconds of Redis for each task as `INFO commandstats` counts them for
//! `evalsha`.

mod plain;
mod resp;

use clap::{Parser, ValueEnum};
use plain::{Plain, Shape};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

/// Tasks in each call while the backlog is enqueued, which is not measured.
const BACKLOG_BATCH: usize = 200;
const BACKLOG_CONNECTIONS: usize = 4;

#[derive(Parser)]
struct Args {
    /// Unix socket of a Redis that may be overwritten
    #[arg(long)]
    socket: PathBuf,
    /// Tasks in each script call
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch: u64,
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1000))]
    connections: u64,
    /// Stop after about this many tasks
    #[arg(long, default_value_t = 100_000)]
    tasks: u64,
    /// Stop each phase after this many seconds at the latest
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Tasks to enqueue before the measurement
    #[arg(long, default_value_t = 0)]
    backlog: u64,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=65536))]
    payload_bytes: u64,
    #[arg(long, value_enum, default_value_t = Pattern::Mixed)]
    pattern: Pattern,
    /// Prefix of the keys, which are deleted before and after the run
    #[arg(long, default_value = "bare")]
    prefix: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Pattern {
    /// Enqueue, lease and ack in turn on every connection
    Mixed,
    /// First enqueue on all connections, then lease, then ack
    Phases,
}

/// The outcome of a phase, or of the whole mix.
#[derive(Serialize)]
struct Sample {
    phase: &'static str,
    tasks: u64,
    elapsed_seconds: f64,
    tasks_per_second: f64,
    server_us_per_task: f64,
}

#[derive(Serialize)]
struct Report {
    pattern: Pattern,
    batch: u64,
    connections: u64,
    backlog: u64,
    payload_bytes: u64,
    samples: Vec<Sample>,
    /// Full cycles; for phases that ran one after the other, the harmonic sum.
    cycles_per_second: f64,
    server_us_per_cycle: f64,
}

fn main() -> std::process::ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bare: no runtime: {error}");
            return std::process::ExitCode::FAILURE;
        }
    };
    match LocalSet::new().block_on(&runtime, measure(Args::parse())) {
        Ok(report) => {
            println!(
                "{}",
                serde_json::to_string(&report).expect("plain numbers and words serialise")
            );
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bare: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn measure(args: Args) -> std::io::Result<Report> {
    let mut control = resp::Connection::open(&args.socket).await?;
    let shape = Shape {
        socket: args.socket,
        prefix: args.prefix,
        payload: vec![b'x'; args.payload_bytes as usize],
        scripts: plain::load(&mut control).await?,
    };
    let plain = Plain::new(shape);
    plain.clear(&mut control).await?;
    plain
        .enqueue(
            BACKLOG_CONNECTIONS,
            BACKLOG_BATCH,
            args.backlog,
            Duration::from_secs(600),
        )
        .await?;

    let (connections, batch) = (args.connections as usize, args.batch as usize);
    let bound = Duration::from_secs_f64(args.seconds);
    let mut samples = Vec::new();
    match args.pattern {
        Pattern::Mixed => {
            let clock = Clock::start("cycle", &mut control).await?;
            let tasks = plain.cycle(connections, batch, args.tasks, bound).await?;
            samples.push(clock.stop(tasks, &mut control).await?);
        }
        Pattern::Phases => {
            let clock = Clock::start("enqueue", &mut control).await?;
            let tasks = plain.enqueue(connections, batch, args.tasks, bound).await?;
            samples.push(clock.stop(tasks, &mut control).await?);
            let clock = Clock::start("lease", &mut control).await?;
            let leased = plain.lease(connections, batch, tasks, bound).await?;
            samples.push(
                clock
                    .stop(leased.iter().map(|ids| ids.len() as u64).sum(), &mut control)
                    .await?,
            );
            let clock = Clock::start("ack", &mut control).await?;
            let tasks = plain.ack(batch, leased).await?;
            samples.push(clock.stop(tasks, &mut control).await?);
        }
    }
    plain.clear(&mut control).await?;
    Ok(Report {
        pattern: args.pattern,
        batch: args.batch,
        connections: args.connections,
        backlog: args.backlog,
        payload_bytes: args.payload_bytes,
        cycles_per_second: 1.0 / samples.iter().map(|s| 1.0 / s.tasks_per_second).sum::<f64>(),
        server_us_per_cycle: samples.iter().map(|s| s.server_us_per_task).sum(),
        samples,
    })
}

/// Measures a phase in this process and in Redis.
struct Clock {
    phase: &'static str,
    started: Instant,
}

impl Clock {
    async fn start(phase: &'static str, control: &mut resp::Connection) -> std::io::Result<Self> {
        control.command(&[b"CONFIG", b"RESETSTAT"]).await?;
        Ok(Self {
            phase,
            started: Instant::now(),
        })
    }

    async fn stop(self, tasks: u64, control: &mut resp::Connection) -> std::io::Result<Sample> {
        let elapsed_seconds = self.started.elapsed().as_secs_f64();
        let stats = control.command(&[b"INFO", b"commandstats"]).await?;
        let usec = stats.bytes().and_then(evalsha_usec).unwrap_or(0);
        let tasks_of = tasks.max(1) as f64;
        Ok(Sample {
            phase: self.phase,
            tasks,
            elapsed_seconds,
            tasks_per_second: tasks as f64 / elapsed_seconds,
            server_us_per_task: usec as f64 / tasks_of,
        })
    }
}

/// Returns the time that Redis spent in scripts, from the text of `INFO commandstats`.
fn evalsha_usec(info: &[u8]) -> Option<u64> {
    let info = std::str::from_utf8(info).ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:"))?;
    line.split(',')
        .find_map(|field| field.strip_prefix("usec="))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn script_time_is_read_from_commandstats() {
        let info = b"# Commandstats\r\ncmdstat_hset:calls=9,usec=7\r\ncmdstat_evalsha:calls=3,usec=42,usec_per_call=14.0\r\n";
        assert_eq!(super::evalsha_usec(info), Some(42));
        assert_eq!(super::evalsha_usec(b"# Commandstats\r\n"), None);
    }
}

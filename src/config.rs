//! The settings of the service: flags over `LEASEQ_*` variables over a TOML file over defaults.
//!
//! [`settings::SETTINGS`] is the only list of keys: flags, variables, keys of the file, `leaseq config` and
//! the reference are derived from it. Values become types here, once, and all mistakes are reported together.
//! The environment is passed in as a map, so that tests never change that of the process.

mod mistakes;
mod redis_url;
pub mod settings;
mod source;
mod sources;
mod values;

use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

pub use mistakes::{Mistake, Mistakes};
pub use redis_url::RedisUrl;
pub use source::Source;
pub use sources::{Env, Flags};

use crate::domain::durability::Level;
use sources::Layers;

/// The checked settings of `leaseq serve`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// With port 0 the system picks a free port.
    pub listen: SocketAddr,
    pub redis: Redis,
    pub durability: Durability,
    pub tls: Option<Tls>,
    /// Everybody who reaches the address may do everything. On a loopback address without keys this is always
    /// so.
    pub insecure_no_auth: bool,
    pub log: LogFormat,
    /// A level, or `target=level` pairs separated by commas.
    pub log_filter: String,
    /// 1..=1,000,000.
    pub max_queues: usize,
    /// Whether an enqueue to an unknown queue creates it.
    pub auto_create: bool,
    /// Client connections at once, 1..=1,000,000. Further ones wait in the listen backlog.
    pub max_connections: usize,
    /// Queues with their own labels in metrics; at most 10,000.
    pub metrics_queues: usize,
    /// Pairs of queue and task name with their own labels; at most 10,000. 0 turns metrics of names off.
    pub metrics_names: usize,
    /// How long requests in flight may take after SIGTERM; at most an hour.
    pub drain: Duration,
}

/// The Redis that keeps the tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redis {
    /// A private redis-server on `data_dir`.
    Embedded {
        data_dir: PathBuf,
        /// The redis-server binary. `None` searches next to our own binary, then in `PATH`.
        redis_server: Option<PathBuf>,
    },
    Url(RedisUrl),
}

/// The durability step that a write response waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Redis has applied the write. A power cut may lose about a second.
    Memory,
    /// The write is in the synced append-only file. On an external Redis the store must verify `appendfsync
    /// always` before it may promise this.
    Fsync,
    /// This many replicas have the write, too.
    Replicated { replicas: NonZeroU8 },
}

impl Durability {
    pub const fn level(self) -> Level {
        match self {
            Self::Memory => Level::Memory,
            Self::Fsync => Level::Fsync,
            Self::Replicated { .. } => Level::Replicated,
        }
    }

    /// Returns the number of replicas that must have a write.
    pub const fn replicas(self) -> Option<NonZeroU8> {
        match self {
            Self::Memory | Self::Fsync => None,
            Self::Replicated { replicas } => Some(replicas),
        }
    }
}

/// The PEM files of the HTTPS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The settings in force, and the source of each.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub effective: Vec<Effective>,
    /// Probable mistakes, such as a variable that differs from a setting's by one letter.
    pub warnings: Vec<String>,
}

/// One line of `leaseq config`. Secrets are already hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub key: String,
    pub value: String,
    pub source: Source,
}

/// Merges the layers and checks the result.
///
/// # Errors
/// All mistakes of all layers, including settings that contradict each other.
pub fn load(flags: &Flags, env: &Env) -> Result<Loaded, Mistakes> {
    let mut layers = Layers::read(flags, env);
    let config = read(&mut layers);
    let warnings = layers.warnings(env);
    let effective = layers.effective(&config);
    layers.into_mistakes().map_or(
        Ok(Loaded {
            config,
            effective,
            warnings,
        }),
        Err,
    )
}

/// Reads all settings. A wrong value is recorded and replaced by the default, so that the rest is checked,
/// too.
fn read(layers: &mut Layers) -> Config {
    let redis = redis(layers);
    let durability = durability(layers, &redis);
    Config {
        listen: listen(layers),
        tls: tls(layers),
        insecure_no_auth: layers.value("insecure-no-auth", values::boolean),
        log: layers.value("log", values::log_format),
        log_filter: layers.value("log-filter", values::log_filter),
        max_queues: layers.value("max-queues", values::count),
        auto_create: layers.value("auto-create", values::boolean),
        max_connections: layers.value("max-connections", values::count),
        metrics_queues: layers.value("metrics-queues", values::labels),
        metrics_names: layers.value("metrics-names", values::labels),
        drain: layers.value("drain-seconds", values::drain),
        redis,
        durability,
    }
}

fn listen(layers: &mut Layers) -> SocketAddr {
    let listen: SocketAddr = layers.value("listen", values::address);
    let open = layers.value("insecure-no-auth", values::boolean);
    if !listen.ip().is_loopback() && !open {
        layers.refuse(
            "listen",
            format!(
                "{listen} can be reached from other machines, and this version has no API keys: \
                 listen on a loopback address behind a proxy that authenticates, \
                 or set --insecure-no-auth to give everybody full access"
            ),
        );
    }
    listen
}

fn redis(layers: &mut Layers) -> Redis {
    if let Some(url) = layers.optional("redis-url", values::redis_url) {
        // A data_dir from a file or from the environment of an image is ignored. Two flags contradict each
        // other.
        if layers.is_flag("redis-url") && layers.is_flag("data-dir") {
            layers.refuse(
                "data-dir",
                "belongs to the embedded Redis: set --data-dir or --redis-url, not both".into(),
            );
        }
        return Redis::Url(url);
    }
    Redis::Embedded {
        data_dir: layers.value("data-dir", values::path),
        redis_server: layers.optional("redis-server", values::path),
    }
}

fn durability(layers: &mut Layers, redis: &Redis) -> Durability {
    let word = layers.optional("durability", values::durability);
    let replicas = layers.optional("replicas", values::replicas);
    let level = word.unwrap_or(match redis {
        Redis::Embedded { .. } => Level::Fsync,
        Redis::Url(_) => Level::Memory,
    });
    match level {
        Level::Replicated => {
            if matches!(redis, Redis::Embedded { .. }) {
                layers.refuse(
                    "durability",
                    "the embedded Redis has no replicas: use fsync, or a Redis of your own with --redis-url"
                        .into(),
                );
            }
            return Durability::Replicated {
                replicas: replicas.unwrap_or(NonZeroU8::MIN),
            };
        }
        _ if replicas.is_some() => layers.refuse(
            "replicas",
            "applies only to durability `replicated`: set that too, or remove replicas".into(),
        ),
        _ => {}
    }
    match level {
        Level::Fsync => Durability::Fsync,
        _ => Durability::Memory,
    }
}

fn tls(layers: &mut Layers) -> Option<Tls> {
    let cert = layers.optional("tls-cert", values::path);
    let key = layers.optional("tls-key", values::path);
    match (cert, key) {
        (Some(cert), Some(key)) => {
            if !cfg!(feature = "tls") {
                layers.refuse("tls-cert", "this binary was built without TLS".into());
            }
            Some(Tls { cert, key })
        }
        (Some(_), None) => {
            layers.refuse("tls-cert", "needs tls_key as well".into());
            None
        }
        (None, Some(_)) => {
            layers.refuse("tls-key", "needs tls_cert as well".into());
            None
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests;

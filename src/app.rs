//! The composition root: the only file that knows all rooms.
//!
//! Start: bind the address, so that an occupied port fails before anything else happens → Redis (the embedded
//! child, or a URL) → store → engine → HTTP → `listening on …`.
//!
//! Shutdown, on SIGTERM, SIGINT or the permanent loss of Redis: stop accepting connections and respond to
//! waiting leases → flush accepted work (both within `drain_seconds`) → stop the embedded child, which is
//! needed until then.

mod process;

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::process::{OTHER_FILES, Process};
use crate::config::{Config, Durability, Redis, RedisUrl};
use crate::domain::checkup::{Check, Verdict};
use crate::engine::{Engine, EngineSettings};
use crate::http::{self, OriginRule, server};
use crate::metrics::{Bounds, Metrics};
use crate::store::embedded::{self, Embedded, EmbeddedError};
use crate::store::{Store, StoreSettings};

// The parts of the store that the command line starts by themselves.
pub use crate::store::embedded::leash;

/// The pause between two tries to reach Redis at the start.
const START_PAUSE: Duration = Duration::from_millis(100);
/// How long the engine has to send its last calls when no request is left.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// The most items in a script call, for measuring the effect of group commit. Not a setting.
const TEST_SCRIPT_ITEMS: &str = "LEASEQ_TEST_SCRIPT_ITEMS";

/// The reason why the service did not start, or stopped. Each text is one sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {}", listen_problem(.error))]
    Listen {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error("cannot receive signals: {0}")]
    Signals(std::io::Error),
    #[error("{0}")]
    Store(String),
    #[error(
        "this Redis does not sync every write, or does not show its settings: set `appendonly yes`, `appendfsync always` and `no-appendfsync-on-rewrite no` there, or choose --durability memory"
    )]
    NoFsync,
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(server::TlsError),
}

fn listen_problem(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program listens there; stop it, or choose another address with --listen IP:PORT".into()
        }
        std::io::ErrorKind::PermissionDenied => {
            "this user may not use that port; choose one above 1023 with --listen IP:PORT".into()
        }
        _ => format!("{error}; choose another address with --listen IP:PORT"),
    }
}

/// The Redis that the store connects to.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// The socket of the embedded child.
    Socket(PathBuf),
    Url(RedisUrl),
}

impl Endpoint {
    /// Returns the URL with its password, for connecting only.
    fn url(&self) -> String {
        match self {
            Self::Socket(path) => format!(
                "redis+unix://{}",
                percent_encode(path.as_os_str().as_bytes(), PATH)
            ),
            Self::Url(url) => url.expose().to_owned(),
        }
    }
}

/// The bytes to escape in the path of a URL. A data directory may have a `?`, `#` or `%` in its name.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Checks a Redis as the service does at its start.
///
/// # Errors
/// If the URL is not one of a Redis; the text says why.
pub async fn check_redis(url: &RedisUrl) -> Result<Vec<Check>, String> {
    let store = Store::new(&StoreSettings::new(url.expose()))?;
    Ok(store.checkup(None).await)
}

/// Runs the service until a signal stops it. Returns `Ok` after an orderly shutdown.
///
/// # Errors
/// The service cannot start, or the embedded Redis is lost permanently.
pub async fn run(mut config: Config) -> Result<(), StartError> {
    let process = Process {
        connections_wanted: config.max_connections,
        data_dir: match &config.redis {
            Redis::Embedded { data_dir, .. } => Some(data_dir.clone()),
            Redis::Url(_) => None,
        },
    };
    config.max_connections = raise_open_files(config.max_connections);
    let stop = stop_on_signals()?;
    let listener = listen(config.listen)?;

    let child = match &config.redis {
        Redis::Url(_) => None,
        Redis::Embedded {
            data_dir,
            redis_server,
        } => {
            let options = embedded::Options {
                redis_server: redis_server.clone(),
                sync: match config.durability {
                    Durability::Memory => embedded::Sync::EverySecond,
                    Durability::Fsync | Durability::Replicated { .. } => embedded::Sync::Always,
                },
                ..embedded::Options::new(data_dir)
            };
            Some(tokio::select! {
                child = Embedded::start(options) => child?,
                () = stop.cancelled() => return Ok(()),
            })
        }
    };
    let endpoint = match (&config.redis, &child) {
        (Redis::Url(url), _) => Endpoint::Url(url.clone()),
        (_, Some(child)) => Endpoint::Socket(child.socket().to_owned()),
        (Redis::Embedded { .. }, None) => unreachable!("an embedded Redis was started above"),
    };

    let lost = async {
        match &child {
            Some(child) => child.failed().await,
            None => std::future::pending().await,
        }
    };
    let served = serve(&config, process, listener, endpoint, stop.clone());
    let mut served = std::pin::pin!(served);
    let outcome = tokio::select! {
        outcome = &mut served => outcome,
        error = lost => {
            tracing::error!(%error, "stopping, because the embedded Redis is lost permanently");
            stop.cancel();
            let _ = served.await;
            Err(error.into())
        }
    };
    if let Some(child) = child {
        child.stop().await;
    }
    outcome
}

/// Connects the store to `endpoint`, starts the engine, serves `listener` until `stop`, and drains within
/// `config.drain`. The service listens before Redis responds: until then it is alive but not ready.
async fn serve(
    config: &Config,
    process: Process,
    listener: TcpListener,
    endpoint: Endpoint,
    stop: CancellationToken,
) -> Result<(), StartError> {
    let store = Store::new(&StoreSettings {
        replicas: config.durability.replicas(),
        ..StoreSettings::new(endpoint.url())
    });
    let store = store.map_err(StartError::Store)?;
    let metrics = Arc::new(Metrics::new(Bounds {
        queues: config.metrics_queues,
        names: config.metrics_names,
    }));
    let api = http::Api::new(Arc::clone(&metrics), OriginRule::of(config.listen));
    api.looks_after(move || process.checks());
    let settings = server::Settings {
        connections_max: config.max_connections,
        drain_deadline: config.drain,
        #[cfg(feature = "tls")]
        tls: tls(config)?,
        ..server::Settings::default()
    };
    // Taken by the first announcement.
    let mut address = listener.local_addr().ok();
    // Ends after `stop` and the drain, and is joined below.
    let shutdown = stop.child_token();
    let server = tokio::spawn(server::serve(
        listener,
        http::router(api.clone()),
        settings,
        Arc::clone(&metrics),
        shutdown.clone(),
    ));

    let started = tokio::select! {
        started = start_engine(config, &store, &metrics, &mut address) => started,
        () = stop.cancelled() => Ok(None),
    };
    let engine = match started {
        Ok(engine) => engine,
        Err(error) => {
            shutdown.cancel();
            let _ = server.await;
            return Err(error);
        }
    };
    if let Some(engine) = &engine {
        api.open(engine.clone());
        announce(address.take());
        stop.cancelled().await;
        engine.drain().await;
    }
    let _ = server.await;
    if let Some(engine) = engine {
        // No request is left. The give-backs of the last ones are sent, then the committers stop.
        let _ = tokio::time::timeout(STOP_DEADLINE, engine.stop()).await;
    }
    Ok(())
}

/// Starts the engine, with retries until Redis responds. After the first failure the address is announced,
/// although the service is not ready yet.
async fn start_engine(
    config: &Config,
    store: &Store,
    metrics: &Arc<Metrics>,
    address: &mut Option<SocketAddr>,
) -> Result<Option<Engine>, StartError> {
    let external = matches!(config.redis, Redis::Url(_));
    let mut settings = EngineSettings {
        auto_create: config.auto_create,
        max_queues: config.max_queues,
        durability: config.durability.level(),
        durability_is_watched: external,
        metrics: Arc::clone(metrics),
        ..EngineSettings::default()
    };
    if let Some(items) = std::env::var(TEST_SCRIPT_ITEMS)
        .ok()
        .and_then(|items| items.parse().ok())
    {
        settings.script_items = std::cmp::Ord::clamp(items, 1, crate::domain::limits::SCRIPT_ITEMS_MAX);
    }
    let mut failures = 0u32;
    loop {
        match Engine::start(store.clone(), settings.clone()).await {
            Ok(engine) => {
                if external
                    && config.durability == Durability::Fsync
                    && !store.syncing().await.is_ok_and(|seen| seen.every_write)
                {
                    engine.stop().await;
                    return Err(StartError::NoFsync);
                }
                if external {
                    log_failed_checks(&engine.checkup().await);
                }
                return Ok(Some(engine));
            }
            Err(failure) => {
                failures += 1;
                if failures == 1 {
                    tracing::warn!(%failure, "Redis does not respond yet; the service listens but is not ready");
                    announce(address.take());
                }
                tokio::time::sleep(START_PAUSE).await;
            }
        }
    }
}

/// Logs a warning for each failed check. An external Redis that may lose tasks is not refused, because its
/// owner may want that.
fn log_failed_checks(checks: &[Check]) {
    for check in checks.iter().filter(|check| check.verdict != Verdict::Ok) {
        let advice = check.advice.as_deref().unwrap_or_default();
        tracing::warn!(
            check = check.name,
            seen = check.detail,
            "this Redis needs attention: {advice}"
        );
    }
}

#[cfg(feature = "tls")]
fn tls(config: &Config) -> Result<Option<server::Tls>, StartError> {
    let Some(files) = &config.tls else { return Ok(None) };
    server::Tls::from_files(&files.cert, &files.key)
        .map(Some)
        .map_err(StartError::Tls)
}

/// Prints `listening on http://ADDR`, the line that tests and scripts wait for.
fn announce(address: Option<SocketAddr>) {
    if let Some(address) = address {
        // The service also runs with a closed stderr.
        let _ = writeln!(std::io::stderr(), "listening on http://{address}");
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    server::bind(address).map_err(|error| StartError::Listen { address, error })
}

/// Returns a token that the first SIGTERM or SIGINT cancels. A second signal ends the process at once, and
/// its embedded child with it.
fn stop_on_signals() -> Result<CancellationToken, StartError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    // This task runs for as long as the process.
    tokio::spawn(async move {
        for nth in 1.. {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            if nth > 1 {
                std::process::exit(130);
            }
            tracing::info!("stopping after the requests in flight");
            token.cancel();
        }
    });
    Ok(stop)
}

/// Raises the soft limit of open files, which is often 1,024 for historical reasons. Returns the number of
/// connections that the hard limit allows.
fn raise_open_files(wanted: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let files = wanted as u64 + OTHER_FILES;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|soft| soft < files) {
        limit.current = Some(limit.maximum.map_or(files, |hard| hard.min(files)));
        let _ = setrlimit(Resource::Nofile, limit);
    }
    // The limit is read again, because the kernel may have granted less.
    let Some(granted) = getrlimit(Resource::Nofile).current.filter(|soft| *soft < files) else {
        return wanted;
    };
    let fit = usize::try_from(granted.saturating_sub(OTHER_FILES)).map_or(wanted, |fit| fit.max(1));
    tracing::warn!(
        open_files_max = granted,
        max_connections = fit,
        "the limit of open files allows fewer connections than max_connections: raise it (ulimit -n)"
    );
    fit
}

//! The composition root: the only file that sees everything.
//!
//! Start: bind the address (an occupied port fails before anything is touched) → Redis (the embedded
//! child, or a URL) → store → engine → HTTP → `listening on …`.
//! Shutdown, on SIGTERM, SIGINT or a Redis that is gone for good: stop accepting and answer waiting
//! leases → flush what was taken (both within `drain_seconds`) → stop the embedded child, which is
//! needed to the last.

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

/// Between two tries to reach Redis at the start.
const START_PAUSE: Duration = Duration::from_millis(100);
/// For what was taken to be sent when no request is left.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// Items of a script call, for measuring what group commit brings. Not a setting.
const TEST_SCRIPT_ITEMS: &str = "LEASEQ_TEST_SCRIPT_ITEMS";

/// Why the service did not start, or did not stay up. Each text is one sentence for a person.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{address} cannot be listened on: {}", listen_problem(.error))]
    Listen {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
    #[error("{0}")]
    Store(String),
    #[error(
        "this Redis does not sync every write, or does not let that be seen: set `appendonly yes`, `appendfsync always` and `no-appendfsync-on-rewrite no` there, or choose --durability memory"
    )]
    NoFsync,
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(server::TlsError),
}

fn listen_problem(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program listens there; stop it, or choose another with --listen IP:PORT".into()
        }
        std::io::ErrorKind::PermissionDenied => {
            "this user may not use that port; choose one above 1023 with --listen IP:PORT".into()
        }
        _ => format!("{error}; choose another with --listen IP:PORT"),
    }
}

/// The Redis that the store connects to.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// The embedded child's socket.
    Socket(PathBuf),
    Url(RedisUrl),
}

impl Endpoint {
    /// With its password, for connecting only.
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

/// Runs the service until it is told to stop; `Ok` after an orderly shutdown.
///
/// # Errors
/// When it cannot start, or the embedded Redis is gone for good.
pub async fn run(mut config: Config) -> Result<(), StartError> {
    let process = Process {
        connections_wanted: config.max_connections,
        data_dir: match &config.redis {
            Redis::Embedded { data_dir, .. } => Some(data_dir.clone()),
            Redis::Url(_) => None,
        },
    };
    config.max_connections = connections_that_fit(config.max_connections);
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
            tracing::error!(%error, "the service stops: its Redis is gone for good");
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

/// Connects the store to `endpoint`, starts the engine, serves `listener` until `stop`, and drains within `config.drain`.
/// The service listens before Redis answers: it is alive then, and says that it is not ready.
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
    // Taken by whichever announcement comes first.
    let mut address = listener.local_addr().ok();
    // Ends after `stop` and the drain; joined below.
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
        // No request is left: what they gave back on leaving is sent, then the committers end.
        let _ = tokio::time::timeout(STOP_DEADLINE, engine.stop()).await;
    }
    Ok(())
}

/// Tries until Redis answers. Whoever waits for the announcement is told after a while that the service listens, though it is not ready.
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
                    warn_of(&engine.checkup().await);
                }
                return Ok(Some(engine));
            }
            Err(failure) => {
                failures += 1;
                if failures == 1 {
                    tracing::warn!(%failure, "Redis does not answer yet; the service listens and is not ready");
                    announce(address.take());
                }
                tokio::time::sleep(START_PAUSE).await;
            }
        }
    }
}

/// A Redis of somebody else's may lose tasks, and still be what its owner wants: it is said, not refused.
fn warn_of(checks: &[Check]) {
    for check in checks.iter().filter(|check| check.verdict != Verdict::Ok) {
        let advice = check.advice.as_deref().unwrap_or_default();
        tracing::warn!(
            check = check.name,
            seen = check.detail,
            "this Redis is not as it should be: {advice}"
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

/// `listening on http://ADDR`, the line that tests and scripts wait for.
fn announce(address: Option<SocketAddr>) {
    if let Some(address) = address {
        // Whoever started the service may have closed stderr; that is no reason not to serve.
        let _ = writeln!(std::io::stderr(), "listening on http://{address}");
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    server::bind(address).map_err(|error| StartError::Listen { address, error })
}

/// The first SIGTERM or SIGINT drains; a second one ends the process at once, embedded child and all.
fn stop_on_signals() -> Result<CancellationToken, StartError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    // Owned by the process: it waits for signals as long as there is one to receive them.
    tokio::spawn(async move {
        for nth in 1.. {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            if nth > 1 {
                std::process::exit(130);
            }
            tracing::info!("stopping: requests in flight are finished first");
            token.cancel();
        }
    });
    Ok(stop)
}

/// Raises the soft limit of open files, which is often 1,024 for no reason but history, and gives
/// the number of connections that the hard limit leaves room for.
fn connections_that_fit(wanted: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let files = wanted as u64 + OTHER_FILES;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|soft| soft < files) {
        limit.current = Some(limit.maximum.map_or(files, |hard| hard.min(files)));
        let _ = setrlimit(Resource::Nofile, limit);
    }
    // Read back: what counts is what the kernel granted.
    let Some(granted) = getrlimit(Resource::Nofile).current.filter(|soft| *soft < files) else {
        return wanted;
    };
    let fit = usize::try_from(granted.saturating_sub(OTHER_FILES)).map_or(wanted, |fit| fit.max(1));
    tracing::warn!(
        open_files_max = granted,
        max_connections = fit,
        "the limit of open files allows fewer connections than wanted: raise it (ulimit -n)"
    );
    fit
}

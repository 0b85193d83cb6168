//! The composition root: the only file that sees everything.
//!
//! Start: bind the address (an occupied port fails before anything is touched) → Redis (the embedded
//! child, or a URL) → store → engine → HTTP → `listening on …`.
//! Shutdown, on SIGTERM, SIGINT or a Redis that is gone for good: stop accepting and answer waiting
//! leases → flush what was taken (both within `drain_seconds`) → stop the embedded child, which is
//! needed to the last.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Durability, Redis, RedisUrl};
use crate::store::embedded::{self, Embedded, EmbeddedError};

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

/// Connections waiting to be accepted; the kernel may cap it lower.
const BACKLOG: u32 = 4096;

/// Runs the service until it is told to stop; `Ok` after an orderly shutdown.
///
/// # Errors
/// When it cannot start, or the embedded Redis is gone for good.
pub async fn run(mut config: Config) -> Result<(), StartError> {
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
    let served = serve(&config, listener, endpoint, stop.clone());
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

/// SEAM: connects the store to `endpoint`, builds the engine, serves `listener` with the HTTP room
/// until `stop`, and drains within `config.drain`. `announce` belongs right before the accept loop.
async fn serve(
    config: &Config,
    listener: TcpListener,
    endpoint: Endpoint,
    stop: CancellationToken,
) -> Result<(), StartError> {
    tracing::debug!(?endpoint, durability = config.durability.word(), "store");
    announce(&listener)?;
    stop.cancelled().await;
    Ok(())
}

/// `listening on http://ADDR`, the line that tests and scripts wait for.
fn announce(listener: &TcpListener) -> Result<(), StartError> {
    let address = listener.local_addr().map_err(|error| StartError::Listen {
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        error,
    })?;
    // Whoever started the service may have closed stderr; that is no reason not to serve.
    let _ = writeln!(std::io::stderr(), "listening on http://{address}");
    Ok(())
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bind = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restart must not wait for the old connections' TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|error| StartError::Listen { address, error })
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

/// Files besides client connections: Redis, logs, the runtime.
const OTHER_FILES: u64 = 128;

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

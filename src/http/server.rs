//! Listening: accepting, bounding and draining connections.
//!
//! An accept loop of our own, because axum's has no deadline for a request's head, no limit of connections
//! and no end to its drain. Nothing is spawned around a handler: when a caller leaves, its handler's future is
//! dropped with the connection, and what it held is given back.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

mod connection;
mod settings;
mod stall;
#[cfg(feature = "tls")]
mod tls;

pub use settings::Settings;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};

/// Connections that the kernel holds until they are accepted. The usual 128 loses connects of a burst,
/// and each lost one costs its client a second.
const BACKLOG: u32 = 4096;

/// After a failed accept: out of file descriptors, most likely, which only time or the end of a connection mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that still had a request when the drain's time was over.
    pub cut: usize,
}

/// Binds an address; port 0 picks one.
///
/// # Errors
/// When the address is in use, not this machine's, or not allowed.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for the connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `shutdown` is cancelled, then lets open requests finish for at most [`Settings::drain_deadline`].
///
/// Lease calls that wait end only when the engine drains: begin that when `shutdown` is cancelled, not after this returns.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: Settings,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> Drained {
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let settings = Arc::new(settings);
    let graceful = GracefulShutdown::new();
    // Owns every connection's task: dropping it cuts what is left.
    let mut connections = JoinSet::new();

    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            // Reaps finished ones, so that the set does not grow; a panic in hyper would end one connection only.
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &places) => {
                let Some((stream, place)) = accepted else { continue };
                let connection = connection::Connection {
                    router: router.clone(),
                    settings: Arc::clone(&settings),
                    metrics: Arc::clone(&metrics),
                    watcher: graceful.watcher(),
                };
                connections.spawn(connection.run(stream, place));
            }
        }
    }

    drop(listener);
    let drained = async {
        // Idle connections close at once, busy ones after the answer that they are at.
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    let in_time = tokio::time::timeout(settings.drain_deadline, drained)
        .await
        .is_ok();
    let cut = if in_time { 0 } else { connections.len() };
    if cut > 0 {
        tracing::warn!(connections = cut, "cut connections that did not finish in time");
    }
    Drained { cut }
}

/// The next connection, once there is a place for it. `None` after a failure and a pause.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        // The client gave up between its connect and our accept.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
            ) =>
        {
            None
        }
        Err(error) => {
            tracing::error!(%error, "could not accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

#[cfg(test)]
mod tests;

//! The listener: accepts, bounds and drains connections.
//!
//! The accept loop is our own because axum's has no deadline for a request's head, no limit of connections
//! and no end of its drain. No task is spawned around a handler: when a caller leaves, its handler's future
//! is dropped with the connection, and its grants are given back.

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

/// Connections that the kernel keeps until they are accepted. The usual 128 loses connects of a burst, and
/// each loss costs its client a second.
const BACKLOG: u32 = 4096;

/// The pause after a failed accept. File descriptors are used up, most likely, and only the end of a
/// connection frees one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The end of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that still had a request when the time for the drain was over.
    pub cut: usize,
}

/// Binds an address; port 0 picks one.
///
/// # Errors
/// If the address is in use, belongs to another machine, or is not allowed.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for connections of the previous process.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `shutdown` is cancelled, then lets open requests finish for at most
/// [`Settings::drain_deadline`].
///
/// Waiting lease calls end only when the engine drains: start that when `shutdown` is cancelled, not after
/// this returns.
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
    // Owns the task of every connection. Dropping it cuts those that are left.
    let mut connections = JoinSet::new();

    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            // Removes finished tasks, so that the set does not grow. A panic in hyper would end one
            // connection only.
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
        // Idle connections close at once, busy ones after their current response.
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

/// Returns the next connection once there is a place for it; `None` after a failure and a pause.
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
        // The client closed the connection before it was accepted.
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

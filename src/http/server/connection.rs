//! One connection, from its first byte to its last.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::settings::Settings;
use super::stall::StallGuard;
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::metrics::Metrics;

/// Requests that one HTTP/2 connection may have open at once.
const STREAMS_MAX: u32 = 250;
/// The interval of HTTP/2 pings, and the limit for their replies.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_DEADLINE: Duration = Duration::from_secs(20);
/// The first bytes of an HTTP/2 connection with prior knowledge.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

pub(super) struct Connection {
    pub(super) router: Router,
    pub(super) settings: Arc<Settings>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) watcher: Watcher,
}

impl Connection {
    /// Serves the connection until it is closed, which frees its place.
    pub(super) async fn run(self, stream: TcpStream, _place: OwnedSemaphorePermit) {
        self.metrics.http.connections_total.inc();
        let _open = Open::count(&self.metrics);
        // Responses are small and complete, so waiting for more bytes would only add latency.
        let _ = stream.set_nodelay(true);

        #[cfg(feature = "tls")]
        if let Some(tls) = self.settings.tls.clone() {
            // Boxed, because plain connections would otherwise be as large as those with TLS.
            return Box::pin(self.run_tls(tls, stream)).await;
        }

        match timeout(self.settings.silence_deadline, protocol(&stream)).await {
            Ok(Some(protocol)) => self.serve(stream, protocol).await,
            Ok(None) => {}
            Err(_) => self.refuse("silent"),
        }
    }

    #[cfg(feature = "tls")]
    async fn run_tls(self, tls: Tls, stream: TcpStream) {
        let shake_hands = timeout(self.settings.silence_deadline, tls.accept(stream));
        match shake_hands.await {
            Ok(Ok((stream, is_http2))) => {
                let protocol = if is_http2 {
                    Protocol::Http2
                } else {
                    Protocol::Http1
                };
                self.serve(stream, protocol).await;
            }
            // Scanners and clients without our certificate: theirs to mend, not worth a line each.
            Ok(Err(_)) | Err(_) => self.refuse("tls"),
        }
    }

    fn refuse(&self, reason: &str) {
        self.metrics
            .http
            .connections_refused
            .with_label_values(&[reason])
            .inc();
    }

    async fn serve<S>(self, stream: S, protocol: Protocol)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(StallGuard::new(stream, self.settings.stall_deadline));
        let service = TowerToHyperService::new(self.router);
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.settings.head_deadline);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_DEADLINE);
        // Told which it is, the builder does not wait for a preface without a deadline.
        let builder = match protocol {
            Protocol::Http1 => builder.http1_only(),
            Protocol::Http2 => builder.http2_only(),
        };
        let served = self
            .watcher
            .watch(builder.serve_connection(stream, service))
            .await;
        // Broken pipes and half requests are everyday life of a server; what matters is counted by request.
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// Waits for the first bytes and looks at them. `None` when the peer has left.
///
/// A preface in pieces counts as HTTP/1, which refuses it: no client sends one so.
async fn protocol(stream: &TcpStream) -> Option<Protocol> {
    let mut first = [0; H2_PREFACE.len()];
    match stream.peek(&mut first).await {
        Ok(0) | Err(_) => None,
        Ok(_) if first == H2_PREFACE => Some(Protocol::Http2),
        Ok(_) => Some(Protocol::Http1),
    }
}

/// An open connection in the metrics.
struct Open(Arc<Metrics>);

impl Open {
    fn count(metrics: &Arc<Metrics>) -> Self {
        metrics.http.connections.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.http.connections.dec();
    }
}

//! The bounds of connections.

use std::time::Duration;

#[cfg(feature = "tls")]
use super::tls::Tls;

/// The bounds of connections.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Open connections at most; more wait in the kernel. Each costs about 20 KB and a file descriptor.
    pub connections_max: usize,
    /// Limit for the head of a request to arrive, and the longest idle time between two requests.
    pub head_deadline: Duration,
    /// Limit for the first byte of a connection, and for a TLS handshake.
    pub silence_deadline: Duration,
    /// Limit for a caller to take the next part of a response.
    pub stall_deadline: Duration,
    /// Time from the start of the shutdown until connections are cut.
    pub drain_deadline: Duration,
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            // A shorter time would close idle connections of client pools just when they are used again.
            head_deadline: Duration::from_secs(30),
            silence_deadline: Duration::from_secs(10),
            stall_deadline: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(20),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

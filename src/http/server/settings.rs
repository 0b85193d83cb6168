//! How connections are bounded.

use std::time::Duration;

#[cfg(feature = "tls")]
use super::tls::Tls;

/// How connections are bounded.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Open connections; more wait in the kernel. Each costs about 20 KB, and a file descriptor.
    pub connections_max: usize,
    /// For a request's head to arrive; also the longest idle time between two requests.
    pub head_deadline: Duration,
    /// For the first byte of a connection, and for a TLS handshake.
    pub silence_deadline: Duration,
    /// For a caller to take some part of an answer.
    pub stall_deadline: Duration,
    /// From the beginning of the shutdown until connections are cut.
    pub drain_deadline: Duration,
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            // Shorter ones would close the idle connections of client pools just when they are used again.
            head_deadline: Duration::from_secs(30),
            silence_deadline: Duration::from_secs(10),
            stall_deadline: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(20),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

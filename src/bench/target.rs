//! The service under test: its address, and the cleanup of its queues.

use super::requests::Request;
use super::stage::Stage;
use super::wire::Connection;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Error, Result};
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

const DELETING_MAX: Duration = Duration::from_secs(30);

/// The address of a service, `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
}

impl Target {
    /// Returns host and port, as in the `Host` header.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the address of the host.
    ///
    /// # Errors
    /// The name cannot be resolved.
    pub(super) fn resolve(&self) -> Result<SocketAddr> {
        let with_port = if self.host.rsplit(']').next().unwrap_or_default().contains(':') {
            self.host.clone()
        } else {
            format!("{}:80", self.host)
        };
        let none = || Error::other(format!("{} has no address", self.host));
        with_port.to_socket_addrs()?.next().ok_or_else(none)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let host = text
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'));
        match host {
            Some(host) if !host.is_empty() && !host.contains(['/', '@', '?', ' ']) => Ok(Self {
                host: host.to_owned(),
            }),
            _ => Err(format!(
                "{text:?} is not an address like http://127.0.0.1:8080; only plain HTTP is supported"
            )),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.host)
    }
}

/// Raises the limit of open files as far as this process may, because each connection needs one.
///
/// # Errors
/// The system refuses.
pub(super) fn raise_open_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(())
}

/// Deletes the queues that the run created, if the service allows it.
pub(super) fn delete_queues(stage: &Stage) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    let deleting = async {
        let mut connection = Connection::open(stage.address).await?;
        let mut request = Request::default();
        for queue in &stage.queues {
            request.delete_queue(&stage.recipe, queue);
            if !connection.call(request.bytes()).await?.is_success() {
                return Err(Error::other("the service refused"));
            }
        }
        Ok(())
    };
    let deleted = runtime.block_on(async { tokio::time::timeout(DELETING_MAX, deleting).await });
    if !matches!(deleted, Ok(Ok(()))) {
        eprintln!(
            "leaseq bench: the service did not delete {} and the other queues of this run",
            stage.queues[0]
        );
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn only_plain_http_addresses_are_targets() {
        let target: Target = "http://127.0.0.1:9/".parse().unwrap();
        assert_eq!(
            (target.host(), target.to_string().as_str()),
            ("127.0.0.1:9", "http://127.0.0.1:9")
        );
        assert_eq!(target.resolve().unwrap().port(), 9);
        assert_eq!(
            "http://[::1]"
                .parse::<Target>()
                .unwrap()
                .resolve()
                .unwrap()
                .port(),
            80
        );
        for text in ["https://a", "a:1", "http://", "http://a/b"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}

//! Observation of the service from outside: its memory, and the commands that its Redis receives.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};

/// Returns the resident memory of a process.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub(super) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    resident_bytes_in(&status).ok_or_else(|| Error::other(format!("the memory of process {pid} is unknown")))
}

fn resident_bytes_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The address of a Redis: `redis+unix:///path`, a plain path, or `redis://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RedisAddress {
    Unix(std::path::PathBuf),
    Tcp(String),
}

impl FromStr for RedisAddress {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let path = text
            .strip_prefix("redis+unix://")
            .or_else(|| text.strip_prefix("unix://"))
            .unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Self::Unix(path.into()));
        }
        match text
            .strip_prefix("redis://")
            .map(|rest| rest.trim_end_matches('/'))
        {
            Some(host) if !host.contains(['/', '@']) && host.contains(':') => Ok(Self::Tcp(host.to_owned())),
            _ => Err(format!(
                "{text:?} is neither redis+unix:///path nor redis://host:port (without a password)"
            )),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Counts the commands that clients send to Redis during `time`, by name. Commands inside scripts do not
/// count.
///
/// `MONITOR` costs a busy Redis half its speed, so this is for idle ones.
///
/// # Errors
/// Redis cannot be reached, or refuses.
pub(super) async fn commands(redis: &RedisAddress, time: Duration) -> Result<BTreeMap<String, u64>> {
    let stream: Box<dyn Stream> = match redis {
        RedisAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
        RedisAddress::Tcp(host) => Box::new(TcpStream::connect(host).await?),
    };
    let mut stream = BufReader::new(stream);
    stream.write_all(b"MONITOR\r\n").await?;
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await?;
    if line != b"+OK\r\n" {
        return Err(Error::other(format!(
            "Redis replied to MONITOR with {}",
            String::from_utf8_lossy(&line).trim()
        )));
    }
    let mut counts = BTreeMap::new();
    let count = async {
        loop {
            line.clear();
            if stream.read_until(b'\n', &mut line).await? == 0 {
                return Err(Error::other("Redis closed the connection"));
            }
            if let Some(command) = client_command(&String::from_utf8_lossy(&line)) {
                *counts.entry(command).or_insert(0) += 1;
            }
        }
    };
    match tokio::time::timeout(time, count).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) | Err(_) => Ok(counts),
    }
}

/// Returns the command of a line such as `+1732.5 [0 unix:/path] "evalsha" "…"`, or `None` if a script sent
/// it.
fn client_command(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(" [")?;
    let (client, words) = rest.split_once("] \"")?;
    if client.ends_with(" lua") {
        return None;
    }
    Some(words.split('"').next()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{RedisAddress, client_command, resident_bytes_in};

    #[test]
    fn commands_of_scripts_are_not_counted() {
        let client = "+1732151.5 [0 unix:/tmp/redis.sock] \"EVALSHA\" \"4f2a\" \"0\"\r\n";
        assert_eq!(client_command(client).as_deref(), Some("evalsha"));
        assert_eq!(client_command("+1732151.6 [0 lua] \"time\"\r\n"), None);
        assert_eq!(client_command("+OK\r\n"), None);
    }

    #[test]
    fn addresses_of_redis_are_parsed() {
        assert_eq!("redis+unix:///a/b".parse(), Ok(RedisAddress::Unix("/a/b".into())));
        assert_eq!("/a/b".parse(), Ok(RedisAddress::Unix("/a/b".into())));
        assert_eq!(
            "redis://localhost:6390/".parse(),
            Ok(RedisAddress::Tcp("localhost:6390".to_owned()))
        );
        for text in ["rediss://h:1", "redis://u:p@h:1", "redis://h", "a/b"] {
            assert!(text.parse::<RedisAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn memory_is_read_from_proc() {
        assert_eq!(
            resident_bytes_in("Name:\tx\nVmRSS:\t    2048 kB\n"),
            Some(2 * 1024 * 1024)
        );
        assert_eq!(resident_bytes_in("Name:\tx\n"), None);
        assert!(super::resident_bytes(std::process::id()).unwrap() > 1024);
    }
}

//! Parsers for values, one function for each kind. An error describes the mistake; the example comes from the
//! setting.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use super::{LogFormat, RedisUrl};
use crate::domain::durability::Level;

type Parsed<T> = Result<T, String>;

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    if let Some(port) = text.strip_prefix("localhost:")
        && let Ok(port) = port.parse()
    {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse()
        .map_err(|_| format!("`{text}` is not an address and a port"))
}

pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// An error does not repeat the value, which may contain a password.
pub(super) fn redis_url(text: &str) -> Parsed<RedisUrl> {
    RedisUrl::parse(text)
}

pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    Ok(PathBuf::from(text))
}

/// Parses the level alone. It is checked against `replicas` later.
pub(super) fn durability(text: &str) -> Parsed<Level> {
    match text {
        "fsync" => Ok(Level::Fsync),
        "memory" => Ok(Level::Memory),
        "replicated" => Ok(Level::Replicated),
        _ => Err(format!("`{text}` is not fsync, memory or replicated")),
    }
}

pub(super) fn replicas(text: &str) -> Parsed<NonZeroU8> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number from 1 to 255"))
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("`{text}` is neither text nor json")),
    }
}

pub(super) fn log_filter(text: &str) -> Parsed<String> {
    text.parse::<tracing_subscriber::filter::Targets>()
        .map(|_| text.to_owned())
        .map_err(|_| {
            format!("`{text}` is not a level (error, warn, info, debug, trace) or target=level pairs")
        })
}

pub(super) fn count(text: &str) -> Parsed<usize> {
    match text.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err(format!("`{text}` is not a number from 1 to 1000000")),
    }
}

/// Parses a number of label values in metrics.
pub(super) fn labels(text: &str) -> Parsed<usize> {
    match text.parse() {
        Ok(count @ 0..=10_000) => Ok(count),
        _ => Err(format!("`{text}` is not a number from 0 to 10000")),
    }
}

pub(super) fn drain(text: &str) -> Parsed<Duration> {
    text.parse::<f64>()
        .ok()
        .filter(|seconds| (0.0..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("`{text}` is not a number of seconds from 0 to 3600"))
}

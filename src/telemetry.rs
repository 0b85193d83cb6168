//! Logging: its destination, format and level.

use std::str::FromStr;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("`{0}` is not a log filter; examples are `info` and `warn,leaseq::http=debug`")]
    Filter(String),
    #[error("logging was already started")]
    Twice,
}

/// Starts logging to stderr; stdout is for the output of commands. `filter` is a level, or `target=level`
/// pairs separated by commas.
///
/// # Errors
/// The filter is invalid, or logging was started before.
pub fn init(format: Format, filter: &str) -> Result<(), TelemetryError> {
    // `Targets` needs no regular expressions, unlike `EnvFilter`, and cannot match on field values.
    let filter = Targets::from_str(filter).map_err(|_| TelemetryError::Filter(filter.to_owned()))?;
    // A closed stderr must not stop the service: the layer would report failed writes with `eprintln!`, which
    // panics.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let lines = match format {
        Format::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            lines.with_ansi(colour).boxed()
        }
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs a panic in the format of all other lines, so that it is found where logs are collected.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or(payload.downcast_ref::<String>().map(String::as_str));
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "panicked: {}", text.unwrap_or("no message"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_filter_is_refused_with_an_example() {
        let error = init(Format::Text, "leaseq=loud").unwrap_err();
        assert!(error.to_string().contains("leaseq=loud") && error.to_string().contains("info"));
    }
}

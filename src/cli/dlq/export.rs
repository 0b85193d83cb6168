//! `leaseq dlq export`.

use http_body_util::BodyExt;

use super::which::Which;
use crate::cli::client::PATIENCE;
use crate::cli::connect::Connect;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Done, input, output, query};
use crate::config::Env;
use crate::domain::QueueName;

/// Print dead letters as NDJSON, oldest first, ready for leaseq enqueue --ndjson
///
/// A line contains the fields of an enqueue: name, payload, priority, group, attempts, lease, retry policy
/// and headers. The dead letters stay in the queue. An export that is cut off prints an error and does not
/// exit with 0.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    connect: Connect,
}

impl Export {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let filters = self.which.parameters();
        let filters = filters.each_ref().map(|(name, value)| (*name, value.as_deref()));
        let path = format!("/v1/queues/{}/dlq/export", self.queue);
        let mut body = api.stream(&query::path(&path, &filters)).await?;
        let mut lines = 0;
        // The bytes after the last line break. Only whole lines are printed, so that the output can be
        // enqueued.
        let mut rest = Vec::new();
        loop {
            let frame = tokio::select! {
                frame = tokio::time::timeout(PATIENCE, body.frame()) => frame,
                _ = tokio::signal::ctrl_c() => return Err(Failure::new(Exit::Interrupted, "interrupted")),
            };
            let cut_off = |why: &str| {
                Failure::new(
                    Exit::Unreachable,
                    format!("the export was cut off after {lines} lines: {why}"),
                )
                .hint("the export again, from the beginning")
            };
            let data = match frame {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => return Err(cut_off(&error.to_string())),
                Ok(None) if rest.is_empty() => break,
                Ok(None) => return Err(cut_off("it ended in the middle of a line")),
                Err(_) => return Err(cut_off("the service sent nothing more")),
            };
            rest.extend_from_slice(&data);
            if let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') {
                let more = rest.split_off(end + 1);
                output::line(&rest)?;
                lines += rest.iter().filter(|byte| **byte == b'\n').count();
                rest = more;
            }
        }
        output::note(&format!("{lines} exported"));
        Ok(Exit::Ok)
    }
}

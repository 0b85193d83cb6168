//! Creates a queue, or changes its config.

use deadpool_redis::redis::Cmd;

use super::Op;
use crate::domain::queue::{QueueConfig, defaults};
use crate::store::gates;
use crate::store::reply::{BadReply, Reply};

pub struct ConfigureOp<'a> {
    /// The version that the queue must have; 0: it must not exist.
    pub expected: Option<u64>,
    /// Create the queue if it is absent.
    pub create: bool,
    pub config: &'a QueueConfig,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Configured {
    Done {
        version: u64,
        created: bool,
        /// The order changed: run [`super::reorder`] before the response.
        reorder: bool,
    },
    /// The version of the queue; 0 if it is absent.
    Mismatch { version: u64 },
    /// A deleted queue of this name has lanes left: call again.
    Clearing,
}

impl Op for ConfigureOp<'_> {
    const SCRIPT: &'static str = "configure";
    type Outcome = Configured;

    fn args(&self, cmd: &mut Cmd) {
        match self.expected {
            Some(version) => cmd.arg(version),
            None => cmd.arg(""),
        };
        cmd.arg(u8::from(self.create));
        cmd.arg(serde_json::to_string(self.config).expect("numbers and strings become JSON"));
        let c = self.config;
        let gates = gates::entries(c);
        cmd.arg(gates.len());
        for (scope, entry) in &gates {
            cmd.arg(scope).arg(entry);
        }
        let mut live = |field: &str, value: u64| {
            cmd.arg(field).arg(value);
        };
        live("aging_ms", c.aging_ms.unwrap_or(defaults::AGING_MS));
        live("max_lease_ms", c.max_lease_ms.unwrap_or(defaults::MAX_LEASE_MS));
        live(
            "max_deferrals",
            c.max_deferrals.unwrap_or(defaults::MAX_DEFERRALS).into(),
        );
        live(
            "dead_max_size",
            c.dead_max_size.unwrap_or(defaults::DEAD_MAX_SIZE),
        );
        live("completed_ms", c.completed_ms.unwrap_or(defaults::COMPLETED_MS));
        live(
            "dead_max_age_ms",
            c.dead_max_age_ms.unwrap_or(defaults::DEAD_MAX_AGE_MS),
        );
        live(
            "dead_max_bytes",
            c.dead_max_bytes.unwrap_or(defaults::DEAD_MAX_BYTES),
        );
        live(
            "dead_on_full",
            c.dead_on_full.unwrap_or(defaults::DEAD_ON_FULL) as u64,
        );
        live(
            "completed_max",
            c.completed_max.unwrap_or(defaults::COMPLETED_MAX),
        );
        live(
            "completed_bytes",
            c.completed_bytes.unwrap_or(defaults::COMPLETED_BYTES),
        );
        live("max_tasks", c.max_tasks.unwrap_or(0));
        live("max_bytes", c.max_bytes.unwrap_or(0));
        live("order", c.order.unwrap_or(defaults::ORDER) as u64);
        live("keep", c.keep.unwrap_or(defaults::KEEP) as u64);
        live("stride", gates::stride(c));
        live("limited", gates::limited(c));
        live("weighted", u64::from(gates::weighted(c)));
    }

    fn outcome(&self, mut reply: Reply) -> Result<Configured, BadReply> {
        match reply.text()?.as_str() {
            "configured" => Ok(Configured::Done {
                version: reply.number()?,
                created: reply.flag()?,
                reorder: reply.flag()?,
            }),
            "mismatch" => Ok(Configured::Mismatch {
                version: reply.number()?,
            }),
            "clearing" => Ok(Configured::Clearing),
            _ => Err(BadReply("a configure's word")),
        }
    }
}

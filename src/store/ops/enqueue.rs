//! Accepts tasks, in order.

use std::collections::HashMap;

use deadpool_redis::redis::Cmd;

use super::Op;
use crate::domain::queue::QueueConfig;
use crate::domain::{Millis, NewTask, Start};
use crate::store::record;
use crate::store::reply::{BadReply, Reply};

/// At most `SCRIPT_ITEMS_MAX` tasks.
pub struct EnqueueOp<'a, T> {
    pub version: u64,
    /// What policies are resolved with; the script refuses if it is not `version` any more.
    pub config: &'a QueueConfig,
    pub replica: &'a str,
    /// An earlier try had an unknown outcome: tasks that are there already are not made twice.
    pub again: bool,
    pub tasks: &'a [T],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    Tasks {
        now: Millis,
        /// How many became ready at once.
        ready: u64,
        /// Per task: when it is due, `None` for a ready one.
        run_at: Vec<Option<Millis>>,
    },
    /// The config changed: resolve again.
    Config {
        version: u64,
        document: String,
    },
    Absent,
}

impl<T: AsRef<NewTask>> Op for EnqueueOp<'_, T> {
    const SCRIPT: &'static str = "enqueue";
    type Outcome = Accepted;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.version).arg(self.replica).arg(u8::from(self.again));
        let mut lanes = Vec::new();
        let mut index = HashMap::new();
        let of_task: Vec<usize> = self
            .tasks
            .iter()
            .map(|task| {
                let task = task.as_ref();
                let group = task.group.as_ref().map_or("", |group| group.as_str());
                let lane = (task.priority.get(), task.name.as_str(), group);
                *index.entry(lane).or_insert_with(|| {
                    lanes.push(lane);
                    lanes.len()
                })
            })
            .collect();
        cmd.arg(lanes.len());
        for (priority, name, group) in lanes {
            cmd.arg(priority).arg(name).arg(group);
        }
        cmd.arg(self.tasks.len());
        let mut apart = Vec::new();
        for (task, lane) in self.tasks.iter().zip(of_task) {
            let task = task.as_ref();
            let policy = self.config.policy(&task.name, (task.max_attempts, task.lease_ms));
            let (body, payload) = record::write(task, policy);
            cmd.arg(lane).arg(task.id.as_bytes());
            match task.start {
                Start::Now => cmd.arg(""),
                Start::After(ms) => cmd.arg(format!("+{ms}")),
                Start::At(at) => cmd.arg(format!("@{}", at.get())),
            };
            cmd.arg(body);
            if let Some(payload) = payload {
                apart.push((task.id, payload));
            }
        }
        cmd.arg(apart.len());
        for (id, payload) in apart {
            cmd.arg(id.as_bytes()).arg(&payload[..]);
        }
    }

    fn outcome(&self, mut reply: Reply) -> Result<Accepted, BadReply> {
        Ok(match reply.text()?.as_str() {
            "accepted" => Accepted::Tasks {
                now: reply.millis()?,
                ready: reply.number()?,
                run_at: (0..self.tasks.len())
                    .map(|_| reply.some_millis())
                    .collect::<Result<_, _>>()?,
            },
            "config" => Accepted::Config {
                version: reply.number()?,
                document: reply.text()?,
            },
            "absent" => Accepted::Absent,
            _ => return Err(BadReply("an enqueue's word")),
        })
    }
}

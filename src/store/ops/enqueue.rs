//! Accepts tasks, in order.

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
        /// Indexes of tasks that were not accepted, because dead letters are full and the config says so.
        refused: Vec<usize>,
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
        // Neighbours that go the same way share one head.
        let runs: Vec<&[T]> = self
            .tasks
            .chunk_by(|a, b| way(a.as_ref()) == way(b.as_ref()))
            .collect();
        cmd.arg(runs.len());
        let mut apart = Vec::new();
        for run in runs {
            let (priority, name, group, start) = way(run[0].as_ref());
            cmd.arg(priority).arg(name).arg(group);
            match start {
                Start::Now => cmd.arg(""),
                Start::After(ms) => cmd.arg(format!("+{ms}")),
                Start::At(at) => cmd.arg(format!("@{}", at.get())),
            };
            cmd.arg(run.len());
            for task in run {
                let task = task.as_ref();
                let policy = self.config.policy(&task.name, (task.max_attempts, task.lease_ms));
                let (body, payload) = record::write(task, policy);
                cmd.arg(task.id.as_bytes()).arg(body);
                if let Some(payload) = payload {
                    apart.push((task.id, payload));
                }
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
                refused: indexes(reply.array()?)?,
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

fn indexes(mut list: Reply) -> Result<Vec<usize>, BadReply> {
    let mut indexes = Vec::new();
    while !list.is_empty() {
        indexes.push(list.small()?);
    }
    Ok(indexes)
}

/// The lane and the start of a task.
fn way(task: &NewTask) -> (u16, &str, &str, Start) {
    let group = task.group.as_ref().map_or("", |group| group.as_str());
    (task.priority.get(), task.name.as_str(), group, task.start)
}

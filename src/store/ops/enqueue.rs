//! Accepts tasks, in order.

use std::sync::Arc;

use deadpool_redis::redis::Cmd;

use super::{Op, full_of, state};
use crate::domain::queue::{QueueConfig, defaults};
use crate::domain::task::{Enqueued, Made, NotEnqueued};
use crate::domain::unique::{OnDuplicate, UniqueScope};
use crate::domain::{Expiry, Millis, NewTask, Start, TaskName, TaskState};
use crate::store::record;
use crate::store::reply::{BadReply, Reply};

/// At most `SCRIPT_ITEMS_MAX` tasks.
pub struct EnqueueOp {
    /// Version of `config`. The script refuses the call if the queue has another one by now.
    pub version: u64,
    /// The config that resolves the policies of the tasks.
    pub config: Arc<QueueConfig>,
    pub replica: Arc<str>,
    /// An earlier try had an unknown outcome: the script does not create a task twice.
    pub again: bool,
    /// Accept no task if one is refused.
    pub all_or_none: bool,
    /// Epoch as of which the sender knows the names that it does not ask for; 0: it knows none.
    pub names_epoch: u64,
    /// Names of these tasks that the sender does not know.
    pub asked_names: Vec<TaskName>,
    pub tasks: Vec<NewTask>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    Tasks {
        now: Millis,
        /// Tasks that became ready at once.
        ready: u64,
        /// Epoch as of which Redis knows the names of the accepted tasks.
        names_epoch: u64,
        /// One per task, in order.
        outcomes: Vec<Result<Enqueued, NotEnqueued>>,
    },
    /// The config changed: resolve the policies again.
    Config {
        version: u64,
        document: String,
    },
    Absent,
}

impl Op for EnqueueOp {
    const SCRIPT: &'static str = "enqueue";
    type Outcome = Accepted;

    fn args(&self, cmd: &mut Cmd) {
        cmd.arg(self.version).arg(&*self.replica);
        cmd.arg(u8::from(self.again)).arg(u8::from(self.all_or_none));
        cmd.arg(self.names_epoch).arg(self.asked_names.len());
        for name in &self.asked_names {
            cmd.arg(name.as_str());
        }
        self.guard_args(cmd);
        // Neighbours with the same lane and times share one head.
        let runs: Vec<&[NewTask]> = self.tasks.chunk_by(|a, b| head(a) == head(b)).collect();
        cmd.arg(runs.len());
        let mut apart = Vec::new();
        for run in runs {
            let (priority, name, group, start, expiry) = head(&run[0]);
            cmd.arg(priority).arg(name).arg(group);
            match start {
                Start::Now => cmd.arg(""),
                Start::After(ms) => cmd.arg(format!("+{ms}")),
                Start::At(at) => cmd.arg(format!("@{}", at.get())),
            };
            match expiry {
                None => cmd.arg(""),
                Some(Expiry::After(ms)) => cmd.arg(format!("+{ms}")),
                Some(Expiry::At(at)) => cmd.arg(format!("@{}", at.get())),
            };
            cmd.arg(run.len());
            for task in run {
                let (body, payload) = record::write(task, self.config.policy(task));
                cmd.arg(task.id.as_bytes()).arg(body);
                if let Some(payload) = payload {
                    apart.push((task.id, payload));
                }
            }
        }
        for (id, payload) in &apart {
            cmd.arg(id.as_bytes()).arg(&payload[..]);
        }
        cmd.arg(apart.len());
    }

    fn outcome(&self, mut reply: Reply) -> Result<Accepted, BadReply> {
        Ok(match reply.text()?.as_str() {
            "accepted" => {
                let (now, ready, names_epoch) = (reply.millis()?, reply.number()?, reply.number()?);
                let outcomes = self.tasks.iter().map(|task| enqueued(task, now, &mut reply));
                Accepted::Tasks {
                    now,
                    ready,
                    names_epoch,
                    outcomes: outcomes.collect::<Result<_, _>>()?,
                }
            }
            "config" => Accepted::Config {
                version: reply.number()?,
                document: reply.text()?,
            },
            "absent" => Accepted::Absent,
            _ => return Err(BadReply("an enqueue's word")),
        })
    }
}

impl EnqueueOp {
    /// Writes the guards of tasks that must not be created twice: those with a unique key, and those of a
    /// request that may be a repeat.
    fn guard_args(&self, cmd: &mut Cmd) {
        let guarded = || {
            let tasks = self.tasks.iter();
            tasks.filter(|task| task.unique.is_some() || task.repeat_mark.is_some())
        };
        let count = guarded().count();
        cmd.arg(count);
        if count == 0 {
            return;
        }
        cmd.arg(self.config.idempotency_ms.unwrap_or(defaults::IDEMPOTENCY_MS));
        cmd.arg(self.config.idempotency_max.unwrap_or(defaults::IDEMPOTENCY_MAX));
        for task in guarded() {
            cmd.arg(task.id.as_bytes());
            match &task.unique {
                None => cmd.arg("").arg("").arg(""),
                Some(unique) => cmd
                    .arg(unique.key.as_str())
                    .arg(match unique.scope {
                        UniqueScope::Ttl(ms) => ms,
                        UniqueScope::UntilLeased | UniqueScope::UntilFinished => 0,
                    })
                    .arg(match unique.on_duplicate {
                        OnDuplicate::Return => "return",
                        OnDuplicate::Reject => "reject",
                        OnDuplicate::Replace => "replace",
                    }),
            };
            match &task.repeat_mark {
                None => cmd.arg("").arg(""),
                Some(mark) => {
                    let mut field = mark.request.to_vec();
                    field.extend(mark.index.map(u16::to_be_bytes).into_iter().flatten());
                    cmd.arg(field).arg(&mark.body[..])
                }
            };
        }
    }
}

/// Reads the outcome of one task. A created task is a bare due time; every other outcome is a list.
fn enqueued(
    task: &NewTask,
    now: Millis,
    reply: &mut Reply,
) -> Result<Result<Enqueued, NotEnqueued>, BadReply> {
    let Some(mut fields) = reply.array_if_any() else {
        return Ok(Ok(Enqueued::new(task.id, reply.some_millis()?)));
    };
    let made = match fields.text()?.as_str() {
        "full" => return Ok(Err(NotEnqueued::Full(full_of(&fields.text()?)?))),
        "mismatch" => return Ok(Err(NotEnqueued::Mismatch)),
        "paused" => {
            let ends_in_ms = fields.some_millis()?.map(|until| until.since(now));
            return Ok(Err(NotEnqueued::Paused { ends_in_ms }));
        }
        "rejected" => {
            let (holder, state) = (fields.id()?, kept_state(&fields.text()?)?);
            return Ok(Err(NotEnqueued::Duplicate { holder, state }));
        }
        "made" => Made::Task,
        "duplicate" => Made::Duplicate,
        "replaced" => Made::Replacement,
        _ => return Err(BadReply("what became of an enqueue")),
    };
    Ok(Ok(Enqueued {
        id: fields.id()?,
        state: kept_state(&fields.text()?)?,
        run_at: fields.some_millis()?,
        made,
        replayed: fields.flag()?,
        result: None,
    }))
}

fn kept_state(letter: &str) -> Result<Option<TaskState>, BadReply> {
    match letter {
        "g" => Ok(None),
        letter => state(letter).map(Some),
    }
}

/// Returns the lane of a task and its times.
fn head(task: &NewTask) -> (u16, &str, &str, Start, Option<Expiry>) {
    let group = task.group.as_ref().map_or("", |group| group.as_str());
    (
        task.priority.get(),
        task.name.as_str(),
        group,
        task.start,
        task.expiry,
    )
}

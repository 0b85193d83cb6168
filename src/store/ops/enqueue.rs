//! Accepts tasks, in order.

use deadpool_redis::redis::Cmd;

use super::{Op, state};
use crate::domain::queue::{QueueConfig, defaults};
use crate::domain::task::{Enqueued, Made, NotEnqueued};
use crate::domain::unique::{OnDuplicate, UniqueScope};
use crate::domain::{Expiry, Millis, NewTask, Start, TaskState};
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
    /// Where one is refused, none is accepted.
    pub all_or_none: bool,
    pub tasks: &'a [T],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    Tasks {
        now: Millis,
        /// How many became ready at once.
        ready: u64,
        /// Per task.
        outcomes: Vec<Result<Enqueued, NotEnqueued>>,
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
        self.guard_args(cmd);
        // Neighbours that go the same way share one head.
        let runs: Vec<&[T]> = self
            .tasks
            .chunk_by(|a, b| way(a.as_ref()) == way(b.as_ref()))
            .collect();
        cmd.arg(runs.len());
        let mut apart = Vec::new();
        for run in runs {
            let (priority, name, group, start, expiry) = way(run[0].as_ref());
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
                let task = task.as_ref();
                let (body, payload) = record::write(task, self.config.policy(task));
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
                outcomes: self
                    .tasks
                    .iter()
                    .map(|task| enqueued(task.as_ref(), &mut reply))
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

impl<T: AsRef<NewTask>> EnqueueOp<'_, T> {
    /// What must not be made twice: tasks with a unique key, or of a request that may be a repeat.
    fn guard_args(&self, cmd: &mut Cmd) {
        let guarded = || {
            let tasks = self.tasks.iter().map(AsRef::as_ref);
            tasks.filter(|task| task.unique.is_some() || task.repeat_mark.is_some())
        };
        let count = guarded().count();
        cmd.arg(count);
        if count == 0 {
            return;
        }
        cmd.arg(u8::from(self.all_or_none));
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

/// A task that was made is told by when it is due; anything else in a list of its own.
fn enqueued(task: &NewTask, reply: &mut Reply) -> Result<Result<Enqueued, NotEnqueued>, BadReply> {
    let Some(mut told) = reply.array_if_any() else {
        return Ok(Ok(Enqueued::new(task.id, reply.some_millis()?)));
    };
    let made = match told.text()?.as_str() {
        "mismatch" => return Ok(Err(NotEnqueued::Mismatch)),
        "full" => return Ok(Err(NotEnqueued::Full)),
        "rejected" => {
            let (holder, state) = (told.id()?, kept_state(&told.text()?)?);
            return Ok(Err(NotEnqueued::Duplicate { holder, state }));
        }
        "made" => Made::Task,
        "duplicate" => Made::Duplicate,
        "replaced" => Made::Replacement,
        _ => return Err(BadReply("what became of an enqueue")),
    };
    Ok(Ok(Enqueued {
        id: told.id()?,
        state: kept_state(&told.text()?)?,
        run_at: told.some_millis()?,
        made,
        replayed: told.flag()?,
        result: None,
    }))
}

fn kept_state(letter: &str) -> Result<Option<TaskState>, BadReply> {
    match letter {
        "g" => Ok(None),
        letter => state(letter).map(Some),
    }
}

/// The lane of a task, and its times.
fn way(task: &NewTask) -> (u16, &str, &str, Start, Option<Expiry>) {
    let group = task.group.as_ref().map_or("", |group| group.as_str());
    (
        task.priority.get(),
        task.name.as_str(),
        group,
        task.start,
        task.expiry,
    )
}

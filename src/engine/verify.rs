//! Audits a queue while it works, by small reads with pauses. Each read sees one moment.
//!
//! A reported problem existed at that moment. Some states are normal for a short time, such as heads that are
//! being reordered; the audit looks at those again a second later, before it reports them. Fresh lists cannot
//! be searched: a task that must be in one is a claim, and reading the list settles claims ([`claims`]).

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::{Engine, Failure};
use crate::domain::audit::{Audit, Disagreement, Kind};
use crate::domain::limits::PROBLEMS_MAX;
use crate::domain::{QueueName, TaskId};
use crate::store::ops::verify_counts::VerifyCountsOp;
use crate::store::ops::verify_index::VerifyIndexOp;
use crate::store::ops::verify_lane::VerifyLaneOp;
use crate::store::ops::verify_tasks::VerifyTasksOp;
use crate::store::ops::{Absent, Op};
use crate::store::{Conn, QueueKeys};

mod claims;
mod finished;
mod place;

use claims::Claims;
use place::{INDEXES, Place, Step};

/// Tasks or entries of one read: about a quarter of a millisecond of Redis's time.
const PAGE: usize = 25;
/// Entries of one read that needs only their ids.
const IDS_PAGE: usize = 500;
/// The pause after each read, in multiples of the time that the read took.
const PAUSE_FACTOR: u32 = 9;
/// The time before the audit looks at a problem again.
const DOUBT: Duration = Duration::from_secs(1);
/// Tasks with problems that one read looks at again.
const DOUBTED_MAX: usize = 50;

/// The outcome of an audit call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    Part(Audit),
    /// Another call audits the queue in this process.
    Busy,
    /// A cursor that no audit wrote.
    BadCursor,
    /// There is no such queue.
    Absent,
}

impl Engine {
    /// Audits a queue, or a part of it, for about as long as `patience`. Dropping the future ends the audit.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn verify(
        &self,
        queue: &QueueName,
        cursor: Option<&str>,
        patience: Duration,
    ) -> Result<Verified, Failure> {
        let Some(place) = cursor.map_or(Some(Place::default()), Place::parse) else {
            return Ok(Verified::BadCursor);
        };
        let Some(_turn) = Turn::take(self, queue) else {
            return Ok(Verified::Busy);
        };
        let auditor = Auditor {
            conn: self.store().conn(),
            keys: QueueKeys::new(queue),
            place,
            names: HashSet::new(),
            claims: Claims::default(),
            doubted: Vec::new(),
            told: HashSet::new(),
            audit: Audit::default(),
        };
        match auditor.run(Instant::now() + patience).await {
            Ok(audit) => Ok(Verified::Part(audit)),
            Err(Stop::Absent) => Ok(Verified::Absent),
            Err(Stop::Failure(failure)) => Err(failure),
        }
    }
}

/// One audit of a queue at a time: two would take twice the share of Redis.
struct Turn<'a> {
    engine: &'a Engine,
    queue: QueueName,
}

impl<'a> Turn<'a> {
    fn take(engine: &'a Engine, queue: &QueueName) -> Option<Self> {
        let mut verifying = engine.inner.verifying.lock().ok()?;
        verifying.insert(queue.clone()).then(|| Self {
            engine,
            queue: queue.clone(),
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Ok(mut verifying) = self.engine.inner.verifying.lock() {
            verifying.remove(&self.queue);
        }
    }
}

/// The reason why an audit stops early.
enum Stop {
    Absent,
    Failure(Failure),
}

struct Auditor {
    conn: Conn,
    keys: QueueKeys,
    place: Place,
    /// Lanes that the audit has read or is reading.
    names: HashSet<String>,
    claims: Claims,
    /// Problems of tasks that are not yet confirmed.
    doubted: Vec<Disagreement>,
    told: HashSet<(Kind, Option<TaskId>, String)>,
    audit: Audit,
}

impl Auditor {
    async fn run(mut self, deadline: Instant) -> Result<Audit, Stop> {
        self.audit.tasks = self.ask(&VerifyTasksOp::These(&[])).await?.records;
        while let Some(step) = self.place.next() {
            self.step(step).await?;
            if self.doubted.len() >= DOUBTED_MAX {
                self.confirm().await?;
            }
            if self.claims.is_full() {
                self.settle_claims().await?;
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.settle_claims().await?;
        self.confirm().await?;
        self.audit.next_cursor = self.place.cursor();
        Ok(self.audit)
    }

    async fn step(&mut self, step: Step) -> Result<(), Stop> {
        match step {
            Step::Tasks(cursor) => {
                let op = VerifyTasksOp::Page {
                    cursor: &cursor,
                    limit: PAGE,
                };
                let tasks = self.ask(&op).await?;
                self.audit.checked += tasks.page.looked;
                self.doubted.extend(tasks.page.problems);
                self.claims.add(tasks.claims);
                self.place.then(Step::Tasks, tasks.page.cursor);
            }
            Step::Index(index, cursor) => {
                let Some((role, limit)) = INDEXES.get(index).copied() else {
                    return Ok(());
                };
                let (problems, _, next) = self.index(role, "", &cursor, limit).await?;
                self.doubted.extend(problems);
                self.place.then(|cursor| Step::Index(index, cursor), next);
            }
            Step::Groups(cursor) => {
                let (problems, groups, next) = self.index("turn", "", &cursor, PAGE).await?;
                self.tell(problems);
                self.place.then(Step::Groups, next);
                self.place
                    .extend(groups.into_iter().map(|group| Step::Heads(group, "0".to_owned())));
            }
            Step::Heads(group, cursor) => {
                let (problems, lanes, next) = self.index("heads", &group, &cursor, PAGE).await?;
                self.tell(problems);
                self.place.then(|cursor| Step::Heads(group.clone(), cursor), next);
                for lane in lanes {
                    if let Some((_, name)) = lane.split_once('/')
                        && self.names.insert(name.to_owned())
                    {
                        self.place.extend([Step::Name(name.to_owned(), "0".to_owned())]);
                    }
                    let lane = format!("{lane}/{group}");
                    self.place.extend([
                        Step::Lane(lane.clone(), true, "0".to_owned()),
                        Step::Lane(lane, false, "0".to_owned()),
                    ]);
                }
            }
            Step::Lane(lane, back, cursor) => {
                let op = VerifyLaneOp {
                    lane: lane.as_bytes(),
                    back,
                    cursor: &cursor,
                    limit: PAGE,
                    examine: true,
                };
                let page = self.ask(&op).await?.page;
                self.tell(page.problems);
                self.place
                    .then(|cursor| Step::Lane(lane.clone(), back, cursor), page.cursor);
            }
            Step::Name(name, cursor) => {
                let (problems, _, next) = self.index("names", &name, &cursor, PAGE).await?;
                self.tell(problems);
                self.place.then(|cursor| Step::Name(name.clone(), cursor), next);
            }
            Step::Finished => self.finished().await?,
            Step::Counts => {
                let counts = self.ask(&VerifyCountsOp).await?;
                self.tell(counts.problems);
            }
        }
        Ok(())
    }

    async fn index(
        &mut self,
        index: &str,
        of: &str,
        cursor: &str,
        limit: usize,
    ) -> Result<(Vec<Disagreement>, Vec<String>, String), Stop> {
        let op = VerifyIndexOp {
            index,
            of: of.as_bytes(),
            cursor,
            limit,
        };
        let answer = self.ask(&op).await?;
        let members = answer
            .members
            .iter()
            .map(|member| String::from_utf8_lossy(member).into_owned());
        Ok((answer.page.problems, members.collect(), answer.page.cursor))
    }

    /// Looks at the tasks with problems again, and reports the problems that are still there.
    async fn confirm(&mut self) -> Result<(), Stop> {
        if self.doubted.is_empty() {
            return Ok(());
        }
        // Past the bound of reported problems, there is no need to confirm more.
        if self.audit.problems.len() < PROBLEMS_MAX {
            sleep(DOUBT).await;
        }
        let doubted = std::mem::take(&mut self.doubted);
        let (of_tasks, others): (Vec<_>, Vec<_>) = doubted.into_iter().partition(|found| found.id.is_some());
        self.tell(others);
        let ids: Vec<TaskId> = of_tasks.iter().filter_map(|found| found.id).collect();
        for ids in ids.chunks(PAGE) {
            let again = self.ask(&VerifyTasksOp::These(ids)).await?.page.problems;
            let same = |found: &&Disagreement| {
                again
                    .iter()
                    .any(|again| again.kind == found.kind && again.id == found.id)
            };
            let confirmed: Vec<_> = of_tasks
                .iter()
                .filter(|found| found.id.is_some_and(|id| ids.contains(&id)))
                .filter(same)
                .cloned()
                .collect();
            self.tell(confirmed);
        }
        Ok(())
    }

    /// Reports a task once, even if two parts of the audit find it.
    fn tell(&mut self, problems: Vec<Disagreement>) {
        for found in problems {
            // Reports a lane once, whichever of its tasks led to it.
            let id = found.id.filter(|_| found.kind != Kind::Lane);
            let key = (found.kind, id, found.detail.clone());
            if self.told.contains(&key) {
                continue;
            }
            self.audit.problems_total += 1;
            if self.audit.problems.len() < PROBLEMS_MAX {
                tracing::warn!(
                    kind = found.kind.word(),
                    detail = found.detail,
                    "an audit found a disagreement"
                );
                self.told.insert(key);
                self.audit.problems.push(found);
            }
        }
    }

    /// Does one small read, then pauses.
    async fn ask<O, T>(&mut self, op: &O) -> Result<T, Stop>
    where
        O: Op<Outcome = Result<T, Absent>>,
    {
        let started = Instant::now();
        let answer = self.conn.call(&self.keys, op).await;
        let paused = Instant::now() + started.elapsed() * PAUSE_FACTOR;
        match answer {
            Ok(Ok(answer)) => {
                sleep_until(paused).await;
                Ok(answer)
            }
            Ok(Err(Absent)) => Err(Stop::Absent),
            Err(error) => Err(Stop::Failure(error.into())),
        }
    }
}

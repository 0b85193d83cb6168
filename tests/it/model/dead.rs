//! Dead letters: found by filters, replayed, purged. First what it means, then the real thing.

use leaseq::domain::dead::{DeadFilter, Replay};
use leaseq::domain::task::Json;
use leaseq::domain::{Group, NewTask, Priority, Start, TaskId};
use leaseq::store::ops::dead::{DeadLetter, DeadOp};
use leaseq::store::ops::purge_dead::PurgeDeadOp;
use leaseq::store::ops::replay::{Item, Moved, ReplayOp};

use super::answer::Answer;
use super::queue::Queue;
use super::task::State;
use super::world::World;
use crate::support::queue::REPLICA;

/// Which dead letters a step is about, and how many at most.
#[derive(Debug, Clone)]
pub struct Which {
    pub filter: DeadFilter,
    pub limit: usize,
}

impl Queue {
    /// Dead letters that match, oldest first.
    pub fn find_dead(&self, which: &Which) -> Vec<TaskId> {
        let matching = self.dead_letters().into_iter().filter(|id| {
            let task = &self.tasks[id];
            let State::Dead { at, reason } = task.state else {
                unreachable!("it is a dead letter")
            };
            let last_error = task.attempts.last().map(|attempt| attempt.error_type.as_str());
            let DeadFilter {
                name,
                group,
                reason: its_reason,
                error_type,
                error,
                died_after,
                died_before,
            } = &which.filter;
            assert!(error.is_none(), "the model knows types of errors only");
            name.as_ref().is_none_or(|name| task.name == *name)
                && group.as_ref().is_none_or(|group| task.group == group.as_str())
                && its_reason.is_none_or(|its| its == reason)
                && error_type.as_deref().is_none_or(|kind| last_error == Some(kind))
                && died_after.is_none_or(|after| at >= after)
                && died_before.is_none_or(|before| at < before)
        });
        matching.take(which.limit).collect()
    }

    /// Each becomes a new task that knows nothing of the old one's attempts, and is a dead letter no more.
    pub fn replay(&mut self, which: &Which, ids: &[TaskId], replay: &Replay, start: Start) -> Answer {
        let (mut moved, mut ready, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (old, id) in self.find_dead(which).into_iter().zip(ids) {
            let key = self.tasks[&old].unique.clone();
            let hold = match self.key_of_replay(old, key.as_ref()) {
                Ok(hold) => hold,
                Err(holder) => {
                    moved.push((old, Err(holder)));
                    continue;
                }
            };
            if let Some((key, hold)) = key.as_ref().zip(hold) {
                self.hand_over(key, hold, *id);
            }
            let dead = self.tasks.remove(&old).expect("it is a dead letter");
            left.extend(self.may_be_repeated(&dead).then_some(old));
            self.totals.replayed += 1;
            let payload = Json::from_checked(dead.payload);
            let new = NewTask {
                id: *id,
                name: dead.name,
                group: Group::parse(&dead.group).ok(),
                payload: replay.payload.clone().unwrap_or(payload),
                priority: replay
                    .priority
                    .or(Priority::new(dead.priority.into()))
                    .expect("a valid priority"),
                start,
                max_attempts: replay.max_attempts.or(Some(dead.max_attempts)),
                lease_ms: Some(dead.lease_ms),
                retry: Some(dead.retry),
                unique: dead.unique,
                ..NewTask::new(Json::null())
            };
            let task = self.accept(&new);
            moved.push((old, Ok(task.run_at)));
            if task.is_ready() {
                ready.push(task.id);
            }
            self.tasks.insert(task.id, task);
        }
        self.arrive(&ready);
        self.leave_marks(&left);
        Answer::Replayed {
            ready: ready.len() as u64,
            moved,
        }
    }

    pub fn purge_dead(&mut self, which: &Which) -> Answer {
        let purged = self.find_dead(which);
        let young = |id: &&TaskId| self.may_be_repeated(&self.tasks[*id]);
        let left: Vec<_> = purged.iter().filter(young).copied().collect();
        for id in &purged {
            self.tasks.remove(id);
        }
        self.leave_marks(&left);
        self.totals.purged += purged.len() as u64;
        Answer::DeadPurged(purged)
    }
}

impl World {
    /// Page by page, so that cursors have their say.
    fn find_dead(&mut self, which: &Which, newest_first: bool) -> Vec<DeadLetter> {
        let (mut letters, mut behind) = (Vec::new(), None);
        loop {
            let op = DeadOp {
                filter: &which.filter,
                only: None,
                newest_first,
                look: 3,
                limit: which.limit - letters.len(),
                behind,
                records: true,
            };
            let page = self.call(&op).expect("the queue exists");
            letters.extend(page.letters);
            behind = page.next;
            if behind.is_none() || letters.len() == which.limit {
                return letters;
            }
        }
    }

    /// `again`: the outcome of the first try is unknown.
    pub fn replay(
        &mut self,
        which: &Which,
        ids: &[TaskId],
        replay: &Replay,
        start: Start,
        again: bool,
    ) -> Answer {
        let letters = self.find_dead(which, false);
        assert_eq!(letters.len(), ids.len(), "{which:?} finds {letters:?}");
        if letters.is_empty() {
            return Answer::Replayed {
                ready: 0,
                moved: Vec::new(),
            };
        }
        let items: Vec<Item> = letters
            .iter()
            .zip(ids)
            .map(|(letter, id)| Item::new(letter, *id, start, replay).expect("a record as it was written"))
            .collect();
        let mut op = ReplayOp {
            replica: REPLICA,
            again: false,
            replay,
            items: &items,
        };
        let first = self.call(&op).expect("the queue exists");
        if again {
            op.again = true;
            let second = self.call(&op).expect("the queue exists");
            // But for who holds a key: another entry, which the first try made a task of, under its new name.
            let renamed = |holder: TaskId| {
                let of_holder = letters
                    .iter()
                    .zip(ids)
                    .zip(&first.items)
                    .find(|((letter, _), moved)| {
                        letter.place.id == holder && matches!(moved, Moved::Moved(_))
                    });
                of_holder.map_or(holder, |((_, id), _)| *id)
            };
            let told: Vec<Moved> = first
                .items
                .iter()
                .map(|moved| match moved {
                    Moved::Taken(holder) => Moved::Taken(renamed(*holder)),
                    other => *other,
                })
                .collect();
            assert_eq!(
                (second.ready, second.items),
                (0, told),
                "a repeat is told the same"
            );
        }
        let moved = |(letter, moved): (&DeadLetter, &Moved)| match moved {
            Moved::Moved(run_at) => (letter.place.id, Ok(*run_at)),
            Moved::Taken(holder) => (letter.place.id, Err(*holder)),
            Moved::Gone => panic!("{letter:?} was dead just now"),
        };
        Answer::Replayed {
            ready: first.ready,
            moved: letters.iter().zip(&first.items).map(moved).collect(),
        }
    }

    pub fn purge_dead(&mut self, which: &Which) -> Answer {
        let letters = self.find_dead(which, false);
        let ids: Vec<TaskId> = letters.iter().map(|letter| letter.place.id).collect();
        if !ids.is_empty() {
            let purged = self.call(&PurgeDeadOp(&ids)).expect("the queue exists");
            assert_eq!(purged, ids.len() as u64, "a purge removes what it reports");
            let again = self.call(&PurgeDeadOp(&ids)).expect("the queue exists");
            assert_eq!(again, 0, "and only once");
        }
        Answer::DeadPurged(ids)
    }

    /// All dead letters as a person reads them.
    pub fn peek(&mut self) -> Vec<TaskId> {
        let all = Which {
            filter: DeadFilter::default(),
            limit: usize::MAX,
        };
        let letters = self.find_dead(&all, true);
        letters.iter().map(|letter| letter.place.id).collect()
    }
}

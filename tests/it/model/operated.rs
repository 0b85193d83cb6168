//! Operations of operators on the real queue.

use leaseq::domain::change::Change;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::{TaskId, TaskState};
use leaseq::store::ops::cancel::CancelOp;
use leaseq::store::ops::delete::{DeleteOp, Deleted, What};
use leaseq::store::ops::discard::DiscardOp;
use leaseq::store::ops::patch::PatchOp;
use leaseq::store::ops::purge::{PurgeOp, Purged};
use leaseq::store::ops::select::{SelectOp, States};

use super::answer::Answer;
use super::operate::Filter;
use super::world::World;
use crate::support::queue::REPLICA;

impl World {
    pub fn cancel(&mut self, ids: &[TaskId], only: Option<TaskState>) -> Answer {
        Answer::Cancelled(self.call(&CancelOp { only, ids }).expect("the queue exists"))
    }

    /// Handles the tasks of all pages in the order of ids, because the order of a scan is undefined.
    pub fn cancel_many(&mut self, filter: &Filter) -> Answer {
        let states = filter.state.map_or(States::Unfinished, States::One);
        let (mut ids, mut cursor) = (Vec::new(), Vec::new());
        loop {
            let op = SelectOp {
                states,
                name: filter.name,
                group: filter.group,
                deletes: false,
                limit: 3,
                cursor: &cursor,
            };
            let listed = self.call(&op).expect("the queue exists");
            ids.extend(listed.ids);
            cursor = listed.cursor;
            if cursor.is_empty() {
                break;
            }
        }
        ids.sort();
        self.cancel(&ids, filter.state)
    }

    pub fn change(&mut self, id: TaskId, change: Change) -> Answer {
        let op = PatchOp {
            replica: REPLICA,
            id,
            change,
        };
        Answer::Changed(self.call(&op))
    }

    pub fn purge(&mut self, state: Option<TaskState>, page: usize) -> Answer {
        let mut sum = Purged::default();
        if !matches!(state, Some(TaskState::Completed | TaskState::Cancelled)) {
            self.purge_live(state, page, &mut sum);
        }
        if matches!(state, None | Some(TaskState::Completed | TaskState::Cancelled)) {
            let mut skip = Some(0);
            while let Some(from) = skip {
                let op = DiscardOp {
                    only: state,
                    skip: from,
                    limit: page,
                };
                let discarded = self.call(&op).expect("the queue exists");
                sum.purged += discarded.purged;
                skip = discarded.skip;
            }
        }
        Answer::Purged {
            purged: sum.purged,
            cancel_requested: sum.cancel_requested,
        }
    }

    fn purge_live(&mut self, state: Option<TaskState>, page: usize, sum: &mut Purged) {
        let mut cursor = Vec::new();
        loop {
            let op = SelectOp {
                states: state.map_or(States::Live, States::One),
                name: None,
                group: None,
                deletes: true,
                limit: page,
                cursor: &cursor,
            };
            let listed = self.call(&op).expect("the queue exists");
            let op = PurgeOp {
                only: state,
                ids: &listed.ids,
            };
            let purged = self.call(&op).expect("the queue exists");
            sum.purged += purged.purged;
            sum.cancel_requested += purged.cancel_requested;
            cursor = listed.cursor;
            if cursor.is_empty() {
                return;
            }
        }
    }

    /// Interrupted after its first step: the rest is cleared by whoever makes the queue anew.
    pub fn delete(&mut self, config: &QueueConfig) -> Answer {
        let op = DeleteOp {
            what: What::Filled,
            lanes: 1,
        };
        let Deleted::Done { tasks } = self.call(&op).deleted else {
            panic!("the queue exists")
        };
        self.version = 0;
        let Answer::Configured { version } = self.configure(config) else {
            unreachable!("configure says so")
        };
        Answer::Deleted { tasks, version }
    }
}

//! The live audit finds nothing in any state that the scripts can make: it shares no code with the auditor of
//! the tests, which says the same of the same rules.

use leaseq::domain::audit::Disagreement;
use leaseq::store::ops::verify_counts::VerifyCountsOp;
use leaseq::store::ops::verify_done::{VerifiedDone, VerifyDoneOp};
use leaseq::store::ops::verify_index::VerifyIndexOp;
use leaseq::store::ops::verify_lane::VerifyLaneOp;
use leaseq::store::ops::verify_tasks::VerifyTasksOp;

use super::world::World;

/// More than any modelled queue has.
const ALL: usize = 500;

impl World {
    /// The findings of an audit, without its pauses.
    pub fn live_problems(&mut self) -> Vec<Disagreement> {
        let mut problems = self.call(&VerifyCountsOp).expect("the queue exists").problems;
        let mut cursor = "0 0".to_owned();
        while !cursor.is_empty() {
            let op = VerifyTasksOp::Page {
                cursor: &cursor,
                limit: ALL,
            };
            let tasks = self.call(&op).expect("the queue exists");
            problems.extend(tasks.page.problems);
            for (lane, claimed) in tasks.claims {
                let op = VerifyLaneOp {
                    lane: &lane,
                    back: false,
                    cursor: "0",
                    limit: ALL,
                    examine: true,
                };
                let fresh = self.call(&op).expect("the queue exists");
                problems.extend(fresh.page.problems);
                for id in claimed {
                    assert!(fresh.ids.contains(&id), "{id} is not in {lane:?}");
                }
            }
            cursor = tasks.page.cursor;
        }
        for index in ["due", "leased", "dead", "mut", "hist", "res", "pay"] {
            self.look_into(index, "", &mut problems);
        }
        for group in self.look_into("turn", "", &mut problems) {
            for member in self.look_into("heads", &group, &mut problems) {
                let (_, name) = member.split_once('/').expect("priority/name");
                self.look_into("names", name, &mut problems);
            }
        }
        let op = VerifyDoneOp {
            at: 0,
            last: b"",
            limit: ALL,
        };
        let Ok(VerifiedDone::Page {
            page, counted, bytes, ..
        }) = self.call(&op)
        else {
            panic!("nothing leaves meanwhile")
        };
        problems.extend(page.problems);
        assert_eq!(counted, bytes.iter().map(|&bytes| u64::from(bytes)).sum::<u64>());
        problems
    }

    fn look_into(&mut self, index: &str, of: &str, problems: &mut Vec<Disagreement>) -> Vec<String> {
        let op = VerifyIndexOp {
            index,
            of: of.as_bytes(),
            cursor: "0",
            limit: ALL,
        };
        let found = self.call(&op).expect("the queue exists");
        problems.extend(found.page.problems);
        let text = |member: &bytes::Bytes| String::from_utf8(member.to_vec()).expect("names are text");
        found.members.iter().map(text).collect()
    }
}

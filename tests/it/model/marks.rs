//! The marks of settled leases, so that a repeat gets its response and has no second effect (I9).

use std::collections::BTreeMap;

use leaseq::domain::{Millis, TaskId};

use super::answer::Told;
use super::task::Proof;

/// At least this long, in ms: the older of two generations goes when the younger is as old.
const GENERATION_MS: u64 = 300_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Ack,
    Nack,
    Extend,
    Release,
    /// It left while it waited: no lease did that.
    Left,
}

#[derive(Debug, Clone)]
struct Mark {
    op: Op,
    proof: Proof,
    told: Told,
}

/// An ack ends the task, anything else just one grant of it.
type Ended = (TaskId, Option<u32>);
type Generation = BTreeMap<Ended, Mark>;

#[derive(Debug, Clone, Default)]
pub struct Marks {
    young: Generation,
    old: Generation,
    young_since: Millis,
}

impl Marks {
    /// Notes what a call settled.
    pub fn write(&mut self, now: Millis, settled: Vec<(Op, Proof, Told)>) {
        if settled.is_empty() {
            return;
        }
        if now.since(self.young_since) >= GENERATION_MS {
            self.old = std::mem::take(&mut self.young);
            self.young_since = now;
        }
        for (op, proof, told) in settled {
            let ended = (
                proof.task,
                (!matches!(op, Op::Ack | Op::Left)).then_some(proof.grant),
            );
            self.young.insert(ended, Mark { op, proof, told });
        }
    }

    fn get(&self, ended: Ended) -> Option<&Mark> {
        self.young.get(&ended).or_else(|| self.old.get(&ended))
    }

    /// Returns the response for a lease that is not current, if a mark knows it: the first response for the
    /// operation that ended it, `Lost` for any other.
    pub fn judge(&self, op: Op, proof: Proof) -> Option<Told> {
        let again = |mark: &Mark| match mark.op == op && mark.proof == proof {
            true => mark.told.clone().again(),
            false => Told::Lost,
        };
        let own = self.get((proof.task, Some(proof.grant)));
        own.filter(|mark| mark.proof.nonce == proof.nonce)
            .or_else(|| self.get((proof.task, None)))
            .map(again)
    }
}

//! Fair share: whose turn it is among the groups that have something ready.
//!
//! Each group has a *pass*. The lowest has its turn, ties go by name, and each grant adds what a turn of the
//! group costs: the more its weight, the less. So passes lie within one turn of each other, and over any
//! stretch of grants nobody gets more than its share and one (I18).

use std::collections::BTreeMap;

type Pass = u64;

/// Groups with ready tasks, and only they; and where the latest turn was taken.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    passes: BTreeMap<String, Pass>,
    round: Pass,
}

impl Turns {
    /// Groups that have something ready now, with what a turn of each costs. A group that comes back counts
    /// as if it had just had its turn, so that no group gains by leaving. It stands before those who had
    /// theirs before it.
    pub fn join<'a>(&mut self, groups: impl Iterator<Item = (&'a str, Pass)>) {
        if self.passes.is_empty() {
            self.round = 0;
        }
        let round = self.round;
        for (group, cost) in groups {
            self.passes.entry(group.to_owned()).or_insert(round + cost - 1);
        }
    }

    pub fn len(&self) -> usize {
        self.passes.len()
    }

    pub fn leave(&mut self, group: &str) {
        self.passes.remove(group);
    }

    /// The groups that `may` have a turn, in its order.
    pub fn line(&self, may: impl Fn(&str) -> bool) -> Line {
        let mut waiting: Vec<_> = self.passes.iter().filter(|(group, _)| may(group)).collect();
        waiting.sort_by_key(|(_, pass)| **pass); // stable: ties stay in the order of their names
        // A group that a filter skipped gets no credit: it has its turn now, not all the turns that it
        // missed.
        let waiting = waiting
            .into_iter()
            .map(|(group, pass)| (group.clone(), (*pass).max(self.round)));
        Line(waiting.collect())
    }

    /// Notes a turn that ended at `pass`.
    pub fn took(&mut self, group: &str, pass: Pass, cost: Pass) {
        if let Some(known) = self.passes.get_mut(group) {
            *known = pass;
        }
        self.round = self.round.max(pass - cost);
    }
}

/// Groups in the order of their turns, during one lease call.
pub struct Line(Vec<(String, Pass)>);

impl Line {
    /// Whose turn it is.
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(|(group, _)| group.as_str())
    }

    /// The first has nothing (more) for this call.
    pub fn skip(&mut self) {
        self.0.remove(0);
    }

    /// The first had its turn and goes behind all who do not have to wait longer. Says its new pass.
    pub fn turn(&mut self, cost: Pass) -> Pass {
        let (group, pass) = self.0.remove(0);
        let pass = pass + cost;
        let behind = self.0.iter().take_while(|(_, other)| *other <= pass).count();
        self.0.insert(behind, (group, pass));
        pass
    }
}

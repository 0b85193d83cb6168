//! Fair share: whose turn it is among the groups that have something ready.
//!
//! Each group has a *pass*. The lowest has its turn, ties go by name, and each grant adds one. So all passes lie
//! within one of each other, and over any stretch of grants nobody gets more than its share and one (I18).

use std::collections::BTreeMap;

/// In half turns: a newcomer stands between those who wait in this round and those who had their turn in it.
type Pass = u64;
const TURN: Pass = 2;
const NEWCOMER: Pass = 1;

/// Groups with ready tasks, and only they.
#[derive(Debug, Clone, Default)]
pub struct Turns(BTreeMap<String, Pass>);

impl Turns {
    /// Groups that a `names` filter passed by have no credit for it: in this round each has one turn to wait for, not all that it missed.
    fn round(&self) -> Option<Pass> {
        let lowest = self.0.values().min()?;
        let highest = self.0.values().max()?;
        Some((*lowest).max(highest.saturating_sub(TURN)))
    }

    /// Groups that have something ready now. Who comes back is a newcomer: nobody gains by leaving.
    pub fn join<'a>(&mut self, groups: impl Iterator<Item = &'a str>) {
        let pass = self.round().map_or(TURN, |round| round + NEWCOMER);
        for group in groups {
            self.0.entry(group.to_owned()).or_insert(pass);
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn leave(&mut self, group: &str) {
        self.0.remove(group);
    }

    /// The groups that `may` have a turn, in its order.
    pub fn line(&self, may: impl Fn(&str) -> bool) -> Line {
        let round = self.round().unwrap_or_default();
        let mut waiting: Vec<_> = self.0.iter().filter(|(group, _)| may(group)).collect();
        waiting.sort_by_key(|(_, pass)| **pass); // stable: ties stay in the order of their names
        let waiting = waiting
            .into_iter()
            .map(|(group, pass)| (group.clone(), (*pass).max(round)));
        Line(waiting.collect())
    }

    /// Notes where a line ended.
    pub fn took(&mut self, group: &str, pass: Pass) {
        if let Some(known) = self.0.get_mut(group) {
            *known = pass;
        }
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
    pub fn turn(&mut self) -> Pass {
        let (group, pass) = self.0.remove(0);
        let pass = pass + TURN;
        let behind = self.0.iter().take_while(|(_, other)| *other <= pass).count();
        self.0.insert(behind, (group, pass));
        pass
    }
}

//! Counters of task names. They are off by default, because callers choose the names and there may be many.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use prometheus::{IntCounter, IntCounterVec};

use super::{New, OTHER};
use crate::domain::{QueueName, TaskName};

/// The counters of a name in a queue.
#[derive(Debug, Clone)]
pub struct NameCounters {
    pub enqueued: IntCounter,
    pub leased: IntCounter,
}

#[derive(Debug)]
pub(super) struct Names {
    /// Pairs of queue and name with their own labels; 0 counts none.
    pub(super) max: usize,
    enqueued: IntCounterVec,
    leased: IntCounterVec,
    known: RwLock<HashMap<(QueueName, TaskName), NameCounters>>,
}

impl Names {
    pub(super) fn new(new: &New<'_>, max: usize) -> Self {
        let labels = &["queue", "name"];
        Self {
            max,
            enqueued: new.counters(
                "leaseq_name_tasks_enqueued_total",
                "Tasks accepted, by name; only with metrics_names",
                labels,
            ),
            leased: new.counters(
                "leaseq_name_tasks_leased_total",
                "Tasks leased to callers, by name; only with metrics_names",
                labels,
            ),
            known: RwLock::default(),
        }
    }

    /// Returns the counters of a name, or those of `_other` beyond the bound. `None` if metrics of names are
    /// off.
    pub(super) fn of(&self, queue: &QueueName, name: &TaskName) -> Option<NameCounters> {
        if self.max == 0 {
            return None;
        }
        Some(
            self.own(queue, name)
                .unwrap_or_else(|| self.counters(OTHER, OTHER)),
        )
    }

    pub(super) fn has_labels(&self, queue: &QueueName, name: &TaskName) -> bool {
        self.own(queue, name).is_some()
    }

    /// Returns the own counters of a name, `None` beyond the bound.
    fn own(&self, queue: &QueueName, name: &TaskName) -> Option<NameCounters> {
        let key = (queue.clone(), name.clone());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = known.get(&key) {
            return Some(counters.clone());
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.max && !known.contains_key(&key) {
            return None;
        }
        let counters = self.counters(queue.as_str(), name.as_str());
        Some(known.entry(key).or_insert(counters).clone())
    }

    fn counters(&self, queue: &str, name: &str) -> NameCounters {
        NameCounters {
            enqueued: self.enqueued.with_label_values(&[queue, name]),
            leased: self.leased.with_label_values(&[queue, name]),
        }
    }
}

//! Waiters by queue, in order. Pure: time is passed in, and waking is left to the caller.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

/// Waiters by queue and class. One class has one `names` filter and is served first come, first served. A new
/// task may be for any class of its queue, so a wake goes to the first waiters of each.
pub(super) struct WaitList<Q, C, I, T> {
    next: u64,
    live: HashMap<u64, Waiter<Q, I, T>>,
    classes: HashMap<Q, Vec<(C, VecDeque<u64>)>>,
    deadlines: BTreeSet<(I, u64)>,
}

struct Waiter<Q, I, T> {
    queue: Q,
    deadline: I,
    item: T,
}

impl<Q: Clone + Eq + Hash, C: PartialEq, I: Ord + Copy, T> WaitList<Q, C, I, T> {
    pub(super) fn new() -> Self {
        Self {
            next: 0,
            live: HashMap::new(),
            classes: HashMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Counts the waiters of some classes of a queue that are still there.
    pub(super) fn count(
        &self,
        queue: &Q,
        in_class: impl Fn(&C) -> bool,
        alive: impl Fn(&T) -> bool,
    ) -> usize {
        let classes = self
            .classes
            .get(queue)
            .into_iter()
            .flatten()
            .filter(|(class, _)| in_class(class));
        let waiters = classes
            .flat_map(|(_, ids)| ids)
            .filter_map(|id| self.live.get(id));
        waiters.filter(|waiter| alive(&waiter.item)).count()
    }

    /// Returns the queues that have waiters.
    pub(super) fn queues(&self) -> impl Iterator<Item = &Q> {
        self.classes.keys()
    }

    /// Returns whether the queue has waiters. Waiters whose callers left may still count.
    pub(super) fn waits(&self, queue: &Q) -> bool {
        self.classes.contains_key(queue)
    }

    pub(super) fn waits_in_class(&self, queue: &Q, class: &C) -> bool {
        self.classes
            .get(queue)
            .is_some_and(|classes| classes.iter().any(|(c, ids)| c == class && !ids.is_empty()))
    }

    pub(super) fn park(&mut self, queue: Q, class: C, deadline: I, item: T) {
        let id = self.add(queue.clone(), deadline, item);
        self.class(queue, class).push_back(id);
    }

    /// Parks a waiter that was woken and got nothing in front of the others.
    pub(super) fn park_again(&mut self, queue: Q, class: C, deadline: I, item: T) {
        let id = self.add(queue.clone(), deadline, item);
        self.class(queue, class).push_front(id);
    }

    /// Takes the first `count` waiters of each class whose callers are still there, in order.
    pub(super) fn wake(&mut self, queue: &Q, count: usize, alive: impl Fn(&T) -> bool) -> Vec<(I, T)> {
        let mut woken = Vec::new();
        let Some(classes) = self.classes.get_mut(queue) else {
            return woken;
        };
        for (_, ids) in classes.iter_mut() {
            let mut left = count;
            while left > 0
                && let Some(id) = ids.pop_front()
            {
                // Its deadline removed it before.
                let Some(waiter) = self.live.remove(&id) else {
                    continue;
                };
                self.deadlines.remove(&(waiter.deadline, id));
                if alive(&waiter.item) {
                    woken.push((waiter.deadline, waiter.item));
                    left -= 1;
                }
            }
        }
        self.tidy(queue);
        woken
    }

    /// Takes the waiters whose deadline has passed.
    pub(super) fn expire(&mut self, now: I) -> Vec<(Q, T)> {
        let mut over = Vec::new();
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            if let Some(waiter) = self.live.remove(&id) {
                self.drop_expired(&waiter.queue);
                over.push((waiter.queue, waiter.item));
            }
        }
        over
    }

    /// Drops waiters of the queue whose callers left.
    pub(super) fn prune(&mut self, queue: &Q, alive: impl Fn(&T) -> bool) {
        let Some(classes) = self.classes.get_mut(queue) else {
            return;
        };
        for (_, ids) in classes.iter_mut() {
            ids.retain(|id| match self.live.get(id) {
                Some(waiter) if alive(&waiter.item) => true,
                Some(waiter) => {
                    self.deadlines.remove(&(waiter.deadline, *id));
                    self.live.remove(id);
                    false
                }
                None => false,
            });
        }
        self.tidy(queue);
    }

    pub(super) fn next_deadline(&self) -> Option<I> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Takes all waiters, in no order.
    pub(super) fn drain(&mut self) -> Vec<(Q, T)> {
        self.classes.clear();
        self.deadlines.clear();
        self.live
            .drain()
            .map(|(_, waiter)| (waiter.queue, waiter.item))
            .collect()
    }

    fn add(&mut self, queue: Q, deadline: I, item: T) -> u64 {
        self.next += 1;
        self.live.insert(
            self.next,
            Waiter {
                queue,
                deadline,
                item,
            },
        );
        self.deadlines.insert((deadline, self.next));
        self.next
    }

    fn class(&mut self, queue: Q, class: C) -> &mut VecDeque<u64> {
        let classes = self.classes.entry(queue).or_default();
        let at = classes.iter().position(|(c, _)| *c == class).unwrap_or_else(|| {
            classes.push((class, VecDeque::new()));
            classes.len() - 1
        });
        &mut classes[at].1
    }

    /// Drops expired ids from the front of each class, where the order of arrival puts them. Others are
    /// dropped when a wake reaches them.
    fn drop_expired(&mut self, queue: &Q) {
        let Some(classes) = self.classes.get_mut(queue) else {
            return;
        };
        for (_, ids) in classes.iter_mut() {
            while ids.front().is_some_and(|id| !self.live.contains_key(id)) {
                ids.pop_front();
            }
        }
        self.tidy(queue);
    }

    fn tidy(&mut self, queue: &Q) {
        if let Some(classes) = self.classes.get_mut(queue) {
            classes.retain(|(_, ids)| !ids.is_empty());
            if classes.is_empty() {
                self.classes.remove(queue);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> WaitList<&'static str, &'static str, u32, char> {
        WaitList::new()
    }

    fn items(woken: Vec<(u32, char)>) -> String {
        woken.into_iter().map(|(_, item)| item).collect()
    }

    #[test]
    fn waiters_are_woken_in_order() {
        let mut list = list();
        for item in ['a', 'b', 'c'] {
            list.park("q", "", 10, item);
        }
        assert_eq!(items(list.wake(&"q", 2, |_| true)), "ab");
        assert_eq!(items(list.wake(&"other", 2, |_| true)), "");
        assert_eq!(items(list.wake(&"q", 2, |_| true)), "c");
        assert!(!list.waits(&"q"));
    }

    #[test]
    fn a_caller_that_left_passes_its_wake_on() {
        let mut list = list();
        for item in ['a', 'b'] {
            list.park("q", "", 10, item);
        }
        assert_eq!(items(list.wake(&"q", 1, |item| *item != 'a')), "b");
        assert_eq!(list.count(&"q", |_| true, |_| true), 0);
    }

    #[test]
    fn a_waiter_that_was_woken_and_got_nothing_stays_the_first() {
        let mut list = list();
        for item in ['a', 'b'] {
            list.park("q", "", 10, item);
        }
        for (deadline, item) in list.wake(&"q", 1, |_| true) {
            list.park_again("q", "", deadline, item);
        }
        assert_eq!(items(list.wake(&"q", 2, |_| true)), "ab");
    }

    #[test]
    fn a_wake_goes_to_the_first_waiter_of_each_filter() {
        let mut list = list();
        list.park("q", "x", 10, 'a');
        list.park("q", "x", 10, 'b');
        list.park("q", "y", 10, 'c');
        assert_eq!(items(list.wake(&"q", 1, |_| true)), "ac");
        assert!(list.waits_in_class(&"q", &"x") && !list.waits_in_class(&"q", &"y"));
        assert_eq!(list.count(&"q", |class| *class == "x", |_| true), 1);
        assert_eq!(list.count(&"q", |class| *class == "y", |_| true), 0);
    }

    #[test]
    fn a_wait_ends_at_its_deadline_and_not_before() {
        let mut list = list();
        list.park("q", "", 20, 'a');
        list.park("q", "", 10, 'b');
        assert_eq!(list.next_deadline(), Some(10));
        assert_eq!(list.expire(9), []);
        assert_eq!(list.expire(10), [("q", 'b')]);
        assert_eq!(items(list.wake(&"q", 5, |_| true)), "a");
        assert_eq!(list.expire(99), []);
    }

    #[test]
    fn pruning_drops_only_callers_that_left() {
        let mut list = list();
        for item in ['a', 'b', 'c'] {
            list.park("q", "", 10, item);
        }
        assert_eq!(list.count(&"q", |_| true, |item| *item != 'b'), 2);
        list.prune(&"q", |item| *item != 'b');
        assert_eq!(list.count(&"q", |_| true, |_| true), 2);
        assert_eq!(items(list.wake(&"q", 5, |_| true)), "ac");
    }
}

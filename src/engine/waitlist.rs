//! Who waits for which queue, in order. Pure: time comes in, nobody is woken here.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

/// Waiters by queue and class. Waiters of one class (one `names` filter) are served first come, first served;
/// classes of a queue do not know which of them a new task is for, so a wake goes to the first of each.
pub(super) struct WaitList<Q, C, I, T> {
    next: u64,
    live: HashMap<u64, Waiter<Q, I, T>>,
    lines: HashMap<Q, Vec<(C, VecDeque<u64>)>>,
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
            lines: HashMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Who waits for the queue in one of some classes and is still there.
    pub(super) fn count(
        &self,
        queue: &Q,
        in_class: impl Fn(&C) -> bool,
        alive: impl Fn(&T) -> bool,
    ) -> usize {
        let classes = self
            .lines
            .get(queue)
            .into_iter()
            .flatten()
            .filter(|(class, _)| in_class(class));
        let waiters = classes
            .flat_map(|(_, line)| line)
            .filter_map(|id| self.live.get(id));
        waiters.filter(|waiter| alive(&waiter.item)).count()
    }

    /// Queues that anybody waits for.
    pub(super) fn queues(&self) -> impl Iterator<Item = &Q> {
        self.lines.keys()
    }

    /// Whether anybody waits for the queue. May still count waiters whose callers left.
    pub(super) fn waits(&self, queue: &Q) -> bool {
        self.lines.contains_key(queue)
    }

    pub(super) fn waits_in_class(&self, queue: &Q, class: &C) -> bool {
        self.lines
            .get(queue)
            .is_some_and(|classes| classes.iter().any(|(c, line)| c == class && !line.is_empty()))
    }

    pub(super) fn park(&mut self, queue: Q, class: C, deadline: I, item: T) {
        let id = self.add(queue.clone(), deadline, item);
        self.line(queue, class).push_back(id);
    }

    /// Back to the front: woken in vain, and still the first.
    pub(super) fn park_again(&mut self, queue: Q, class: C, deadline: I, item: T) {
        let id = self.add(queue.clone(), deadline, item);
        self.line(queue, class).push_front(id);
    }

    /// The first `count` of each class whose callers are still there, in order.
    pub(super) fn wake(&mut self, queue: &Q, count: usize, alive: impl Fn(&T) -> bool) -> Vec<(I, T)> {
        let mut woken = Vec::new();
        let Some(classes) = self.lines.get_mut(queue) else {
            return woken;
        };
        for (_, line) in classes.iter_mut() {
            let mut left = count;
            while left > 0
                && let Some(id) = line.pop_front()
            {
                // Gone before by its deadline.
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

    /// Those whose wait is over.
    pub(super) fn expire(&mut self, now: I) -> Vec<(Q, T)> {
        let mut over = Vec::new();
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            if let Some(waiter) = self.live.remove(&id) {
                self.sweep_line(&waiter.queue);
                over.push((waiter.queue, waiter.item));
            }
        }
        over
    }

    /// Forgets waiters of the queue whose callers left.
    pub(super) fn prune(&mut self, queue: &Q, alive: impl Fn(&T) -> bool) {
        let Some(classes) = self.lines.get_mut(queue) else {
            return;
        };
        for (_, line) in classes.iter_mut() {
            line.retain(|id| match self.live.get(id) {
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

    /// Everybody, in no order.
    pub(super) fn drain(&mut self) -> Vec<(Q, T)> {
        self.lines.clear();
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

    fn line(&mut self, queue: Q, class: C) -> &mut VecDeque<u64> {
        let classes = self.lines.entry(queue).or_default();
        let at = classes.iter().position(|(c, _)| *c == class).unwrap_or_else(|| {
            classes.push((class, VecDeque::new()));
            classes.len() - 1
        });
        &mut classes[at].1
    }

    /// Drops what expired from the front, where first-come order puts it; the rest goes when it is met.
    fn sweep_line(&mut self, queue: &Q) {
        let Some(classes) = self.lines.get_mut(queue) else {
            return;
        };
        for (_, line) in classes.iter_mut() {
            while line.front().is_some_and(|id| !self.live.contains_key(id)) {
                line.pop_front();
            }
        }
        self.tidy(queue);
    }

    fn tidy(&mut self, queue: &Q) {
        if let Some(classes) = self.lines.get_mut(queue) {
            classes.retain(|(_, line)| !line.is_empty());
            if classes.is_empty() {
                self.lines.remove(queue);
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
    fn a_caller_who_left_passes_its_wake_on() {
        let mut list = list();
        for item in ['a', 'b'] {
            list.park("q", "", 10, item);
        }
        assert_eq!(items(list.wake(&"q", 1, |item| *item != 'a')), "b");
        assert_eq!(list.count(&"q", |_| true, |_| true), 0);
    }

    #[test]
    fn who_was_woken_in_vain_stays_the_first() {
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
    fn each_filter_gets_a_wake_of_its_own() {
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
    fn waits_end_at_their_deadline_and_not_before() {
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
    fn pruning_forgets_only_who_left() {
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

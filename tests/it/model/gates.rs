//! The gates that block ready tasks: limits and holds, of the queue, of names and of groups. All that match a
//! task must let it through.

use std::collections::BTreeMap;

use leaseq::domain::gate::{Breaker as Settings, Limits, Reason, Scope, Shut};
use leaseq::domain::pause::PauseMode;
use leaseq::domain::queue::{NameConfig, QueueConfig};
use leaseq::domain::{Millis, TaskName};

use super::answer::Answer;
use super::breaker::Breaker;
use super::queue::Queue;
use super::task::Task;

/// The level of a bucket, the time of that level, and the rate and burst.
#[derive(Debug, Clone)]
struct Bucket {
    tokens: f64,
    at: Millis,
    rate: f64,
    burst: f64,
    /// Levels that were taken from, and when, as far as they fall.
    peaks: Vec<(Millis, f64)>,
}

/// More of them are not told apart.
const PEAKS_MAX: usize = 8;

#[derive(Debug, Clone, Default)]
pub struct Gates {
    buckets: BTreeMap<Scope, Bucket>,
    held: BTreeMap<Scope, Millis>,
    pub(super) breakers: BTreeMap<String, Breaker>,
}

/// A gate that lets nothing through, and when it may; `None`: when a lease ends.
type Closed = (Reason, Option<Millis>);

#[allow(clippy::cast_precision_loss)] // Times and counts stay below 2^53.
impl Bucket {
    fn grown(&self, until: Millis) -> f64 {
        let ms = until.since(self.at) as f64;
        self.burst.min(self.tokens + ms * self.rate / 1000.0)
    }

    fn grow(&mut self, now: Millis) {
        (self.tokens, self.at) = (self.grown(now), now);
    }

    fn take(&mut self, now: Millis) {
        self.grow(now);
        while self.peaks.last().is_some_and(|(_, level)| *level <= self.tokens) {
            self.peaks.pop();
        }
        if self.peaks.last().is_none_or(|(at, _)| *at != now) {
            self.peaks.push((now, self.tokens));
        }
        if self.peaks.len() > PEAKS_MAX {
            let (_, level) = self.peaks.remove(0);
            self.peaks[0].1 = self.peaks[0].1.max(level);
        }
        self.tokens -= 1.0;
    }

    /// As much as would not have overflowed, had it never been taken.
    fn give_back(&mut self, taken_at: Millis, now: Millis) {
        self.grow(now);
        let since = || self.peaks.iter().filter(|(at, _)| *at > taken_at);
        let highest = since().map(|(_, level)| *level).fold(self.tokens, f64::max);
        let fit = (self.burst - highest).clamp(0.0, 1.0);
        for (_, level) in self.peaks.iter_mut().filter(|(at, _)| *at > taken_at) {
            *level += fit;
        }
        self.tokens = self.burst.min(self.tokens + fit);
    }
}

fn scopes(task: &Task) -> [Scope; 3] {
    [
        Scope::Queue,
        Scope::Name(task.name.to_string()),
        Scope::Group(task.group.clone()),
    ]
}

/// The parts of a config that concern gates or turns.
fn gate_config(config: &QueueConfig) -> impl PartialEq {
    let of_name = |named: &NameConfig| {
        let breaker = named.breaker.or(config.breaker);
        (
            named.limits.effective(),
            breaker.map(|breaker| breaker.effective()),
        )
    };
    let mut names: BTreeMap<_, _> = config
        .names
        .iter()
        .map(|(name, named)| (name.clone(), of_name(named)))
        .collect();
    let says_nothing = |said: &(Limits, Option<Settings>)| said.0.is_none() && said.1.is_none();
    if config.breaker.is_some() && !names.contains_key("*") {
        names.insert("*".to_owned(), of_name(&NameConfig::default()));
    } else if names.values().all(says_nothing) {
        names.clear();
    }
    let mut weights = config.group_weights.clone();
    weights.remove("*");
    let groups = config.group_limits.iter();
    let groups: Vec<_> = groups
        .map(|(group, limits)| (group.clone(), limits.effective()))
        .collect();
    (weights, config.limits.effective(), names, groups)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
impl Queue {
    pub(super) fn gates_configured(&mut self, before: Option<&QueueConfig>) {
        if before.is_none_or(|before| gate_config(before) != gate_config(&self.config)) {
            self.buckets_configured();
            self.breakers_configured();
        }
    }

    /// A changed bucket keeps its share of tokens. A limit that goes is forgotten.
    fn buckets_configured(&mut self) {
        for (scope, bucket) in std::mem::take(&mut self.gates.buckets) {
            let limits = self.limits(&scope);
            if let (Some(rate), Some(burst)) = (limits.rate_per_second, limits.burst()) {
                let bucket = Bucket {
                    tokens: bucket.grown(self.now) / bucket.burst * burst,
                    at: self.now,
                    rate: rate.get(),
                    burst,
                    peaks: Vec::new(),
                };
                self.gates.buckets.insert(scope, bucket);
            }
        }
    }

    fn limits(&self, scope: &Scope) -> Limits {
        let config = &self.config;
        match scope {
            Scope::Queue => config.limits,
            Scope::Name(name) => {
                let named = config.names.get(name).or_else(|| config.names.get("*"));
                named.map_or_else(Limits::default, |named| named.limits)
            }
            Scope::Group(group) if group.is_empty() => Limits::default(),
            Scope::Group(group) => {
                let limits = config
                    .group_limits
                    .get(group)
                    .or_else(|| config.group_limits.get("*"));
                limits.copied().unwrap_or_default()
            }
        }
    }

    fn leased_in(&self, scope: &Scope) -> u64 {
        let leased = self.tasks.values().filter(|task| task.lease().is_some());
        leased.filter(|task| scopes(task).contains(scope)).count() as u64
    }

    fn bucket(&self, scope: &Scope) -> Option<Bucket> {
        let limits = self.limits(scope);
        let (rate, burst) = (limits.rate_per_second?.get(), limits.burst()?);
        let full = Bucket {
            tokens: burst,
            at: self.now,
            rate,
            burst,
            peaks: Vec::new(),
        };
        Some(self.gates.buckets.get(scope).cloned().unwrap_or(full))
    }

    /// Those that open last, together if need be.
    fn closed(&self, scope: &Scope) -> Vec<Closed> {
        let mut closed: Vec<Closed> = Vec::new();
        if let Some(until) = self.gates.held.get(scope).filter(|until| **until > self.now) {
            closed.push((Reason::Held, Some(*until)));
        }
        if let Some(bucket) = self.bucket(scope) {
            let tokens = bucket.grown(self.now);
            if tokens < 1.0 {
                let ms = ((1.0 - tokens) * 1000.0 / bucket.rate - 0.000_001).ceil() as u64;
                closed.push((Reason::RateLimited, Some(self.now.plus(ms))));
            }
        }
        if let Scope::Name(name) = scope {
            closed.extend(self.broken(name));
        }
        let max_leased = self.limits(scope).max_leased;
        if max_leased.is_some_and(|max| self.leased_in(scope) >= max) {
            closed.push((Reason::ConcurrencyLimited, None));
        }
        let opens = |(_, at): &Closed| at.unwrap_or(Millis::MAX);
        let last = closed.iter().map(opens).max();
        closed.retain(|gate| Some(opens(gate)) == last);
        closed
    }

    pub(super) fn may_pass(&self, task: &Task) -> bool {
        scopes(task).iter().all(|scope| self.closed(scope).is_empty())
    }

    pub(super) fn pass(&mut self, task: &Task) {
        let now = self.now;
        self.change_buckets(task, |bucket| bucket.take(now));
        self.probe(task.name.as_str());
    }

    /// Only a grant that its caller never got has not passed.
    pub(super) fn refund(&mut self, task: &Task) {
        let lease = task.lease().expect("it is given back");
        let (taken_at, now) = (lease.granted_at, self.now);
        self.change_buckets(task, |bucket| bucket.give_back(taken_at, now));
    }

    fn change_buckets(&mut self, task: &Task, change: impl Fn(&mut Bucket)) {
        for scope in scopes(task) {
            if let Some(mut bucket) = self.bucket(&scope) {
                change(&mut bucket);
                self.gates.buckets.insert(scope, bucket);
            }
        }
    }

    /// A worker's hold never shortens another.
    pub(super) fn hold_until(&mut self, scope: Scope, until: Millis) {
        let held = self.gates.held.entry(scope).or_default();
        *held = until.max(*held);
    }

    /// An operator's is as it was said last.
    pub fn hold_for(&mut self, scope: &Scope, ms: u64) -> Answer {
        let until = (ms > 0).then(|| self.now.plus(ms));
        self.gates.held.insert(scope.clone(), until.unwrap_or_default());
        Answer::Held(until)
    }

    /// The allowed reasons for a lease that fell short: a reason that exists, and a time no later than the
    /// first task that may pass, because nobody would look then.
    pub fn check_shut(&self, names: &[TaskName], told: Option<Shut>) -> Result<(), String> {
        if let Some(paused) = self.paused.as_ref().filter(|_| self.is_paused(PauseMode::Lease)) {
            let expected = Shut {
                reason: Reason::Paused,
                look_at: paused.until,
            };
            return match told {
                Some(told) if told == expected => Ok(()),
                _ => Err("leases are paused".to_owned()),
            };
        }
        // One that has expired waits for nothing, but may lie in its lane until somebody meets it.
        let lying: Vec<&Task> = self.tasks.values().filter(|task| task.is_in_lane()).collect();
        let ready: Vec<&Task> = lying
            .iter()
            .copied()
            .filter(|task| !task.has_expired(self.now))
            .collect();
        let wanted = |task: &&&Task| names.is_empty() || names.contains(&task.name);
        let closed = |task: &Task| scopes(task).map(|scope| self.closed(&scope)).concat();
        let opens = |task: &&Task| closed(task).iter().map(|(_, at)| at.unwrap_or(Millis::MAX)).max();
        let first = ready.iter().filter(wanted).filter_map(opens).min();
        match (first, told) {
            (None, None) => Ok(()),
            // Until it is buried it counts as ready.
            (None, Some(_)) if self.tasks.values().any(Task::is_ready) => Ok(()),
            (None, Some(_)) => Err("nothing waits".to_owned()),
            (Some(at), None) => Err(format!("something waits until {at}")),
            (Some(at), Some(told)) => {
                let reasons = lying
                    .iter()
                    .flat_map(|task| closed(task))
                    .map(|(reason, _)| reason);
                let look_at = told.look_at.unwrap_or(Millis::MAX);
                if look_at <= at
                    && look_at > self.now
                    && reasons.into_iter().any(|reason| reason == told.reason)
                {
                    Ok(())
                } else {
                    Err(format!("something may pass at {at}, now is {}", self.now))
                }
            }
        }
    }
}

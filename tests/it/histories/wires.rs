//! The wire between a replica and Redis: cut, slow, or deaf in one direction.

use std::time::Duration;

use rand::Rng;
use rand::seq::IndexedRandom;

use super::crew::Manners;
use super::proxy::Rule;
use super::run::Run;
use crate::process::running::until;

fn breaks(rules: &'static [Rule]) {
    let mut run = Run::start(2, "fsync", Manners::Impatient);
    let history = run.history(|fleet, rng| {
        let proxy = &fleet.replicas[rng.random_range(0..2)].proxy;
        proxy.rule(*rules.choose(rng).unwrap());
        if rng.random_ratio(1, 3) {
            proxy.cut();
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(5..250)));
        // A pipe that is deaf has no end but this: nobody would wait for an answer that was swallowed.
        proxy.cut();
        proxy.rule(Rule::Pass);
        fleet.assert_serves();
    });
    run.judge(&history);
}

#[test]
fn cut_and_slow_wires_lose_and_double_nothing() {
    const RULES: &[Rule] = &[
        Rule::Pass,
        Rule::Refuse,
        Rule::CutRequests,
        Rule::Slow(Duration::from_millis(30)),
    ];
    breaks(RULES);
}

/// Redis has done what nobody heard of: outcomes are unknown, and are told to be.
#[test]
fn swallowed_replies_lose_and_double_nothing() {
    breaks(&[Rule::SwallowReplies, Rule::CutReplies]);
}

/// An operation with a lease may come to Redis long after its sender gave up on it and asked again elsewhere.
#[test]
fn settles_and_leases_that_come_late_lose_and_double_nothing() {
    let mut run = Run::start(2, "fsync", Manners::Impatient);

    let history = run.history(|fleet, _| {
        let proxy = &fleet.replicas[0].proxy;
        proxy.rule(Rule::HoldRequests);
        until("a request", || (proxy.held() > 0).then_some(()));
        proxy.rule(Rule::Pass);
        proxy.cut_service();
        fleet.assert_serves();
        proxy.deliver_held();
    });
    run.judge(&history);
}

//! kill -9, of replicas and of Redis.

use std::time::Duration;

use rand::Rng;

use super::crew::Manners;
use super::run::Run;

#[test]
fn killed_replicas_lose_and_double_nothing() {
    let mut run = Run::start(3, "fsync", Manners::Impatient);
    let history = run.history(|fleet, rng| {
        let victim = rng.random_range(0..3);
        fleet.kill(victim);
        if rng.random() {
            // The others serve on meanwhile.
            std::thread::sleep(Duration::from_millis(rng.random_range(0..300)));
        }
        fleet.start_again(victim);
    });
    run.judge(&history);
}

/// I1, I27.
#[test]
fn a_killed_redis_loses_and_doubles_nothing() {
    let mut run = Run::start(2, "fsync", Manners::Impatient);
    let history = run.history(|fleet, rng| {
        fleet.powered.redis.kill();
        if rng.random() {
            std::thread::sleep(Duration::from_millis(rng.random_range(0..300)));
        }
        fleet.powered.redis.start_again();
        fleet.assert_serves();
    });
    run.judge(&history);
}

/// I1, I27: at `replicated` the primary may be lost with everything it had.
#[test]
fn a_lost_primary_takes_nothing_that_was_answered_with_it() {
    let mut run = Run::start(2, "replicated", Manners::Impatient);
    let history = run.history(|fleet, _| {
        fleet.fail_over();
        fleet.assert_serves();
    });
    run.judge(&history);
}

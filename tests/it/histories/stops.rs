//! Processes that stand still until leases have run out, and go on as if nothing had been.

use std::time::Duration;

use rand::Rng;

use super::crew::Manners;
use super::run::Run;

/// Longer than the leases of the histories, or much shorter.
fn pause(rng: &mut impl Rng) -> Duration {
    let ms = if rng.random() {
        rng.random_range(2000..2300)
    } else {
        rng.random_range(10..400)
    };
    Duration::from_millis(ms)
}

#[test]
fn a_replica_that_stood_still_harms_nobody() {
    let mut run = Run::start(2, "fsync", Manners::Impatient);
    let history = run.history(|fleet, rng| {
        let victim = rng.random_range(0..2);
        fleet.signal(victim, "-STOP");
        std::thread::sleep(pause(rng));
        fleet.signal(victim, "-CONT");
    });
    run.judge(&history);
}

/// I27.
#[test]
fn a_redis_that_stood_still_keeps_its_word() {
    let mut run = Run::start(2, "fsync", Manners::Impatient);
    let history = run.history(|fleet, rng| {
        fleet.signal_redis("-STOP");
        std::thread::sleep(pause(rng));
        fleet.signal_redis("-CONT");
        fleet.assert_serves();
    });
    run.judge(&history);
}

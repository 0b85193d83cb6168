//! The power fails: what Redis had not synced is gone.

use super::crew::Manners;
use super::run::Run;

/// I1 at the level that promises it.
#[test]
fn at_fsync_a_power_cut_takes_nothing_that_was_answered() {
    let mut run = Run::start(2, "fsync", Manners::Impatient);
    let history = run.history(|fleet, rng| {
        fleet.powered.cut(rng);
        fleet.assert_serves();
    });
    run.judge(&history);
}

/// At `memory` what came after the last sync may be gone; what came before is not, and no lease is handed out
/// twice.
#[test]
fn at_memory_a_power_cut_takes_the_latest_alone_and_no_lease_id_comes_back() {
    let mut run = Run::start(2, "memory", Manners::Impatient);
    let clock = run.clock;
    let mut cuts = Vec::new();
    let mut history = run.history(|fleet, rng| {
        // Long enough that there is a sync to fall back to.
        std::thread::sleep(std::time::Duration::from_millis(2500));
        let cut = fleet.powered.cut(rng);
        cuts.push((cut.synced_us, clock.now_us()));
        fleet.assert_serves();
    });
    for (synced_us, gone_us) in cuts {
        history.forget(synced_us, gone_us);
    }
    run.judge(&history);
}

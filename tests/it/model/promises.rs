//! Histories that once told model and scripts apart, each under the name of the promise that was broken.

use leaseq::domain::gate::Breaker;
use leaseq::domain::pause::PauseMode;
use leaseq::domain::queue::{Keep, Order, QueueConfig};

use super::grant::Wish;
use super::history::replay;
use super::settle::After;
use super::step::{By, Draft, NAMES, Retry, Step, Which, latest};
use super::task::FAULTS;

fn config(order: Order) -> QueueConfig {
    QueueConfig {
        order: Some(order),
        ..QueueConfig::default()
    }
}

fn enqueue(tasks: &[Draft]) -> Step {
    Step::Enqueue {
        tasks: tasks.to_vec(),
        again: false,
        request: None,
    }
}

fn lease(tasks: usize) -> Step {
    lease_as(Wish {
        tasks,
        ..Wish::default()
    })
}

fn lease_as(wish: Wish) -> Step {
    Step::Lease {
        wishes: vec![wish],
        names: Vec::new(),
        seed: 7,
    }
}

fn lease_by_name(tasks: usize) -> Step {
    Step::Lease {
        wishes: vec![Wish {
            tasks,
            ..Wish::default()
        }],
        names: vec![NAMES[0]],
        seed: 7,
    }
}

fn nack_for_now() -> Step {
    Step::Nack {
        whose: vec![latest(0)],
        fault: FAULTS[0],
        after: After::Delay(0),
        chance: 0,
    }
}

fn ack(whose: &[usize]) -> Step {
    Step::Ack {
        whose: whose.iter().map(|n| latest(*n)).collect(),
        result: None,
    }
}

const SWEEP: Step = Step::Sweep { limit: 256 };

fn grouped(group: &'static str) -> Draft {
    Draft {
        group,
        ..Draft::new()
    }
}

/// I18
#[test]
fn groups_that_tie_have_their_turns_in_one_order_with_and_without_a_filter() {
    let tasks = [
        grouped("zeta/corp"),
        Draft {
            priority: 11,
            ..grouped("")
        },
    ];
    replay(
        config(Order::Aged),
        vec![enqueue(&tasks), lease_by_name(1), lease(1)],
    );
}

/// I18
#[test]
fn a_newcomer_has_its_turn_before_those_that_had_theirs() {
    let backlog = [grouped("acme"), grouped("acme"), grouped("acme")];
    replay(
        config(Order::Aged),
        vec![
            enqueue(&backlog),
            lease(1),
            enqueue(&[grouped("zeta/corp")]),
            lease(1),
            lease(1),
        ],
    );
}

/// I18
#[test]
fn turns_taken_by_a_filter_are_no_credit_for_others() {
    let mails = vec![grouped("zeta/corp"); 5];
    let others = vec![
        Draft {
            name: NAMES[1],
            ..grouped("acme")
        };
        5
    ];
    replay(
        config(Order::Aged),
        vec![
            enqueue(&mails),
            enqueue(&others),
            lease_by_name(3),
            lease(1),
            lease(1),
            lease(2),
        ],
    );
}

/// I17
#[test]
fn a_retry_within_the_millisecond_of_acceptance_does_not_overtake() {
    let tasks = [
        Draft::new(),
        Draft {
            name: NAMES[1],
            priority: 11,
            ..Draft::new()
        },
    ];
    replay(
        config(Order::Aged),
        vec![
            enqueue(&tasks),
            lease(1),
            nack_for_now(),
            Step::Configure(config(Order::Fifo)),
            lease(2),
        ],
    );
}

/// I17
#[test]
fn aged_scores_that_tie_go_by_acceptance() {
    let scheduled = |priority, ms| Draft {
        priority,
        start: Retry::After(ms),
        ..Draft::new()
    };
    replay(
        config(Order::Aged),
        vec![
            enqueue(&[scheduled(11, 7_000), scheduled(10, 1_000)]),
            Step::Advance(7_000),
            SWEEP,
            lease(1),
            lease(1),
        ],
    );
}

/// I11
#[test]
fn extending_a_lease_longer_than_the_bound_leaves_its_end() {
    let short = QueueConfig {
        max_lease_ms: Some(1_000),
        ..config(Order::Aged)
    };
    let extend = |lease_ms| Step::Extend {
        whose: vec![latest(0)],
        lease_ms,
        progress: None,
    };
    replay(
        short,
        vec![
            enqueue(&[Draft::new()]),
            lease(1),
            Step::Advance(6_000),
            extend(None),
            extend(Some(60_000)),
            extend(Some(1_000)),
        ],
    );
}

/// I24
#[test]
fn tasks_finished_in_one_millisecond_are_all_on_some_page() {
    let tasks = vec![Draft::new(); 8]; // Read two a page.
    replay(
        config(Order::Aged),
        vec![enqueue(&tasks), lease(8), ack(&[0, 1, 2, 3, 4, 5, 6, 7])],
    );
}

/// I24
#[test]
fn an_attempt_saved_by_a_late_ack_is_counted_once() {
    replay(
        config(Order::Aged),
        vec![
            enqueue(&[Draft::new()]),
            lease(1),
            Step::Advance(30_000),
            SWEEP,
            ack(&[0]),
        ],
    );
}

/// I28
#[test]
fn a_request_id_can_be_used_again_after_its_lease_time() {
    let request = || {
        lease_as(Wish {
            tasks: 1,
            request_id: Some("r1".to_owned()),
            ..Wish::default()
        })
    };
    replay(
        config(Order::Aged),
        vec![
            enqueue(&[Draft::new()]),
            request(),
            request(),
            Step::Advance(30_000),
            SWEEP,
            request(),
        ],
    );
}

/// I14
#[test]
fn a_lowered_bound_of_dead_letters_holds_from_the_next_sweep() {
    let reject = Step::Nack {
        whose: vec![latest(0), latest(1)],
        fault: FAULTS[0],
        after: After::Reject,
        chance: 0,
    };
    let lowered = QueueConfig {
        dead_max_size: Some(1),
        keep: Some(Keep::All),
        ..config(Order::Aged)
    };
    replay(
        config(Order::Aged),
        vec![
            enqueue(&[Draft::new(), Draft::new()]),
            lease(2),
            reject,
            Step::Configure(lowered),
            SWEEP,
        ],
    );
}

fn expiring(ms: u64) -> Draft {
    Draft {
        expiry: Retry::After(ms),
        ..Draft::new()
    }
}

/// I8
#[test]
fn a_late_ack_past_the_expiry_is_lost_whether_or_not_a_sweep_came_by() {
    let ran_out = [enqueue(&[expiring(40_000)]), lease(1), Step::Advance(30_000)];
    let expires = [Step::Advance(10_000), ack(&[0]), SWEEP, ack(&[0])];
    for swept in [None, Some(SWEEP)] {
        let steps = ran_out
            .iter()
            .cloned()
            .chain(swept)
            .chain(expires.iter().cloned());
        replay(config(Order::Aged), steps.collect());
    }
}

/// I4
#[test]
fn a_group_keeps_its_turn_when_one_task_expires_as_another_comes_due() {
    let scheduled = Draft {
        start: Retry::After(1_000),
        ..Draft::new()
    };
    replay(
        config(Order::Aged),
        vec![
            enqueue(&[expiring(1_000), scheduled, grouped("acme"), grouped("acme")]),
            Step::Advance(1_000),
            SWEEP,
            lease(1),
            lease(1),
            lease(1),
        ],
    );
}

/// I24
#[test]
fn a_task_that_a_lease_met_past_its_expiry_waits_in_no_lane() {
    replay(
        config(Order::Aged),
        vec![
            enqueue(&[expiring(500), Draft::new(), expiring(500)]),
            Step::Advance(500),
            lease(1),
            enqueue(&[Draft::new()]),
            lease(5),
            SWEEP,
        ],
    );
}

/// I14 I28: rarely met by chance.
#[test]
fn a_dead_letter_is_replayed_when_there_is_room_for_it() {
    let one = QueueConfig {
        max_tasks: Some(1),
        ..QueueConfig::default()
    };
    let replayed = |again| Step::Replay {
        which: Which {
            by: By::All,
            limit: 9,
        },
        start: Retry::Now,
        max_attempts: None,
        priority: None,
        payload_bytes: None,
        again,
    };
    let rejected = Step::Nack {
        whose: vec![latest(0)],
        fault: FAULTS[0],
        after: After::Reject,
        chance: 0,
    };
    let steps = vec![
        enqueue(&[Draft::new()]),
        lease(1),
        rejected,
        enqueue(&[Draft::new(), Draft::new()]),
        replayed(true),
        lease(1),
        Step::Ack {
            whose: vec![latest(0)],
            result: None,
        },
        replayed(true),
        lease(1),
    ];
    replay(one, steps);
}

/// I19 I23.
#[test]
fn a_pause_ends_when_it_was_said_to_whether_a_sweep_comes_by_or_not() {
    for sweeps in [false, true] {
        let mut steps = vec![
            enqueue(&[Draft::new(), Draft::new()]),
            Step::Pause(Some((PauseMode::Both, Retry::After(1_000)))),
            lease(1),
            enqueue(&[Draft::new()]),
            Step::Advance(500),
            Step::Pause(Some((PauseMode::Lease, Retry::After(500)))),
            enqueue(&[Draft::new()]),
            lease(1),
            Step::Advance(500),
        ];
        steps.extend(sweeps.then_some(Step::Sweep { limit: 9 }));
        steps.extend([lease(1), Step::Pause(None), lease(9)]);
        replay(config(Order::Aged), steps);
    }
}

#[test]
fn a_breaker_that_is_configured_no_more_stays_open_as_long_as_was_said() {
    let breaker = Breaker {
        failure_threshold: Some(1),
        reset_ms: Some(1_000),
        ..Breaker::default()
    };
    let with_breaker = QueueConfig {
        breaker: Some(breaker),
        ..config(Order::Aged)
    };
    let steps = vec![
        enqueue(&[Draft::new(), Draft::new(), Draft::new()]),
        lease(1),
        nack_for_now(),
        Step::Configure(config(Order::Aged)),
        lease(1),
        Step::Advance(999),
        lease(1),
        Step::Advance(1),
        lease(9),
    ];
    replay(with_breaker, steps);
}

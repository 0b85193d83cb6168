//! Nothing breaks: concurrency alone, and what can be promised only then.

use serde_json::json;

use super::check;
use super::crew::Manners;
use super::history::Grant;
use super::phone::Draft;
use super::run::Run;

#[test]
fn many_clients_of_many_replicas_see_one_queue() {
    let mut run = Run::start(3, "fsync", Manners::Patient);
    let history = run.history(|_, _| {});
    run.judge(&history);
}

#[test]
fn clients_who_hang_up_lose_and_double_nothing() {
    let mut run = Run::start(2, "fsync", Manners::Impatient);
    let history = run.history(|_, _| {});
    run.judge(&history);
}

/// I18, through any replica and in answers of any length.
#[test]
fn groups_with_a_backlog_take_turns_whoever_asks_for_how_many() {
    use rand::Rng;
    const GROUPS: [Option<&str>; 4] = [None, Some("acme"), Some("big"), Some("c")];
    const EACH: usize = 60;
    let run = Run::start(2, "fsync", Manners::Patient);
    let mut phone = run.phone(0);
    // One group after the other: the order of acceptance helps nobody.
    for (n, group) in GROUPS.into_iter().enumerate() {
        let draft = |nth| Draft {
            queue: "q",
            tag: format!("{n}.{nth}"),
            name: "send",
            group,
            priority: 10,
            delay_seconds: 0.0,
            max_attempts: 3,
        };
        phone.enqueue(&(0..EACH).map(draft).collect::<Vec<_>>());
    }
    let mut grants: Vec<Grant> = Vec::new();
    // The last turns are not counted: by then a group may have run dry.
    while grants.len() < GROUPS.len() * (EACH - 3) {
        let tasks = phone.rng.random_range(1..12);
        grants.extend(phone.lease(Some("q"), json!({"max_tasks": tasks, "lease_seconds": 600}), &[]));
    }
    grants.truncate(GROUPS.len() * (EACH - 3));
    let groups: Vec<&str> = grants.iter().map(|grant| grant.group.as_str()).collect();
    assert_eq!(check::fair_share(&groups), Vec::<String>::new());
}

//! Fair share between groups.

use std::collections::BTreeMap;

use leaseq::domain::NewTask;
use leaseq::domain::gate::Positive;
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::settle::RetryAfter;

use crate::support::audit::assert_sound;
use crate::support::queue::{Held, Queue, grouped, named};

fn in_group(name: &str, group: &str) -> NewTask {
    NewTask {
        group: grouped(group).group,
        ..named(name)
    }
}

fn groups(held: &[Held]) -> Vec<&str> {
    held.iter()
        .map(|held| held.task.group.as_ref().map_or("", |group| group.as_str()))
        .collect()
}

async fn backlog(queue: &Queue, group: &str, tasks: usize) {
    for _ in 0..tasks.div_ceil(100) {
        let batch: Vec<_> = (0..tasks.min(100)).map(|_| grouped(group)).collect();
        queue.enqueue(&batch).await;
    }
}

/// I18: over any stretch of `n` grants each of `k` groups gets between `floor(n/k) - 1` and `ceil(n/k) + 1`.
#[track_caller]
fn assert_fair(grants: &[&str], groups: &[&str]) {
    for from in 0..grants.len() {
        for to in from + 1..=grants.len() {
            let (stretch, k) = (&grants[from..to], groups.len());
            let n = stretch.len();
            for group in groups {
                let got = stretch.iter().filter(|other| *other == group).count();
                assert!(
                    got + 1 >= n / k && got <= n.div_ceil(k) + 1,
                    "{group} got {got} of {n} grants {stretch:?}"
                );
            }
        }
    }
}

/// I18, whether tasks are leased one by one or many in one call.
#[tokio::test]
async fn groups_with_a_backlog_share_grants_evenly_however_much_each_has() {
    let queue = Queue::start().await;
    for (group, tasks) in [("a", 300), ("b", 50), ("c", 60)] {
        backlog(&queue, group, tasks).await;
    }
    let mut held = Vec::new();
    // Always fewer than there are groups, or one more: what one call gives too little the next must give.
    for tasks in [1, 1, 1, 7, 1, 13, 2, 1, 30, 1]
        .into_iter()
        .chain([2; 9])
        .chain([4; 9])
    {
        held.extend(queue.lease(tasks).await);
    }
    assert_fair(&groups(&held), &["a", "b", "c"]);
}

/// I18 I4: also where a call asks for as many tasks as there are groups, of which some give their last.
#[tokio::test]
async fn each_of_many_groups_gives_one_as_long_as_it_has_any() {
    let queue = Queue::start().await;
    for (group, tasks) in [("a", 3), ("b", 1), ("c", 2), ("d", 3)] {
        backlog(&queue, group, tasks).await;
    }
    let mut rounds = Vec::new();
    for groups in [4, 3, 2] {
        let held = queue.lease(groups).await;
        rounds.push(self::groups(&held).concat());
        assert_sound(&queue.redis, "emails");
    }
    assert_eq!(rounds, ["abcd", "acd", "ad"]);
    // Nothing is left of them, and they begin anew.
    assert!(queue.lease(4).await.is_empty());
    for group in ["b", "d"] {
        backlog(&queue, group, 2).await;
    }
    assert_eq!(groups(&queue.lease(4).await).concat(), "bdbd");
}

/// I18: a call that asks for as many tasks as there are groups takes more of one that has the weight for a
/// second turn.
#[tokio::test]
async fn a_group_of_weight_has_its_second_turn_before_others_have_the_first() {
    let queue = weighted(&[("a", 3.0)]).await;
    for group in ["a", "b", "c", "d"] {
        backlog(&queue, group, 100).await;
    }
    let mut held = Vec::new();
    for _ in 0..30 {
        held.extend(queue.lease(4).await);
    }
    assert_weighted(&groups(&held), &[("a", 3.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)]);
}

/// I6: a task that was released and one that was cancelled are not what stands first in their lanes.
#[tokio::test]
async fn each_of_many_groups_gives_what_is_next_whatever_became_of_its_tasks() {
    let queue = Queue::start().await;
    for group in ["a", "b", "c"] {
        backlog(&queue, group, 2).await;
    }
    let held = queue.lease(3).await;
    queue.release(&held[1].lease, RetryAfter::None).await;
    let again = queue.lease(3).await;
    assert_eq!(groups(&again).concat(), "abc");
    assert_eq!(
        again[1].task.id, held[1].task.id,
        "it was accepted before the other"
    );
    assert_eq!(groups(&queue.lease(3).await).concat(), "b");
    assert_sound(&queue.redis, "emails");
}

/// I18: the group of tasks without one is a group like others.
#[tokio::test]
async fn tasks_without_a_group_form_one_group() {
    let queue = Queue::start().await;
    queue
        .enqueue(&[named("x"), named("y"), named("x"), named("y")])
        .await;
    backlog(&queue, "a", 4).await;
    assert_fair(&groups(&queue.lease(8).await), &["", "a"]);
}

/// I4 I18: of a group that a call does not read whole, what is left has its turns.
#[tokio::test]
async fn a_group_stays_in_line_while_a_lane_beyond_those_that_were_read_has_tasks() {
    let queue = Queue::start().await;
    let names = ["a", "b", "c", "d", "e"];
    let mut tasks: Vec<_> = names.iter().map(|name| in_group(name, "x")).collect();
    tasks.push(in_group("a", "y"));
    queue.enqueue(&tasks).await;
    for (wanted, left) in [(2, 4), (2, 2), (1, 1), (5, 0)] {
        queue.lease(wanted).await;
        let ready = queue.redis.state("emails").expect("it was made").0["ready"];
        assert_eq!(ready as usize, left, "after {wanted} more");
    }
}

/// A filter holds also where there is only one lane, which a lease takes without looking for others.
#[tokio::test]
async fn a_names_filter_leaves_the_only_lane_alone_when_it_is_of_another_name() {
    let queue = Queue::start().await;
    queue.enqueue(&[named("mail")]).await;
    assert!(queue.lease_names(1, &["report"]).await.is_empty());
    assert_eq!(queue.lease_names(1, &["mail"]).await.len(), 1);
}

/// I18: one tenant's backlog delays another's single task by one turn at most.
#[tokio::test]
async fn a_single_task_waits_for_one_turn_of_each_backlog_at_most() {
    let queue = Queue::start().await;
    backlog(&queue, "a", 100).await;
    queue.lease(7).await;
    backlog(&queue, "c", 100).await;
    backlog(&queue, "d", 100).await;
    let mut next = queue.lease(1).await;
    backlog(&queue, "b", 1).await;
    for _ in 0..3 {
        next.extend(queue.lease(1).await);
    }
    assert_eq!(groups(&next), ["c", "d", "a", "b"]);
}

/// I18: a newcomer stands behind those who wait in this round and before those who had their turn in it.
#[tokio::test]
async fn a_group_gains_nothing_by_leaving_and_coming_back() {
    let queue = Queue::start().await;
    for group in ["b", "c", "d"] {
        backlog(&queue, group, 20).await;
    }
    let mut grants = Vec::new();
    for _ in 0..12 {
        // Group a always has one task, and leaves whenever it is granted.
        if !grants.is_empty() && grants.last() != Some(&"a".to_owned()) {
            let _ = queue.put(grouped("a")).await;
        }
        let held = queue.lease_one().await;
        grants.push(held.task.group.expect("all have one").to_string());
    }
    let mut share: BTreeMap<&str, usize> = BTreeMap::new();
    for group in &grants {
        *share.entry(group).or_default() += 1;
    }
    assert!(
        share["a"] <= share["b"].min(share["c"]).min(share["d"]) + 1,
        "{grants:?}"
    );
}

/// I18: released and given back tasks bring their group back into the same rotation.
#[tokio::test]
async fn a_group_that_rejoins_by_a_release_shares_from_then_on() {
    let queue = Queue::start().await;
    backlog(&queue, "a", 40).await;
    let only = queue.put(grouped("b")).await;
    let held = queue.lease(2).await;
    let lease = &held
        .iter()
        .find(|held| held.task.id == only)
        .expect("b had its turn")
        .lease;
    queue.lease(10).await;
    queue.release(lease, RetryAfter::None).await;
    backlog(&queue, "b", 10).await;
    assert_fair(&groups(&queue.lease(12).await), &["a", "b"]);
}

/// I18: with a `names` filter the turns go round the groups that have these names.
#[tokio::test]
async fn a_names_filter_takes_turns_among_all_groups_that_have_the_name() {
    let queue = Queue::start().await;
    let names: Vec<String> = (0..50).map(|n| format!("g{n:02}")).collect();
    for group in &names {
        let tasks: Vec<_> = (0..3).map(|_| in_group("mail", group)).collect();
        queue.enqueue(&tasks).await;
    }
    queue
        .enqueue(&[in_group("report", "aaa"), in_group("report", "zzz")])
        .await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.extend(queue.lease_names(1, &["mail"]).await);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_fair(&groups(&held), &names);
}

/// I18: filtered and unfiltered calls share one rotation, so that lagging indexes put nobody first.
#[tokio::test]
async fn a_names_filter_knows_the_turns_that_other_calls_took() {
    let queue = Queue::start().await;
    for group in ["a", "b", "c"] {
        let tasks: Vec<_> = (0..10).map(|_| in_group("mail", group)).collect();
        queue.enqueue(&tasks).await;
    }
    let mut held = Vec::new();
    for _ in 0..6 {
        held.extend(queue.lease(2).await);
        held.extend(queue.lease_names(1, &["mail"]).await);
    }
    assert_fair(&groups(&held), &["a", "b", "c"]);
}

/// I18: also where more groups had a turn than a call would look at first.
#[tokio::test]
async fn a_names_filter_knows_the_turns_of_groups_beyond_the_first_page() {
    let queue = Queue::start().await;
    let names: Vec<String> = (0..200).map(|n| format!("g{n:03}")).collect();
    for group in &names {
        queue
            .enqueue(&[in_group("mail", group), in_group("mail", group)])
            .await;
    }
    let mut held = queue.lease(150).await;
    for _ in 0..25 {
        held.extend(queue.lease_names(2, &["mail"]).await);
    }
    let mut granted = groups(&held);
    granted.sort_unstable();
    assert_eq!(granted, names, "each had one turn");
}

/// I18: a group that filters passed by gets no credit for the turns it could not take.
#[tokio::test]
async fn filtered_grants_to_one_group_do_not_starve_it_afterwards() {
    let queue = Queue::start().await;
    let mails: Vec<_> = (0..80).map(|_| in_group("mail", "a")).collect();
    let reports: Vec<_> = (0..80).map(|_| in_group("report", "b")).collect();
    queue.enqueue(&mails).await;
    queue.enqueue(&reports).await;
    assert_eq!(queue.lease_names(50, &["mail"]).await.len(), 50);
    assert_fair(&groups(&queue.lease(20).await), &["a", "b"]);
    backlog(&queue, "c", 20).await;
    assert_fair(&groups(&queue.lease(20).await), &["a", "b", "c"]);
}

async fn weighted(weights: &[(&str, f64)]) -> Queue {
    let weight =
        |(group, weight): &(&str, f64)| ((*group).to_owned(), Positive::new(*weight).expect("positive"));
    Queue::with(QueueConfig {
        group_weights: weights.iter().map(weight).collect(),
        ..QueueConfig::default()
    })
    .await
}

/// Over any stretch of grants, what one group got is by its weight within two turns of what another got.
#[track_caller]
fn assert_weighted(grants: &[&str], weights: &[(&str, f64)]) {
    let dearest = weights.iter().map(|(_, weight)| 1.0 / weight).fold(0.0, f64::max);
    for from in 0..grants.len() {
        for to in from + 1..=grants.len() {
            let turns = |(group, weight): &(&str, f64)| {
                let got = grants[from..to].iter().filter(|other| *other == group).count();
                u32::try_from(got).map(f64::from).expect("few") / weight
            };
            let (least, most) = weights
                .iter()
                .map(turns)
                .fold((f64::MAX, 0.0), |(least, most), turns| {
                    (f64::min(least, turns), f64::max(most, turns))
                });
            assert!(
                most - least <= 2.0 * dearest + 0.01,
                "{least} and {most} turns in {:?}",
                &grants[from..to]
            );
        }
    }
}

/// I18: shares follow weights, for groups with an entry and for those that `*` stands for, leased one by one
/// or many at once.
#[tokio::test]
async fn groups_share_grants_by_their_weights() {
    let weights = [("a", 5.0), ("b", 0.5), ("c", 2.0), ("d", 2.0)];
    let queue = weighted(&[("a", 5.0), ("b", 0.5), ("*", 2.0)]).await;
    for (group, _) in &weights {
        backlog(&queue, group, 100).await;
    }
    let mut held = Vec::new();
    for tasks in [1, 1, 7, 1, 13, 2, 1, 30, 1, 60] {
        held.extend(queue.lease(tasks).await);
    }
    assert_weighted(&groups(&held), &weights);
}

/// A group with little weight gains nothing by leaving and coming back, and one with much loses nothing.
#[tokio::test]
async fn weights_hold_also_for_groups_that_come_and_go() {
    let weights = [("heavy", 4.0), ("light", 1.0)];
    for (comes, stays) in [("light", "heavy"), ("heavy", "light")] {
        let queue = weighted(&weights).await;
        backlog(&queue, stays, 100).await;
        let mut grants = Vec::new();
        for _ in 0..50 {
            if grants.last().is_none_or(|last| last == comes) {
                let _ = queue.put(grouped(comes)).await;
            }
            let held = queue.lease_one().await;
            grants.push(held.task.group.expect("all have one").to_string());
        }
        let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
        assert_weighted(&grants, &weights);
    }
}

/// A change of weights holds from the next grant on, and takes nobody's turn away.
#[tokio::test]
async fn changed_weights_hold_at_once() {
    let mut queue = weighted(&[]).await;
    for group in ["a", "b"] {
        backlog(&queue, group, 100).await;
    }
    assert_weighted(&groups(&queue.lease(30).await), &[("a", 1.0), ("b", 1.0)]);
    let three = [("b".to_owned(), Positive::new(3.0).expect("positive"))];
    queue
        .configure(QueueConfig {
            group_weights: three.into(),
            ..QueueConfig::default()
        })
        .await;
    assert_weighted(&groups(&queue.lease(40).await), &[("a", 1.0), ("b", 3.0)]);
}

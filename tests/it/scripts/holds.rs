//! Holds: by workers whose upstream said when to come again, and by operators (I19).

use leaseq::domain::gate::{Reason, Scope, Shut};
use leaseq::domain::settle::{Hold, RetryAfter};
use leaseq::domain::{Millis, NewTask};
use leaseq::store::ops::lease::{Grants, LeaseReply, Wish};

use crate::support::audit::assert_sound;
use crate::support::queue::{Held, Queue, T0, grouped, named, task_name};

fn task(name: &str, group: &str) -> NewTask {
    NewTask {
        group: grouped(group).group,
        ..named(name)
    }
}

/// Ten tasks of each of two names in each of two groups.
async fn crowd() -> Queue {
    let queue = Queue::start().await;
    for name in ["mail", "sync"] {
        for group in ["acme", "zeta"] {
            let tasks: Vec<_> = (0..10).map(|_| task(name, group)).collect();
            queue.enqueue(&tasks).await;
        }
    }
    queue
}

fn is_of(held: &Held, name: &str, group: &str) -> bool {
    let its_group = held.task.group.as_ref().map_or("", |group| group.as_str());
    (name.is_empty() || held.task.name == task_name(name)) && (group.is_empty() || its_group == group)
}

/// I19: a thousand tasks do not find out one by one: siblings wait until then, everything else goes on.
#[tokio::test]
async fn siblings_of_a_released_task_wait_until_then_and_nobody_else() {
    for (hold, name, group, left) in [
        (Hold::None, "nobody", "nobody", 39),
        (Hold::Name, "mail", "", 20),
        (Hold::Group, "", "acme", 20),
        (Hold::Queue, "", "", 0),
    ] {
        let queue = crowd().await;
        let held = queue.lease_names(1, &["mail"]).await.remove(0);
        assert!(is_of(&held, "mail", "acme"));
        queue
            .release_and_hold(&held.lease, RetryAfter::Ms(5_000), hold)
            .await;
        queue.at(4_999);
        let granted = queue.lease(100).await;
        assert_eq!(granted.len(), left, "{hold:?}");
        assert!(granted.iter().all(|held| !is_of(held, name, group)));
        queue.at(5_000);
        queue.sweep().await;
        assert_eq!(queue.lease(100).await.len(), 40 - left, "{hold:?}");
    }
}

/// A later and shorter one does not shorten it.
#[tokio::test]
async fn a_workers_hold_never_shortens_another() {
    let queue = crowd().await;
    let held = queue.lease_names(2, &["mail"]).await;
    queue
        .release_and_hold(&held[0].lease, RetryAfter::Ms(5_000), Hold::Name)
        .await;
    queue
        .release_and_hold(
            &held[1].lease,
            RetryAfter::At(Millis::new(T0 + 1_000)),
            Hold::Name,
        )
        .await;
    queue.at(4_999);
    assert!(queue.lease_names(5, &["mail"]).await.is_empty());
    queue.at(5_000);
    assert_eq!(queue.lease_names(5, &["mail"]).await.len(), 5);
}

/// Nor does a lease that is lost, or a release that is repeated, hold anything.
#[tokio::test]
async fn only_a_release_that_counts_holds() {
    let queue = crowd().await;
    let held = queue.lease_names(1, &["mail"]).await.remove(0);
    queue.release(&held.lease, RetryAfter::Ms(1)).await;
    queue
        .release_and_hold(&held.lease, RetryAfter::Ms(5_000), Hold::Queue)
        .await;
    assert_eq!(queue.lease(100).await.len(), 39);
}

/// An operator's hold is as it was said last; ended, everything comes back at once.
#[tokio::test]
async fn an_operator_holds_and_ends_a_hold() {
    let name = |name: &str| Scope::Name(name.to_owned());
    let group = |group: &str| Scope::Group(group.to_owned());
    for (scope, left) in [(Scope::Queue, 0), (name("mail"), 20), (group("zeta"), 20)] {
        let queue = crowd().await;
        assert_eq!(queue.hold(&scope, 60_000).await, Some(Millis::new(T0 + 60_000)));
        assert_eq!(queue.lease(100).await.len(), left);
        assert_eq!(queue.hold(&scope, 0).await, None);
        assert_eq!(queue.lease(5).await.len(), 5);
        assert_eq!(queue.hold(&scope, 60_000).await, Some(Millis::new(T0 + 60_000)));
        assert_eq!(queue.hold(&scope, 1_000).await, Some(Millis::new(T0 + 1_000)));
        queue.at(1_000);
        assert_eq!(queue.lease(100).await.len(), 40 - left - 5);
    }
}

/// Tasks that arrive behind a hold wait, too, and in their order; so do those that come back.
#[tokio::test]
async fn what_arrives_behind_a_hold_waits() {
    let queue = crowd().await;
    let held = queue.lease_names(2, &["mail"]).await;
    queue.hold(&Scope::Name("mail".to_owned()), 1_000).await;
    assert!(queue.lease_names(5, &["mail"]).await.is_empty());
    let first = queue.put(task("mail", "new")).await;
    queue.put(task("mail", "acme")).await;
    assert_sound(&queue.redis, "emails");
    queue.release(&held[0].lease, RetryAfter::None).await;
    assert!(queue.lease_names(5, &["mail"]).await.is_empty());
    assert_eq!(queue.lease(100).await.len(), 20);
    queue.at(1_000);
    let granted = queue.lease(100).await;
    assert_eq!(granted.len(), 21);
    assert!(
        granted.iter().take(3).any(|held| held.task.id == first),
        "a new group has its turn"
    );
    assert!(granted.iter().any(|other| other.task.id == held[0].task.id));
}

/// So do those that arrive in a lane in which nothing but a returned task waits: the lane stays where it is
/// kept back.
#[tokio::test]
async fn what_arrives_behind_a_returned_task_on_hold_waits() {
    let queue = Queue::start().await;
    let first = queue.put(task("mail", "acme")).await;
    let held = queue.lease_one().await;
    queue.release(&held.lease, RetryAfter::None).await;
    queue.hold(&Scope::Name("mail".to_owned()), 1_000).await;
    assert!(queue.lease(1).await.is_empty());
    let second = queue.put(task("mail", "acme")).await;
    assert_sound(&queue.redis, "emails");
    assert!(queue.lease(2).await.is_empty());
    queue.at(1_000);
    let granted: Vec<_> = queue
        .lease(2)
        .await
        .into_iter()
        .map(|held| held.task.id)
        .collect();
    assert_eq!(granted, [first, second]);
}

/// Behind two holds a task waits for both.
#[tokio::test]
async fn a_task_behind_two_holds_waits_for_both() {
    let queue = crowd().await;
    queue.hold(&Scope::Name("mail".to_owned()), 1_000).await;
    queue.hold(&Scope::Group("acme".to_owned()), 2_000).await;
    let granted = queue.lease(100).await;
    assert!(granted.len() == 10 && granted.iter().all(|held| is_of(held, "sync", "zeta")));
    queue.at(1_000);
    let granted = queue.lease(100).await;
    assert!(granted.len() == 10 && granted.iter().all(|held| is_of(held, "mail", "zeta")));
    queue.at(2_000);
    assert_eq!(queue.lease(100).await.len(), 20);
}

/// A lease that comes in vain hears when to come again: of all that is held, the first to end.
#[tokio::test]
async fn a_lease_hears_when_the_first_hold_ends() {
    let queue = crowd().await;
    queue.hold(&Scope::Name("mail".to_owned()), 7_000).await;
    queue.hold(&Scope::Name("sync".to_owned()), 3_000).await;
    queue.hold(&Scope::Name("idle".to_owned()), 1_000).await;
    let wishes = [Wish {
        tasks: 1,
        ..Wish::default()
    }];
    for (names, ms) in [(vec![], 3_000), (vec![task_name("mail")], 7_000)] {
        let LeaseReply::Tasks(Grants { shut, grants, .. }) =
            queue.call(&queue.lease_op(&names, &wishes)).await
        else {
            panic!("absent")
        };
        let expected = Shut {
            reason: Reason::Held,
            look_at: Some(Millis::new(T0 + ms)),
        };
        assert_eq!((grants.len(), shut), (0, Some(expected)));
    }
}

/// Tasks without a group are held together, as the group that they are.
#[tokio::test]
async fn tasks_without_a_group_are_held_as_a_group() {
    let queue = Queue::start().await;
    queue
        .enqueue(&[named("mail"), named("sync"), task("mail", "acme")])
        .await;
    let held = queue.lease_one().await;
    assert_eq!(held.task.group, None);
    queue
        .release_and_hold(&held.lease, RetryAfter::Ms(1_000), Hold::Group)
        .await;
    let granted = queue.lease(5).await;
    assert!(granted.len() == 1 && is_of(&granted[0], "mail", "acme"));
}

/// Holds leave nothing behind, whether anything waited for them or not.
#[tokio::test]
async fn holds_that_are_over_are_forgotten() {
    let queue = crowd().await;
    for scope in [
        Scope::Queue,
        Scope::Name("idle".to_owned()),
        Scope::Group("acme".to_owned()),
    ] {
        queue.hold(&scope, 1_000).await;
    }
    queue.lease(1).await;
    queue.at(1_000);
    assert_eq!(queue.lease(100).await.len(), 40);
    for role in ["gate", "shut"] {
        let there: bool = queue
            .redis
            .command(deadpool_redis::redis::cmd("EXISTS").arg(queue.key(role)));
        assert!(!there, "{role}");
    }
}

//! The history of failed attempts: at most 50 and 64 KiB, with the first and the latest whole.

use deadpool_redis::redis::cmd;
use leaseq::domain::limits::{
    ERROR_MESSAGE_BYTES_MAX, ERROR_STACK_BYTES_MAX, HISTORY_ATTEMPTS_MAX, HISTORY_BYTES_MAX,
};
use leaseq::domain::settle::Nack;
use leaseq::domain::task::{Attempt, TaskError};
use leaseq::domain::{NewTask, TaskId};

use crate::support::queue::{Queue, task};

fn error(number: usize, message_bytes: usize, stack_bytes: usize) -> TaskError {
    let text = |what: &str, bytes: usize| {
        let start = format!("{number:04} {what} ");
        let left = bytes - start.len();
        format!("{start}{}{}", "ü".repeat(left / 2), "x".repeat(left % 2))
    };
    TaskError {
        kind: format!("kind{number}"),
        message: text("message", message_bytes),
        stack: (stack_bytes > 0).then(|| text("stack", stack_bytes)),
        cut: false,
    }
}

/// Fails a task once per error; what remains is given back after each to `look`.
async fn fail(queue: &Queue, errors: &[TaskError], mut look: impl FnMut(usize, &[Attempt])) -> TaskId {
    let id = queue
        .put(NewTask {
            max_attempts: Some(1000),
            ..task()
        })
        .await;
    for (n, error) in errors.iter().enumerate() {
        let held = queue.lease_one().await;
        assert_eq!(
            held.task.last_error.as_ref(),
            n.checked_sub(1).map(|before| &errors[before]),
            "the latest is whole for the next worker"
        );
        let nack = Nack {
            error: error.clone(),
            retry: true,
            delay_ms: Some(0),
        };
        queue.nack_with(&held.lease, nack).await;
        let bytes: usize = queue
            .redis
            .command(cmd("HSTRLEN").arg(queue.key("hist")).arg(id.as_bytes()));
        assert!(
            bytes <= HISTORY_BYTES_MAX,
            "{bytes} bytes after {} attempts",
            n + 1
        );
        let attempts = queue.see(id).await.attempts;
        assert_eq!(
            attempts[n.min(HISTORY_ATTEMPTS_MAX - 1).min(attempts.len() - 1)].error,
            *error,
            "the latest is whole"
        );
        assert_eq!(attempts[0].number, 1, "the first stays");
        let (first, whole) = (&attempts[0].error, &errors[0]);
        assert_eq!((&first.kind, &first.message), (&whole.kind, &whole.message));
        look(n, &attempts);
    }
    id
}

/// I28
#[tokio::test]
async fn the_first_and_the_latest_attempts_are_kept_fifty_in_all() {
    let queue = Queue::start().await;
    let errors: Vec<_> = (1..=120).map(|n| error(n, 80, 40)).collect();
    fail(&queue, &errors, |n, attempts| {
        let numbers: Vec<_> = attempts
            .iter()
            .map(|attempt| usize::from(attempt.number))
            .collect();
        let second = (n + 3).saturating_sub(HISTORY_ATTEMPTS_MAX).max(2);
        let expected: Vec<_> = std::iter::once(1).chain(second..=n + 1).collect();
        assert_eq!(numbers, expected);
        for attempt in attempts {
            assert_eq!(
                attempt.error,
                errors[usize::from(attempt.number) - 1],
                "all fit whole"
            );
        }
    })
    .await;
}

/// I28: between the first and the latest, attempts give up their stacks and are marked.
#[tokio::test]
async fn attempts_beyond_the_bytes_are_cut_and_marked_but_not_the_first_and_the_latest() {
    let queue = Queue::start().await;
    let errors: Vec<_> = (1..=40).map(|n| error(n, 4_000, 16_000)).collect();
    fail(&queue, &errors, |n, attempts| {
        assert_eq!(attempts.len(), n + 1, "none is dropped");
        assert_eq!(attempts[0].error, errors[0], "the first is whole");
        if n < 3 {
            assert!(attempts.iter().all(|attempt| !attempt.error.cut), "all fit");
            return;
        }
        for attempt in &attempts[1..n - 1] {
            let whole = &errors[usize::from(attempt.number) - 1];
            assert_eq!((attempt.error.cut, &attempt.error.stack), (true, &None));
            assert_eq!(attempt.error.kind, whole.kind);
            let start = &attempt.error.message;
            assert!(
                start.len() >= 60 && whole.message.starts_with(start.as_str()),
                "whole characters: {start:?}"
            );
        }
    })
    .await;
}

/// I28: the bytes are too few for the two of them, so the first keeps what fits of its stack, and says so.
#[tokio::test]
async fn a_first_attempt_that_does_not_fit_beside_the_latest_keeps_the_beginning_of_its_stack() {
    let queue = Queue::start().await;
    let errors: Vec<_> = (1..=60)
        .map(|n| {
            error(
                n,
                1_000,
                if n == 1 || n == 60 {
                    ERROR_STACK_BYTES_MAX
                } else {
                    0
                },
            )
        })
        .collect();
    fail(&queue, &errors, |n, attempts| {
        let (first, whole) = (&attempts[0].error, &errors[0]);
        if n < 59 {
            assert_eq!(first, whole, "alone it fits");
            return;
        }
        let (stack, all) = (first.stack.as_ref().unwrap(), whole.stack.as_ref().unwrap());
        assert!(first.cut && stack.len() > 20_000 && all.starts_with(stack.as_str()));
        assert_eq!(attempts.len(), HISTORY_ATTEMPTS_MAX, "none is dropped");
    })
    .await;
}

/// I28: the largest that are allowed.
#[tokio::test]
async fn attempts_of_the_largest_size_keep_within_the_bytes() {
    let queue = Queue::start().await;
    let errors: Vec<_> = (1..=60)
        .map(|n| error(n, ERROR_MESSAGE_BYTES_MAX, ERROR_STACK_BYTES_MAX))
        .collect();
    fail(&queue, &errors, |_, _| {}).await;
}

/// I28: the worst that names, types and messages can do.
#[tokio::test]
async fn fifty_attempts_with_the_longest_names_keep_within_the_bytes() {
    let queue = Queue::start().await;
    let errors: Vec<_> = (1..=60)
        .map(|n| TaskError {
            kind: format!("{n:0200}"),
            ..error(n, ERROR_MESSAGE_BYTES_MAX, ERROR_STACK_BYTES_MAX)
        })
        .collect();
    fail(&queue, &errors, |_, attempts| assert!(!attempts.is_empty())).await;
}

//! The retention of finished tasks and of dead letters.

use bytes::Bytes;
use leaseq::domain::queue::{Keep, QueueConfig};
use leaseq::domain::task::Json;
use leaseq::domain::{NewTask, TaskId, TaskState};
use leaseq::store::ops::Answer;
use leaseq::store::ops::ack::Acked;

use crate::support::queue::{Queue, failure_after, rejection, task};

async fn complete(queue: &Queue, task: NewTask, result: Option<&'static str>) -> TaskId {
    let id = queue.put(task).await;
    let held = queue.lease_one().await;
    assert_eq!(
        queue.ack_with(&held.lease, result).await,
        Answer::Done(Acked::Done)
    );
    id
}

fn with_payload(bytes: usize) -> NewTask {
    NewTask::new(Json::from_checked(Bytes::from(format!(
        "\"{}\"",
        "x".repeat(bytes - 2)
    ))))
}

/// I25: a result is visible with `completed`, not before, not without.
#[tokio::test]
async fn a_result_is_visible_as_soon_as_its_task_is_completed() {
    let queue = Queue::start().await;
    let id = complete(&queue, task(), Some(r#"{"sum":[]}"#)).await;
    let shown = queue.see(id).await;
    assert_eq!(shown.state, TaskState::Completed);
    assert_eq!(shown.result.unwrap().as_str(), r#"{"sum":[]}"#);
    let id = complete(&queue, task(), None).await;
    assert_eq!(queue.see(id).await.result, None);
}

/// I25
#[tokio::test]
async fn keep_results_drops_the_payload_at_once_and_keeps_the_rest() {
    let config = QueueConfig {
        keep: Some(Keep::Results),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    for bytes in [10, 2048, 2049, 100_000] {
        let id = complete(&queue, with_payload(bytes), Some("1")).await;
        let shown = queue.see(id).await;
        assert_eq!(shown.payload.as_str(), "null", "of {bytes} bytes");
        assert_eq!(shown.result.unwrap().as_str(), "1");
        assert_eq!(shown.name.as_str(), "default");
    }
}

/// I25
#[tokio::test]
async fn keep_none_forgets_a_task_with_its_ack_and_still_knows_the_repeat() {
    let config = QueueConfig {
        keep: Some(Keep::None),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    let id = queue.put(with_payload(5_000)).await;
    let held = queue.lease_one().await;
    assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Done));
    assert!(queue.show(id).await.is_none());
    assert_eq!(queue.ack(&held.lease).await, Answer::Done(Acked::Already));
    assert_eq!(queue.overview().await.kept, 0);
}

/// I25: bounded by count; the oldest leave first.
#[tokio::test]
async fn retention_keeps_the_newest_within_its_count() {
    let config = QueueConfig {
        completed_max: Some(3),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, complete(&queue, task(), None).await);
        assert!(queue.overview().await.kept <= 3);
    }
    assert_eq!(queue.list(TaskState::Completed, 500).await, ids[..3]);
}

/// I25: bounded by age, by a sweep where nothing finishes any more; not before its time.
#[tokio::test]
async fn retention_ends_by_age_and_not_before() {
    let config = QueueConfig {
        completed_ms: Some(60_000),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    let id = complete(&queue, with_payload(3_000), None).await;
    queue.at(59_999);
    queue.sweep().await;
    assert!(queue.show(id).await.is_some());
    queue.at(60_000);
    queue.sweep().await;
    assert!(queue.show(id).await.is_none());
}

/// I25: bounded by bytes, of what is kept and not of what was.
#[tokio::test]
async fn retention_counts_the_bytes_that_it_keeps() {
    let bytes = |keep| QueueConfig {
        keep: Some(keep),
        completed_bytes: Some(10_000),
        ..QueueConfig::default()
    };
    for (keep, kept) in [(Keep::All, 3), (Keep::Results, 8)] {
        let queue = Queue::with(bytes(keep)).await;
        for _ in 0..8 {
            complete(&queue, with_payload(3_000), Some("1")).await;
        }
        assert_eq!(queue.overview().await.kept, kept, "{keep:?}");
    }
}

/// I25: what is known of failed attempts counts, too.
#[tokio::test]
async fn retention_counts_the_failed_attempts_that_it_keeps() {
    let config = QueueConfig {
        completed_bytes: Some(20_000),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    for _ in 0..5 {
        queue.put(task()).await;
        let mut failed = failure_after(0);
        failed.error.message = "m".repeat(8_000);
        queue.nack_with(&queue.lease_one().await.lease, failed).await;
        queue.ack(&queue.lease_one().await.lease).await;
        assert!(queue.overview().await.kept <= 2);
    }
    assert_eq!(queue.overview().await.kept, 2);
}

/// I14: never more than `max_size`; the oldest leave, and are counted.
#[tokio::test]
async fn dead_letters_beyond_max_size_leave_oldest_first_and_counted() {
    let config = QueueConfig {
        dead_max_size: Some(2),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        queue.at(n);
        ids.insert(0, queue.put(with_payload(3_000)).await);
        let held = queue.lease_one().await;
        queue.nack_with(&held.lease, rejection()).await;
        assert!(queue.overview().await.counts.dead <= 2);
    }
    assert_eq!(queue.list(TaskState::Dead, 500).await, ids[..2]);
    assert_eq!(queue.overview().await.counts.dead_evicted_total, 3);
    assert!(queue.show(ids[4]).await.is_none());
}

/// I14: also in one call, and also when there is room for none.
#[tokio::test]
async fn a_queue_that_keeps_no_dead_letters_counts_them() {
    let config = QueueConfig {
        dead_max_size: Some(0),
        max_attempts: Some(1),
        ..QueueConfig::default()
    };
    let queue = Queue::with(config).await;
    let tasks: Vec<_> = (0..200).map(|_| task()).collect();
    queue.enqueue(&tasks).await;
    queue.lease(200).await;
    queue.at(30_000);
    assert_eq!(queue.sweep().await.expired, 200);
    let overview = queue.overview().await;
    assert_eq!(
        (overview.counts.dead, overview.counts.dead_evicted_total),
        (0, 200)
    );
}

/// I14: a lowered `max_size` holds from the next sweep on, without a further death.
#[tokio::test]
async fn a_lowered_max_size_evicts_without_waiting_for_the_next_death() {
    let mut queue = Queue::start().await;
    for n in 0..5 {
        queue.at(n);
        queue.put(task()).await;
        let held = queue.lease_one().await;
        queue.nack_with(&held.lease, rejection()).await;
    }
    let config = QueueConfig {
        dead_max_size: Some(1),
        ..QueueConfig::default()
    };
    queue.configure(config).await;
    queue.sweep().await;
    let overview = queue.overview().await;
    assert_eq!((overview.counts.dead, overview.counts.dead_evicted_total), (1, 4));
}

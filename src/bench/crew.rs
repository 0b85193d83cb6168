//! Runs connections on threads of their own, each with a single-threaded runtime: no work stealing, no cross-thread
//! wake-ups, so that little of the shared cores goes into generating load.

use super::tally::Tally;
use std::cell::RefCell;
use std::io::Result;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinSet, LocalSet};

pub(super) type SharedTally = Rc<RefCell<Tally>>;

/// Runs `work` once per connection and merges what they saw. Connections that are still busy after `time_max` are cut,
/// which the tally names.
///
/// # Errors
/// When a thread or its runtime cannot be made.
pub(super) fn run<F>(
    threads: usize,
    connections: usize,
    time_max: Duration,
    work: impl Fn(usize, SharedTally) -> F + Sync,
) -> Result<Tally>
where
    F: Future<Output = ()> + 'static,
{
    let threads = threads.clamp(1, connections.max(1));
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || drive((thread..connections).step_by(threads), time_max, work)))
            .collect();
        let mut all = Tally::new();
        for thread in running {
            match thread.join() {
                Ok(tally) => all.merge(&tally?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

fn drive<F>(
    connections: impl Iterator<Item = usize>,
    time_max: Duration,
    work: &impl Fn(usize, SharedTally) -> F,
) -> Result<Tally>
where
    F: Future<Output = ()> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tally = Rc::new(RefCell::new(Tally::new()));
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let mut running = JoinSet::new();
        for connection in connections {
            running.spawn_local(work(connection, Rc::clone(&tally)));
        }
        let finish = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(time_max, finish).await.is_err() {
            tally
                .borrow_mut()
                .error("no answer before the run was cut".to_owned());
        }
    });
    // The connections hold the tally too: they go first.
    drop(local);
    Ok(tally.replace(Tally::new()))
}

#[cfg(test)]
mod tests {
    use super::run;
    use std::time::{Duration, Instant};

    #[test]
    fn the_sum_is_over_all_connections_of_all_threads() {
        let tally = run(3, 10, Duration::from_secs(10), |connection, tally| async move {
            tally.borrow_mut().tasks += connection as u64;
        });
        assert_eq!(tally.unwrap().tasks, 45);
    }

    #[test]
    fn a_connection_that_never_ends_is_cut_and_named() {
        let started = Instant::now();
        let tally = run(1, 2, Duration::from_millis(20), |connection, tally| async move {
            tally.borrow_mut().tasks += 1;
            if connection == 0 {
                std::future::pending::<()>().await;
            }
        })
        .unwrap();
        assert_eq!((tally.tasks, tally.error_count()), (2, 1));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

//! The threads that run the connections, each with a single-threaded runtime. There is no work stealing and
//! no wake across threads, so that generating load takes little of the shared cores.

use super::tally::Tally;
use std::cell::RefCell;
use std::io::Result;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinSet, LocalSet};

pub(super) type SharedTally = Rc<RefCell<Tally>>;

/// Runs `work` once for each connection and merges the tallies. Connections that are still busy after
/// `time_max` are cut off, which the tally records as an error.
///
/// # Errors
/// A thread or its runtime could not be created.
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
                .error("no response before the run was cut off".to_owned());
        }
    });
    // Drops the connections, which have references to the tally.
    drop(local);
    Ok(tally.replace(Tally::new()))
}

#[cfg(test)]
mod tests {
    use super::run;
    use std::time::{Duration, Instant};

    #[test]
    fn tallies_of_all_connections_and_threads_are_merged() {
        let tally = run(3, 10, Duration::from_secs(10), |connection, tally| async move {
            tally.borrow_mut().tasks += connection as u64;
        });
        assert_eq!(tally.unwrap().tasks, 45);
    }

    #[test]
    fn a_connection_that_never_ends_is_cut_off_and_recorded() {
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

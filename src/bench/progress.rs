//! A progress line on stderr, if stderr is a terminal.

use super::stage::Stage;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(250);

/// Shows the number of handled tasks while `work` runs. Silent if stderr is no terminal.
pub(super) fn show<T>(what: &'static str, stage: &Stage, tasks: u64, work: impl FnOnce() -> T) -> T {
    let bar = ProgressBar::new(tasks);
    if bar.is_hidden() {
        return work();
    }
    let style = ProgressStyle::with_template("{msg}, {elapsed}, {human_pos} tasks");
    bar.set_style(style.expect("the template is a constant that parses"));
    bar.set_message(what);
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !finished.load(Ordering::Relaxed) {
                bar.set_position(stage.done.load(Ordering::Relaxed));
                std::thread::park_timeout(EVERY);
            }
        });
        let result = work();
        finished.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        bar.finish_and_clear();
        result
    })
}

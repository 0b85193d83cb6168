//! Memory, processor time, threads and file descriptors of this process, read from `/proc` for each scrape.
//! The names are the usual ones, which dashboards for any service expect.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Registry};

pub(super) fn register(registry: &Registry) {
    registry
        .register(Box::new(Process::new()))
        .expect("metric names are unique constants");
}

struct Process {
    memory: Gauge,
    cpu: Counter,
    threads: Gauge,
    fds: Gauge,
}

impl Process {
    fn new() -> Self {
        let gauge = |name, help| Gauge::new(name, help).expect("the names are valid constants");
        Self {
            memory: gauge("process_resident_memory_bytes", "Resident memory in bytes"),
            cpu: Counter::new(
                "process_cpu_seconds_total",
                "User and system processor time in seconds",
            )
            .expect("the name is a valid constant"),
            threads: gauge("process_threads", "Threads"),
            fds: gauge("process_open_fds", "Open file descriptors"),
        }
    }

    fn parts(&self) -> [&dyn Collector; 4] {
        [&self.memory, &self.cpu, &self.threads, &self.fds]
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(used) = read() else {
            return Vec::new(); // Without /proc, no value is better than a wrong one.
        };
        self.memory.set(used.memory_bytes);
        self.cpu.inc_by((used.cpu_seconds - self.cpu.get()).max(0.0));
        self.threads.set(used.threads);
        self.fds.set(used.fds);
        self.parts().into_iter().flat_map(Collector::collect).collect()
    }
}

struct Used {
    memory_bytes: f64,
    cpu_seconds: f64,
    threads: f64,
    fds: f64,
}

/// Linux reports processor time in hundredths of a second, independent of its own tick.
const TICKS_PER_SECOND: f64 = 100.0;

#[allow(clippy::cast_precision_loss)]
fn read() -> Option<Used> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let fields: HashMap<_, _> = status.lines().filter_map(|line| line.split_once(':')).collect();
    let number = |name| -> Option<f64> { fields.get(name)?.split_whitespace().next()?.parse().ok() };

    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name of the program in parentheses, which may contain spaces. User and system
    // time are fields 14 and 15.
    let mut after_name = stat.rsplit_once(')')?.1.split_whitespace();
    let user: f64 = after_name.nth(11)?.parse().ok()?;
    let system: f64 = after_name.next()?.parse().ok()?;

    Some(Used {
        memory_bytes: number("VmRSS")? * 1024.0,
        cpu_seconds: (user + system) / TICKS_PER_SECOND,
        threads: number("Threads")?,
        fds: std::fs::read_dir("/proc/self/fd").ok()?.count() as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_threads_and_files() {
        let used = read().unwrap();
        assert!(used.memory_bytes > 1e6 && used.cpu_seconds >= 0.0);
        assert!(used.threads >= 1.0 && used.fds >= 1.0);
    }
}

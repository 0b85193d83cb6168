//! A running `leaseq serve`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use super::running::{children, leaseq, until};

/// A `leaseq serve` that listens; killed -9 when dropped.
pub(crate) struct Service {
    pub(crate) process: Child,
    pub(crate) url: String,
    pub(crate) stderr: BufReader<std::process::ChildStderr>,
}

impl Service {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut process = leaseq(&["serve", "--listen", "127.0.0.1:0"])
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("listening on http://127.0.0.1:") {
            line.clear();
            assert!(
                stderr.read_line(&mut line).unwrap() > 0,
                "it ended before it listened"
            );
        }
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, url, stderr }
    }

    pub(crate) fn on(dir: &Path) -> Self {
        Self::start(&["--data-dir", dir.to_str().unwrap()])
    }

    pub(crate) fn redis(&self) -> u32 {
        let pid = self.process.id();
        until("a redis-server child", || children(pid).first().copied())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

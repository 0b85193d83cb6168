//! The one list of settings.

/// A setting by the name of its flag, from which key and variable are derived.
#[derive(Debug)]
pub struct Setting {
    /// The flag without dashes: `data-dir` for `--data-dir`, `data_dir` and `LEASEQ_DATA_DIR`.
    pub flag: &'static str,
    /// The form of a value in help texts.
    pub value: &'static str,
    /// The default in the form of a value; empty if the default is unset.
    pub default: &'static str,
    pub example: &'static str,
    pub help: &'static str,
    /// The flag without a value means `true`.
    pub switch: bool,
}

impl Setting {
    /// The key in the TOML file.
    pub fn key(&self) -> String {
        self.flag.replace('-', "_")
    }

    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}", self.key().to_uppercase())
    }

    /// # Panics
    /// If the flag is not in [`SETTINGS`]. Every load checks the names in the code.
    pub fn of(flag: &str) -> &'static Self {
        SETTINGS
            .iter()
            .find(|setting| setting.flag == flag)
            .expect("every flag named in this module is in SETTINGS")
    }
}

pub const ENV_PREFIX: &str = "LEASEQ_";

const fn setting(
    flag: &'static str,
    value: &'static str,
    default: &'static str,
    example: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        flag,
        value,
        default,
        example,
        help,
        switch: false,
    }
}

const fn switch(flag: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting {
        flag,
        value: "true|false",
        default,
        example: "true",
        help,
        switch: true,
    }
}

pub const SETTINGS: &[Setting] = &[
    setting(
        "listen",
        "IP:PORT",
        "127.0.0.1:8080",
        "127.0.0.1:8080",
        "Address to serve HTTP on; port 0 picks a free one",
    ),
    setting(
        "data-dir",
        "DIR",
        "leaseq-data",
        "/var/lib/leaseq",
        "Directory of the embedded Redis; made if missing, one service at a time. Not used with a Redis URL",
    ),
    setting(
        "redis-url",
        "URL",
        "",
        "redis://127.0.0.1:6379/0",
        "Redis to keep tasks in instead of the embedded one: redis://, rediss:// or redis+unix://",
    ),
    setting(
        "redis-server",
        "FILE",
        "",
        "/usr/bin/redis-server",
        "redis-server or valkey-server binary for the embedded Redis; else next to leaseq, then in PATH",
    ),
    setting(
        "durability",
        "fsync|memory|replicated",
        "",
        "fsync",
        "What an answer waits for; fsync by default with the embedded Redis, memory with a Redis URL",
    ),
    setting(
        "replicas",
        "K",
        "",
        "1",
        "Replicas that must have a write before it is answered, with durability replicated (1)",
    ),
    setting(
        "tls-cert",
        "FILE",
        "",
        "/etc/leaseq/cert.pem",
        "PEM certificate chain to serve HTTPS with; needs a key too",
    ),
    setting(
        "tls-key",
        "FILE",
        "",
        "/etc/leaseq/key.pem",
        "PEM private key of the certificate",
    ),
    switch(
        "insecure-no-auth",
        "false",
        "Let everybody who reaches the address do everything; needed to listen beyond loopback",
    ),
    setting("log", "text|json", "text", "json", "Form of the log on stderr"),
    setting(
        "log-filter",
        "FILTER",
        "info",
        "info,leaseq=debug",
        "Level to log, or target=level pairs separated by commas",
    ),
    setting("max-queues", "N", "10000", "10000", "Queues the service may have"),
    switch("auto-create", "true", "Create a queue at the first enqueue to it"),
    setting(
        "max-connections",
        "N",
        "16000",
        "16000",
        "Client connections at once; more wait to be accepted",
    ),
    setting(
        "metrics-queues",
        "N",
        "200",
        "200",
        "Queues with labels of their own in /metrics; others are counted together as _other",
    ),
    setting(
        "metrics-names",
        "N",
        "0",
        "100",
        "Pairs of queue and task name with labels of their own in /metrics; 0 counts no names",
    ),
    setting(
        "drain-seconds",
        "SECONDS",
        "25",
        "25",
        "How long requests in flight may go on after SIGTERM before they are cut",
    ),
];

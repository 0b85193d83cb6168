//! The list of all settings.

/// A setting, named by its flag. Its key and its variable are derived from the flag.
#[derive(Debug)]
pub struct Setting {
    /// The flag without dashes: `data-dir` for `--data-dir`, `data_dir` and `LEASEQ_DATA_DIR`.
    pub flag: &'static str,
    /// The placeholder of the value in help texts.
    pub value: &'static str,
    /// The default as a user would write it; empty if the setting is unset by default.
    pub default: &'static str,
    pub example: &'static str,
    pub help: &'static str,
    /// Whether the flag without a value means `true`.
    pub switch: bool,
}

impl Setting {
    /// Returns the key in the TOML file.
    pub fn key(&self) -> String {
        self.flag.replace('-', "_")
    }

    /// Returns the name of the environment variable.
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}", self.key().to_uppercase())
    }

    /// Returns the setting with this flag.
    ///
    /// # Panics
    /// If the flag is not in [`SETTINGS`]. Every load uses all flags that the code names, so a test
    /// finds such a flag.
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
        "Address to serve HTTP on; with port 0 the system picks a free port",
    ),
    setting(
        "data-dir",
        "DIR",
        "leaseq-data",
        "/var/lib/leaseq",
        "Data directory of the embedded Redis; created if missing, for one service at a time. Ignored with a Redis URL",
    ),
    setting(
        "redis-url",
        "URL",
        "",
        "redis://127.0.0.1:6379/0",
        "External Redis to use instead of the embedded one: redis://, rediss:// or redis+unix://",
    ),
    setting(
        "redis-server",
        "FILE",
        "",
        "/usr/bin/redis-server",
        "Binary of the embedded Redis (redis-server or valkey-server); by default next to leaseq, then in PATH",
    ),
    setting(
        "durability",
        "fsync|memory|replicated",
        "",
        "fsync",
        "Durability step before a write is confirmed; by default fsync with the embedded Redis, memory with a Redis URL",
    ),
    setting(
        "replicas",
        "K",
        "",
        "1",
        "Replicas that must have a write before it is confirmed, with durability replicated; 1 by default",
    ),
    setting(
        "tls-cert",
        "FILE",
        "",
        "/etc/leaseq/cert.pem",
        "PEM file with the certificate chain for HTTPS; needs --tls-key as well",
    ),
    setting(
        "tls-key",
        "FILE",
        "",
        "/etc/leaseq/key.pem",
        "PEM file with the private key of the certificate",
    ),
    switch(
        "insecure-no-auth",
        "false",
        "Give full access to everybody who reaches the address; required to listen beyond loopback",
    ),
    setting("log", "text|json", "text", "json", "Format of the log on stderr"),
    setting(
        "log-filter",
        "FILTER",
        "info",
        "info,leaseq=debug",
        "Log level, or target=level pairs separated by commas",
    ),
    setting("max-queues", "N", "10000", "10000", "Maximum number of queues"),
    switch(
        "auto-create",
        "true",
        "Create an unknown queue at the first enqueue to it",
    ),
    setting(
        "max-connections",
        "N",
        "16000",
        "16000",
        "Client connections at once; further ones wait to be accepted",
    ),
    setting(
        "metrics-queues",
        "N",
        "200",
        "200",
        "Queues with their own labels in /metrics; the others are counted together as _other",
    ),
    setting(
        "metrics-names",
        "N",
        "0",
        "100",
        "Pairs of queue and task name with their own labels in /metrics; 0 turns metrics of names off",
    ),
    setting(
        "drain-seconds",
        "SECONDS",
        "25",
        "25",
        "Time that requests in flight have to finish after SIGTERM",
    ),
];

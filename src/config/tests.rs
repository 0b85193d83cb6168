use std::io::Write;

use super::settings::SETTINGS;
use super::*;

fn env(variables: &[(&str, &str)]) -> Env {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn flags(values: &[(&'static str, &str)]) -> Flags {
    Flags {
        values: values
            .iter()
            .map(|(flag, value)| (*flag, (*value).to_owned()))
            .collect(),
        config: None,
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn problems(flags: &Flags, env: &Env) -> Vec<String> {
    load(flags, env)
        .unwrap_err()
        .0
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_defaults_are_the_embedded_redis_on_loopback_with_fsync() {
    let config = load(&Flags::default(), &Env::default()).unwrap().config;
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(
        config.redis,
        Redis::Embedded {
            data_dir: "leaseq-data".into(),
            redis_server: None
        }
    );
    assert_eq!(config.durability, Durability::Fsync);
    assert_eq!(config.drain, Duration::from_secs(25));
    assert!(config.auto_create && !config.insecure_no_auth);
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = file("max_queues = 1\nmax_connections = 1\nlog = \"json\"\n");
    let mut flags = flags(&[("max-queues", "3")]);
    flags.config = Some(file.path().to_owned());
    let env = env(&[("LEASEQ_MAX_QUEUES", "2"), ("LEASEQ_MAX_CONNECTIONS", "2")]);
    let loaded = load(&flags, &env).unwrap();

    assert_eq!(loaded.config.max_queues, 3);
    assert_eq!(loaded.config.max_connections, 2);
    assert_eq!(loaded.config.log, LogFormat::Json);
    let source = |key: &str| {
        let found = loaded.effective.iter().find(|line| line.key == key);
        found.unwrap().source.clone()
    };
    assert_eq!(source("max_queues"), Source::Flag);
    assert_eq!(source("max_connections"), Source::Env);
    assert_eq!(source("log"), Source::File(file.path().to_owned()));
    assert_eq!(source("drain_seconds"), Source::Default);
}

#[test]
fn every_setting_can_come_from_each_layer_with_its_example() {
    for setting in SETTINGS {
        // The settings without which this one is refused.
        let with: &[(&'static str, &str)] = match setting.flag {
            "replicas" => &[("redis-url", "redis://h"), ("durability", "replicated")],
            "tls-cert" => &[("tls-key", "k")],
            "tls-key" => &[("tls-cert", "c")],
            _ => &[],
        };
        let mut by_flag = flags(with);
        by_flag.values.insert(setting.flag, setting.example.to_owned());
        load(&by_flag, &Env::default()).unwrap();
        load(&flags(with), &env(&[(&setting.variable(), setting.example)])).unwrap();
        let file = file(&format!("{} = \"{}\"", setting.key(), setting.example));
        let mut by_file = flags(with);
        by_file.config = Some(file.path().to_owned());
        load(&by_file, &Env::default()).unwrap();
    }
}

#[test]
fn all_mistakes_are_reported_at_once_with_key_source_and_example() {
    let file = file("durabilty = \"fsync\"\nmax_queues = 0\nlog = [1]\n");
    let mut flags = flags(&[("listen", "nonsense"), ("tls-cert", "cert.pem")]);
    flags.config = Some(file.path().to_owned());
    let env = env(&[
        ("LEASEQ_REDIS_URL", "redis+cluster://secret@h"),
        ("LEASEQ_DRAIN_SECONDS", "soon"),
    ]);
    let name = file.path().display();

    assert_eq!(
        problems(&flags, &env),
        [
            format!("durabilty (file {name}): there is no such setting; did you mean durability?"),
            "listen (command line): `nonsense` is not an address and a port; \
             example: --listen=127.0.0.1:8080"
                .into(),
            "redis_url (environment): Redis Cluster is not supported yet: use one Redis, as \
             redis://host:port; example: LEASEQ_REDIS_URL=redis://127.0.0.1:6379/0"
                .into(),
            "tls_cert (command line): needs tls_key as well; example: --tls-cert=/etc/leaseq/cert.pem".into(),
            format!("log (file {name}): must be a single value; example: log = \"json\""),
            format!(
                "max_queues (file {name}): `0` is not a number from 1 to 1000000; example: max_queues = 10000"
            ),
            "drain_seconds (environment): `soon` is not a number of seconds from 0 to 3600; \
             example: LEASEQ_DRAIN_SECONDS=25"
                .into(),
        ]
    );
}

#[test]
fn an_address_beyond_loopback_needs_insecure_no_auth() {
    for open in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
        let refused = problems(&flags(&[("listen", open)]), &Env::default());
        assert_eq!(refused.len(), 1);
        assert!(refused[0].contains("--insecure-no-auth"), "{refused:?}");
        load(
            &flags(&[("listen", open), ("insecure-no-auth", "true")]),
            &Env::default(),
        )
        .unwrap();
    }
    for loopback in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:8080", "localhost:8080"] {
        load(&flags(&[("listen", loopback)]), &Env::default()).unwrap();
    }
}

#[test]
fn durability_follows_the_redis_unless_it_is_set() {
    let durability = |values: &[(&'static str, &str)]| {
        load(&flags(values), &Env::default()).map(|loaded| loaded.config.durability)
    };
    let url = ("redis-url", "redis://h");
    assert_eq!(durability(&[url]), Ok(Durability::Memory));
    assert_eq!(durability(&[url, ("durability", "fsync")]), Ok(Durability::Fsync));
    assert_eq!(durability(&[("durability", "memory")]), Ok(Durability::Memory));
    let two = NonZeroU8::new(2).unwrap();
    assert_eq!(
        durability(&[url, ("durability", "replicated"), ("replicas", "2")]),
        Ok(Durability::Replicated { replicas: two })
    );
    assert!(durability(&[("durability", "replicated")]).is_err());
    assert!(durability(&[url, ("replicas", "2")]).is_err());
}

#[test]
fn a_redis_url_overrides_the_data_dir_but_two_flags_contradict() {
    let image = env(&[("LEASEQ_DATA_DIR", "/data")]);
    let loaded = load(&flags(&[("redis-url", "redis://:hunter2@h")]), &image).unwrap();
    assert!(matches!(loaded.config.redis, Redis::Url(_)));
    let shown = format!("{:?} {:?}", loaded.effective, loaded.config);
    assert!(!shown.contains("hunter2"), "{shown}");

    let both = flags(&[("redis-url", "redis://h"), ("data-dir", "d")]);
    assert!(problems(&both, &Env::default())[0].contains("not both"));
}

#[test]
fn an_empty_variable_is_unset_and_a_misspelt_one_is_reported() {
    let env = env(&[
        ("LEASEQ_REDIS_URL", ""),
        ("LEASEQ_LISTN", "x"),
        ("LEASEQ_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("LEASEQ_URL", "http://127.0.0.1:1"),
    ]);
    let loaded = load(&Flags::default(), &env).unwrap();
    assert!(matches!(loaded.config.redis, Redis::Embedded { .. }));
    assert_eq!(
        loaded.warnings,
        ["LEASEQ_LISTN is not a setting and is ignored; did you mean LEASEQ_LISTEN?"]
    );
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_a_mistake() {
    let mut flags = Flags {
        config: Some("/nonexistent/leaseq.toml".into()),
        ..Flags::default()
    };
    assert!(problems(&flags, &Env::default())[0].contains("cannot be read"));
    let file = file("listen = ");
    flags.config = Some(file.path().to_owned());
    assert!(problems(&flags, &Env::default())[0].contains("is not TOML"));
}

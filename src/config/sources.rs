//! The layers that values come from, and their precedence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::mistakes::{Mistake, Mistakes, nearest};
use super::settings::{ENV_PREFIX, SETTINGS, Setting};
use super::source::Source;
use super::{Config, Durability, Effective, Redis, RedisUrl};

/// The environment variables that begin with `LEASEQ_`.
#[derive(Debug, Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// Reads the environment of the process.
    pub fn process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                name.starts_with(ENV_PREFIX)
                    .then(|| (name, value.to_string_lossy().into_owned()))
            })
            .collect()
    }

    /// Returns a variable. An empty one counts as unset, because compose files write `${X:-}`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

impl FromIterator<(String, String)> for Env {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// The flags of the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The values by flag.
    pub values: BTreeMap<&'static str, String>,
    /// `--config FILE`.
    pub config: Option<PathBuf>,
}

/// The text of each setting from the layer that wins, and the mistakes so far.
pub(super) struct Layers {
    given: BTreeMap<&'static str, (String, Source)>,
    mistakes: Vec<Mistake>,
}

impl Layers {
    pub(super) fn read(flags: &Flags, env: &Env) -> Self {
        let mut layers = Self {
            given: BTreeMap::new(),
            mistakes: Vec::new(),
        };
        let (file, named_by) = match (&flags.config, env.get("LEASEQ_CONFIG")) {
            (Some(path), _) => (Some(path.clone()), Source::Flag),
            (None, Some(path)) => (Some(path.into()), Source::Env),
            (None, None) => (None, Source::Default),
        };
        if let Some(path) = file {
            layers.read_file(&path, named_by);
        }
        for setting in SETTINGS {
            if let Some(value) = env.get(&setting.variable()) {
                layers.given.insert(setting.flag, (value.to_owned(), Source::Env));
            }
            if let Some(value) = flags.values.get(setting.flag) {
                layers.given.insert(setting.flag, (value.clone(), Source::Flag));
            }
        }
        layers
    }

    fn read_file(&mut self, path: &Path, named_by: Source) {
        let table = std::fs::read_to_string(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))
            .and_then(|text| {
                text.parse::<toml::Table>()
                    .map_err(|error| format!("{} is not TOML: {}", path.display(), error.message()))
            });
        let table = match table {
            Ok(table) => table,
            Err(problem) => {
                self.mistakes.push(Mistake {
                    key: "config".into(),
                    source: named_by,
                    problem,
                    example: String::new(),
                });
                return;
            }
        };
        for (key, value) in table {
            let source = Source::File(path.to_owned());
            let known = SETTINGS.iter().find(|setting| setting.key() == key);
            let text = match &value {
                toml::Value::String(text) => Some(text.clone()),
                toml::Value::Integer(number) => Some(number.to_string()),
                toml::Value::Float(number) => Some(number.to_string()),
                toml::Value::Boolean(yes) => Some(yes.to_string()),
                _ => None,
            };
            match (known, text) {
                (Some(setting), Some(text)) => {
                    self.given.insert(setting.flag, (text, source));
                }
                (Some(setting), None) => self.mistakes.push(Mistake {
                    problem: "must be a single value".into(),
                    example: example(setting, &source),
                    key,
                    source,
                }),
                (None, _) => self.mistakes.push(unknown(key, source)),
            }
        }
    }

    /// Returns a setting that may be absent. A wrong value is recorded and counts as absent.
    pub(super) fn optional<T>(
        &mut self,
        flag: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, _) = self.given.get(flag)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(flag, problem);
                None
            }
        }
    }

    /// Returns a setting that has a default. A wrong value is recorded and replaced by the default.
    pub(super) fn value<T>(&mut self, flag: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        self.optional(flag, &parse).unwrap_or_else(|| {
            parse(Setting::of(flag).default).expect("the defaults in SETTINGS are valid, as a test shows")
        })
    }

    pub(super) fn is_flag(&self, flag: &str) -> bool {
        matches!(self.given.get(flag), Some((_, Source::Flag)))
    }

    /// Records a mistake with the source of the setting, once for each setting.
    pub(super) fn refuse(&mut self, flag: &str, problem: String) {
        let setting = Setting::of(flag);
        let key = setting.key();
        if self.mistakes.iter().any(|mistake| mistake.key == key) {
            return;
        }
        let source = self
            .given
            .get(flag)
            .map_or(Source::Default, |(_, source)| source.clone());
        self.mistakes.push(Mistake {
            key,
            example: example(setting, &source),
            source,
            problem,
        });
    }

    /// Returns a warning for each variable that looks like a misspelt setting. Other variables are ignored:
    /// orchestrators inject `LEASEQ_PORT` and similar ones for a service that is called leaseq.
    pub(super) fn warnings(&self, env: &Env) -> Vec<String> {
        let variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        let ours = [
            "LEASEQ_CONFIG",
            "LEASEQ_URL",
            "LEASEQ_API_KEY",
            "LEASEQ_API_KEY_FILE",
        ];
        let known = || variables.iter().map(String::as_str).chain(ours);
        env.0
            .keys()
            .filter(|name| !known().any(|variable| variable == *name))
            .filter_map(|name| {
                nearest(name, known())
                    .map(|meant| format!("{name} is not a setting and is ignored; did you mean {meant}?"))
            })
            .collect()
    }

    pub(super) fn effective(&self, config: &Config) -> Vec<Effective> {
        SETTINGS
            .iter()
            .map(|setting| {
                let given = self.given.get(setting.flag);
                Effective {
                    key: setting.key(),
                    value: shown(setting, given.map(|(text, _)| text.as_str()), config),
                    source: given.map_or(Source::Default, |(_, source)| source.clone()),
                }
            })
            .collect()
    }

    pub(super) fn into_mistakes(mut self) -> Option<Mistakes> {
        let place = |mistake: &Mistake| SETTINGS.iter().position(|setting| setting.key() == mistake.key);
        // `None` sorts first, so that an unreadable file and unknown keys come before wrong values.
        self.mistakes.sort_by_key(place);
        (!self.mistakes.is_empty()).then_some(Mistakes(self.mistakes))
    }
}

fn unknown(key: String, source: Source) -> Mistake {
    let keys: Vec<String> = SETTINGS.iter().map(Setting::key).collect();
    let problem = nearest(&key, keys.iter().map(String::as_str)).map_or_else(
        || format!("there is no such setting; the settings are {}", keys.join(", ")),
        |meant| format!("there is no such setting; did you mean {meant}?"),
    );
    Mistake {
        key,
        source,
        problem,
        example: String::new(),
    }
}

/// Returns the example of a setting in the syntax of its source.
fn example(setting: &Setting, source: &Source) -> String {
    let value = setting.example;
    match source {
        Source::Flag | Source::Default => format!("--{}={value}", setting.flag),
        Source::Env => format!("{}={value}", setting.variable()),
        Source::File(_) => match value.parse::<i64>().is_ok() || value == "true" {
            true => format!("{} = {value}", setting.key()),
            false => format!("{} = \"{value}\"", setting.key()),
        },
    }
}

/// Returns a value for display, with secrets hidden and computed defaults spelt out.
fn shown(setting: &Setting, given: Option<&str>, config: &Config) -> String {
    let embedded = matches!(config.redis, Redis::Embedded { .. });
    match (setting.flag, given) {
        ("redis-url", Some(text)) => {
            RedisUrl::parse(text).map_or_else(|_| "***".to_owned(), |url| url.to_string())
        }
        ("data-dir", _) if !embedded => "(not used: redis_url is set)".to_owned(),
        ("durability", None) => config.durability.level().word().to_owned(),
        ("replicas", None) => match config.durability {
            Durability::Replicated { replicas } => replicas.to_string(),
            _ => "(none)".to_owned(),
        },
        (_, Some(text)) => text.to_owned(),
        (_, None) if setting.default.is_empty() => "(none)".to_owned(),
        (_, None) => setting.default.to_owned(),
    }
}

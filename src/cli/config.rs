//! `leaseq config`: prints the settings that the service would use.

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::serve::Settings;
use super::{Done, output};
use crate::config::Env;

/// Print the settings that `serve` would use, and the source of each
///
/// Takes the same flags as `serve`, and reports all mistakes at once. Secrets are hidden.
#[derive(Debug, clap::Args)]
pub(super) struct Config {
    #[command(flatten)]
    settings: Settings,
    /// Print JSON: {value, source} per setting
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    value: &'a str,
    source: String,
}

impl Config {
    pub(super) fn run(self, env: &Env) -> Done {
        let loaded = self.settings.load(env)?;
        for warning in &loaded.warnings {
            output::note(&format!("leaseq: {warning}"));
        }
        if self.json {
            let shown: std::collections::BTreeMap<&str, Shown<'_>> = loaded
                .effective
                .iter()
                .map(|line| {
                    let source = line.source.to_string();
                    (
                        line.key.as_str(),
                        Shown {
                            value: &line.value,
                            source,
                        },
                    )
                })
                .collect();
            let json = serde_json::to_vec_pretty(&shown)
                .map_err(|error| Failure::new(Exit::Error, error.to_string()))?;
            output::line(&json)?;
        } else {
            let rows = loaded
                .effective
                .into_iter()
                .map(|line| vec![line.key, line.value, line.source.to_string()])
                .collect();
            output::table(&["setting", "value", "from"], rows)?;
        }
        Ok(Exit::Ok)
    }
}

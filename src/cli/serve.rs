//! `leaseq serve`, and the settings of the service as flags.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use super::exit::{Exit, Failure};
use super::{Done, output};
use crate::config::settings::SETTINGS;
use crate::config::{self, Env, Flags, LogFormat};
use crate::{app, telemetry};

/// Run the service
///
/// Each setting is a flag (--data-dir), an environment variable (LEASEQ_DATA_DIR) and a key of the TOML file
/// (data_dir). A flag overrides the variable, and the variable overrides the file. On SIGTERM or SIGINT the
/// service finishes requests in flight and exits with 0.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub(super) fn run(self, env: &Env) -> Done {
        let loaded = self.settings.load(env)?;
        for warning in &loaded.warnings {
            output::note(&format!("leaseq: {warning}"));
        }
        let format = match loaded.config.log {
            LogFormat::Text => telemetry::Format::Text,
            LogFormat::Json => telemetry::Format::Json,
        };
        telemetry::init(format, &loaded.config.log_filter)
            .map_err(|error| Failure::usage(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Error, format!("cannot start the runtime: {error}")))?;
        runtime
            .block_on(app::run(loaded.config))
            .map_err(|error| Failure::new(Exit::Error, error.to_string()))?;
        Ok(Exit::Ok)
    }
}

/// The flags of [`SETTINGS`], which `serve` and `config` share.
#[derive(Debug)]
pub(super) struct Settings(Flags);

impl Settings {
    /// Loads the settings in force.
    ///
    /// # Errors
    /// A usage failure with all mistakes.
    pub(super) fn load(&self, env: &Env) -> Result<config::Loaded, Failure> {
        config::load(&self.0, env).map_err(|mistakes| Failure::usage(mistakes.to_string()))
    }
}

impl clap::Args for Settings {
    fn augment_args(command: Command) -> Command {
        let command = command.arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("TOML file with settings; by default LEASEQ_CONFIG"),
        );
        SETTINGS.iter().fold(command, |command, setting| {
            let mut help = setting.help.to_owned();
            if !setting.default.is_empty() {
                help.push_str(" [default: ");
                help.push_str(setting.default);
                help.push(']');
            }
            let mut arg = Arg::new(setting.flag)
                .long(setting.flag)
                .value_name(setting.value)
                .action(ArgAction::Set)
                .help(help);
            if setting.switch {
                arg = arg
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true");
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = SETTINGS
            .iter()
            .filter_map(|setting| {
                let value = matches.get_one::<String>(setting.flag)?;
                Some((setting.flag, value.clone()))
            })
            .collect();
        Ok(Self(Flags {
            values,
            config: matches.get_one::<PathBuf>("config").cloned(),
        }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

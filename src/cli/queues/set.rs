//! `leaseq queues set`.

use serde_json::{Map, Value};

use super::shown;
use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::{Done, input};
use crate::config::Env;
use crate::domain::QueueName;

/// Change settings of a queue, and create it if it does not exist
///
/// Use the names that `queues show` prints: `max_attempts=3`, `retention.keep=results`,
/// `names.welcome.lease_seconds=60`. `=null` restores the default.
#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Setting and its new value
    #[arg(required = true, value_name = "SETTING=VALUE", value_parser = setting)]
    settings: Vec<(Vec<String>, Value)>,
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Parses a setting for clap. A value that is no JSON is taken as text.
fn setting(text: &str) -> Result<(Vec<String>, Value), String> {
    let (name, value) = text.split_once('=').ok_or("must be SETTING=VALUE")?;
    if name.split('.').any(str::is_empty) {
        return Err("must name a setting, such as max_attempts or retention.keep".into());
    }
    // Task names may contain dots: the part between the first and the last dot is one name.
    let parts = match name.strip_prefix("names.").and_then(|rest| rest.rsplit_once('.')) {
        Some((task, field)) => vec!["names".to_owned(), task.to_owned(), field.to_owned()],
        None => name.split('.').map(str::to_owned).collect(),
    };
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((parts, value))
}

fn patch(settings: &[(Vec<String>, Value)]) -> Value {
    let mut patch = Value::Object(Map::new());
    for (parts, value) in settings {
        let mut at = &mut patch;
        for part in parts {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            at = &mut at[part.as_str()];
        }
        *at = value.clone();
    }
    patch
}

impl Set {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let body = patch(&self.settings).to_string().into_bytes();
        let response = api.patch(&format!("/v1/queues/{}", self.queue), body).await?;
        shown(&response, self.json)?;
        Ok(Exit::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_one_merge_patch() {
        let settings = [
            "max_attempts=3",
            "retention.keep=results",
            "names.a.b.lease_seconds=60",
            "order=null",
        ];
        let settings: Vec<_> = settings.iter().map(|text| setting(text).unwrap()).collect();
        let expected = serde_json::json!({"max_attempts": 3, "retention": {"keep": "results"},
            "names": {"a.b": {"lease_seconds": 60}}, "order": null});
        assert_eq!(patch(&settings), expected);
        for bad in ["max_attempts", "=3", "retention.=1"] {
            assert!(setting(bad).is_err(), "{bad}");
        }
    }
}

//! `leaseq queues`: lists, configures, pauses, holds and deletes queues.

mod breaker;
mod empty;
mod hold;
mod pause;
mod set;
mod standing;

use serde::Deserialize;
use serde_json::Value;

use super::Done;
use super::connect::Connect;
use super::exit::Exit;
use super::{client, input, output, stats};
use crate::config::Env;
use crate::domain::QueueName;

/// List queues, show and change their settings, pause, hold, empty and delete them
#[derive(Debug, clap::Args)]
pub(super) struct Queues {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    List(List),
    Show(Show),
    Set(set::Set),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Names(standing::Names),
    Groups(standing::Groups),
    Hold(hold::Hold),
    Unhold(hold::Unhold),
    Breaker(breaker::Breaker),
    Purge(empty::Purge),
    Delete(empty::Delete),
}

impl Queues {
    pub(super) async fn run(self, env: &Env) -> Done {
        match self.verb {
            Verb::List(verb) => stats::list(&verb.connect.api(env)?, verb.json).await,
            Verb::Show(verb) => verb.run(env).await,
            Verb::Set(verb) => verb.run(env).await,
            Verb::Pause(verb) => verb.run(env).await,
            Verb::Resume(verb) => verb.run(env).await,
            Verb::Names(verb) => verb.run(env).await,
            Verb::Groups(verb) => verb.run(env).await,
            Verb::Hold(verb) => verb.run(env).await,
            Verb::Unhold(verb) => verb.run(env).await,
            Verb::Breaker(verb) => verb.run(env).await,
            Verb::Purge(verb) => verb.run(env).await,
            Verb::Delete(verb) => verb.run(env).await,
        }
    }
}

/// List all queues with their counts
#[derive(Debug, clap::Args)]
struct List {
    /// Print the responses of the API as JSON, one page per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Show the settings of a queue, and which of them were set
#[derive(Debug, clap::Args)]
struct Show {
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Print the response of the API as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Deserialize)]
struct Config {
    config: Value,
    set: Value,
}

impl Show {
    async fn run(self, env: &Env) -> Done {
        let answer = self
            .connect
            .api(env)?
            .get(&format!("/v1/queues/{}", self.queue))
            .await?;
        shown(&answer, self.json)?;
        Ok(Exit::Ok)
    }
}

/// Returns the settings of a queue, one per row.
fn shown(answer: &[u8], json: bool) -> Result<(), super::exit::Failure> {
    if json {
        return output::line(answer);
    }
    let Config { config, set } = client::decode(answer)?;
    let mut rows = Vec::new();
    leaves(&config, "", &mut |setting, value| {
        let pointer = format!("/{}", setting.replace('.', "/"));
        let from = if set.pointer(&pointer).is_some() {
            "set"
        } else {
            "default"
        };
        rows.push(vec![setting.to_owned(), output::plain(value), from.to_owned()]);
    });
    output::table(&["setting", "value", "from"], rows)
}

/// Flattens an object: each value under the path of names that leads to it.
fn leaves(value: &Value, name: &str, found: &mut impl FnMut(&str, &Value)) {
    let Value::Object(fields) = value else {
        return found(name, value);
    };
    for (field, value) in fields {
        let name = if name.is_empty() {
            field.clone()
        } else {
            format!("{name}.{field}")
        };
        leaves(value, &name, found);
    }
}

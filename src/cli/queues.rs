//! `leaseq queues`: lists, configures, pauses, holds, purges and deletes queues.

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

/// List, configure, pause, hold, purge and delete queues
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
    /// Print the JSON responses unchanged, one line for each page
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Show the settings of a queue, and which of them were set
#[derive(Debug, clap::Args)]
struct Show {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Print the JSON response unchanged
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
        let response = self
            .connect
            .api(env)?
            .get(&format!("/v1/queues/{}", self.queue))
            .await?;
        shown(&response, self.json)?;
        Ok(Exit::Ok)
    }
}

/// Prints the settings of a queue, one in each row.
fn shown(response: &[u8], json: bool) -> Result<(), super::exit::Failure> {
    if json {
        return output::line(response);
    }
    let Config { config, set } = client::decode(response)?;
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

/// Calls `found` for every value that is no object, with its dotted name.
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

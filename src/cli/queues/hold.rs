//! `leaseq queues hold` and `leaseq queues unhold`.

use std::time::Duration;

use serde::Serialize;

use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::{Done, duration, input, output, query};
use crate::config::Env;
use crate::domain::{Group, QueueName, TaskName};

/// Hold a queue, a name or a group for a while
///
/// Held tasks stay ready but are not leased until the hold ends. Leased tasks continue. A new hold replaces
/// an earlier one.
#[derive(Debug, clap::Args)]
pub(super) struct Hold {
    #[command(flatten)]
    of: Of,
    /// Length of the hold from now, at most 365d
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    period: Duration,
    #[command(flatten)]
    how: How,
}

/// End a hold of a queue, a name or a group
#[derive(Debug, clap::Args)]
pub(super) struct Unhold {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct Of {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Only this name instead of the whole queue
    #[arg(long, value_parser = input::task_name, conflicts_with = "group")]
    name: Option<TaskName>,
    /// Only this group instead of the whole queue
    #[arg(long, value_parser = group)]
    group: Option<Group>,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Print the JSON response unchanged
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

fn group(text: &str) -> Result<Group, String> {
    Group::parse(text).map_err(|error| error.to_string())
}

impl Of {
    fn path(&self) -> String {
        let queue = &self.queue;
        match (&self.name, &self.group) {
            (Some(name), _) => format!("/v1/queues/{queue}/names/{name}/hold"),
            (None, Some(group)) => {
                let group = query::escaped(group.as_str());
                format!("/v1/queues/{queue}/groups/{group}/hold")
            }
            (None, None) => format!("/v1/queues/{queue}/hold"),
        }
    }
}

#[derive(Serialize)]
struct Body {
    for_seconds: f64,
}

impl Hold {
    pub(super) async fn run(self, env: &Env) -> Done {
        let body = Body {
            for_seconds: self.period.as_secs_f64(),
        };
        let body = serde_json::to_vec(&body).expect("numbers become JSON");
        let api = self.how.connect.api(env)?;
        let response = api.post(&self.of.path(), body, Duration::ZERO).await?;
        output::response(&response, self.how.json)?;
        Ok(Exit::Ok)
    }
}

impl Unhold {
    pub(super) async fn run(self, env: &Env) -> Done {
        let response = self.how.connect.api(env)?.delete(&self.of.path()).await?;
        output::response(&response, self.how.json)?;
        Ok(Exit::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_cannot_leave_its_place_in_the_path() {
        let of = Of {
            queue: QueueName::parse("q").unwrap(),
            name: None,
            group: Some(Group::parse("a/../b?ü").unwrap()),
        };
        assert_eq!(of.path(), "/v1/queues/q/groups/a%2F..%2Fb%3F%C3%BC/hold");
    }
}

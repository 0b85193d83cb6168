//! `leaseq queues hold` and `leaseq queues unhold`.

use std::time::Duration;

use serde::Serialize;

use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::{Done, duration, input, output, query};
use crate::config::Env;
use crate::domain::{Group, QueueName, TaskName};

/// Hold a queue, a name or a group: its tasks are not leased for a while
///
/// Tasks stay ready and spend no attempts. Leased tasks stay leased. Replaces an earlier hold.
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
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Only this name
    #[arg(long, value_parser = input::task_name, conflicts_with = "group")]
    name: Option<TaskName>,
    /// Only this group
    #[arg(long, value_parser = group)]
    group: Option<Group>,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Print the response of the API as JSON
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
        let answer = api.post(&self.of.path(), body, Duration::ZERO).await?;
        output::answer(&answer, self.how.json)?;
        Ok(Exit::Ok)
    }
}

impl Unhold {
    pub(super) async fn run(self, env: &Env) -> Done {
        let answer = self.how.connect.api(env)?.delete(&self.of.path()).await?;
        output::answer(&answer, self.how.json)?;
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

//! `leaseq queues names` and `leaseq queues groups`.

use serde_json::{Map, Value};

use crate::cli::connect::Connect;
use crate::cli::exit::Exit;
use crate::cli::paging::List;
use crate::cli::{Done, input, output};
use crate::config::Env;
use crate::domain::QueueName;

type Item = Map<String, Value>;

/// List the names of a queue: their tasks, limits, holds and breakers
///
/// Lists names with leased tasks or with tasks from the last day, and names with limits, a hold, or a breaker
/// that is not closed.
#[derive(Debug, clap::Args)]
pub(super) struct Names {
    #[command(flatten)]
    args: Args,
}

/// List the groups of a queue: their tasks, weights, limits and holds
///
/// Lists groups with ready or leased tasks, a weight, limits or a hold. Tasks without a group form the group
/// "-".
#[derive(Debug, clap::Args)]
pub(super) struct Groups {
    #[command(flatten)]
    args: Args,
}

#[derive(Debug, clap::Args)]
struct Args {
    /// Name of the queue
    #[arg(value_parser = input::queue)]
    queue: QueueName,
    /// Print the JSON responses unchanged, one line for each page
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Args {
    async fn print(self, env: &Env, what: &str, header: &[&str], row: impl Fn(Item) -> Vec<String>) -> Done {
        let api = self.connect.api(env)?;
        let list = List {
            path: &format!("/v1/queues/{}/{what}", self.queue),
            parameters: &[],
            limit: None,
        };
        list.print(&api, self.json, header, row).await?;
        Ok(Exit::Ok)
    }
}

impl Names {
    pub(super) async fn run(self, env: &Env) -> Done {
        const HEADER: [&str; 7] = [
            "name",
            "ready",
            "leased",
            "limits",
            "tokens",
            "held until",
            "breaker",
        ];
        let row = |item: Item| {
            vec![
                shown(&item, "name"),
                ready(&item),
                shown(&item, "leased"),
                limits(&item),
                shown(&item, "tokens"),
                shown(&item, "held_until"),
                breaker(&item),
            ]
        };
        self.args.print(env, "names", &HEADER, row).await
    }
}

impl Groups {
    pub(super) async fn run(self, env: &Env) -> Done {
        const HEADER: [&str; 7] = [
            "group",
            "ready",
            "leased",
            "weight",
            "limits",
            "tokens",
            "held until",
        ];
        let row = |item: Item| {
            vec![
                shown(&item, "group"),
                ready(&item),
                shown(&item, "leased"),
                shown(&item, "weight"),
                limits(&item),
                shown(&item, "tokens"),
                shown(&item, "held_until"),
            ]
        };
        self.args.print(env, "groups", &HEADER, row).await
    }
}

fn shown(item: &Item, field: &str) -> String {
    item.get(field).map_or_else(String::new, output::plain)
}

/// Returns the number of ready tasks, with a plus if it is a lower bound.
fn ready(item: &Item) -> String {
    let more = item.get("at_least") == Some(&Value::Bool(true));
    shown(item, "ready") + if more { "+" } else { "" }
}

/// Returns limits such as `10/s, burst 20, 5 leased`.
fn limits(item: &Item) -> String {
    let Some(Value::Object(limits)) = item.get("limits") else {
        return String::new();
    };
    let part = |field: &str, before: &str, behind: &str| {
        let limit = limits.get(field)?;
        Some(format!("{before}{}{behind}", output::plain(limit)))
    };
    let parts = [
        part("rate_per_second", "", "/s"),
        part("burst", "burst ", ""),
        part("max_leased", "", " leased"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return "-".to_owned();
    }
    parts.join(", ")
}

/// Returns the state of a breaker with its details.
fn breaker(item: &Item) -> String {
    let Some(Value::Object(breaker)) = item.get("breaker") else {
        return "-".to_owned();
    };
    let part = |field: &str, before: &str, behind: &str| {
        let part = breaker.get(field)?;
        Some(format!("{before}{}{behind}", output::plain(part)))
    };
    let parts = [
        part("state", "", ""),
        part("open_until", "until ", ""),
        part("failures", "", " failures"),
        part("probes", "", " probes"),
        part("successes", "", " succeeded"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Item {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn limits_and_breakers_are_printed_in_a_few_words() {
        let busy = item(
            r#"{"ready":7,"at_least":true,"limits":{"rate_per_second":2.5,"max_leased":9},"breaker":{"state":"half_open","probes":1,"successes":0}}"#,
        );
        assert_eq!(ready(&busy), "7+");
        assert_eq!(limits(&busy), "2.5/s, 9 leased");
        assert_eq!(breaker(&busy), "half_open, 1 probes, 0 succeeded");
        let idle = item(r#"{"ready":0,"at_least":false,"limits":{},"breaker":null}"#);
        assert_eq!(
            [ready(&idle), limits(&idle), breaker(&idle)],
            ["0", "-", "-"].map(str::to_owned)
        );
    }
}

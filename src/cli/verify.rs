//! `leaseq verify`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::Api;
use super::connect::Connect;
use super::exit::{Exit, Failure};
use super::{Done, client, input, output, paging};
use crate::config::Env;
use crate::domain::QueueName;

/// The length of one request. Short, so that the progress bar moves.
const PART_SECONDS: u64 = 2;

/// Audit queues: compare their indexes, records and counters with each other
///
/// Changes nothing, and reads in small steps that do not slow down other requests. Exits with 1 when it finds
/// a problem.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Names of the queues
    #[arg(value_parser = input::queue, required_unless_present = "all")]
    queues: Vec<QueueName>,
    /// Audit all queues, one after the other
    #[arg(long, conflicts_with = "queues")]
    all: bool,
    /// Print an object of {queue, checked, problems, problems_total} for each queue, one on each line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Deserialize)]
struct Part {
    checked: u64,
    tasks: u64,
    problems: Vec<Problem>,
    problems_total: u64,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Problem {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    detail: String,
}

/// The sum of all parts.
#[derive(Default, Serialize)]
struct Audited {
    queue: String,
    checked: u64,
    problems: Vec<Problem>,
    problems_total: u64,
}

impl Verify {
    pub(super) async fn run(self, env: &Env) -> Done {
        let api = self.connect.api(env)?;
        let queues = match self.all {
            true => paging::queues(&api).await?,
            false => self.queues.iter().map(ToString::to_string).collect(),
        };
        let (mut rows, mut unsound) = (Vec::new(), false);
        for queue in queues {
            let audited = audit(&api, queue).await?;
            unsound |= audited.problems_total > 0;
            if self.json {
                let line = serde_json::to_vec(&audited)
                    .map_err(|error| Failure::new(Exit::Error, error.to_string()))?;
                output::line(&line)?;
                continue;
            }
            let Audited {
                queue,
                checked,
                problems,
                problems_total,
            } = audited;
            let listed = problems.len() as u64;
            if problems.is_empty() {
                let seen = format!("{checked} tasks examined");
                rows.push(vec![queue.clone(), "sound".into(), String::new(), seen]);
            }
            rows.extend(problems.into_iter().map(|problem| {
                vec![
                    queue.clone(),
                    problem.kind,
                    problem.id.unwrap_or_default(),
                    problem.detail,
                ]
            }));
            if problems_total > listed {
                let more = format!("{} more", problems_total - listed);
                rows.push(vec![queue, "more".into(), String::new(), more]);
            }
        }
        if !self.json {
            output::table(&["queue", "found", "task", "detail"], rows)?;
        }
        Ok(if unsound { Exit::Error } else { Exit::Ok })
    }
}

async fn audit(api: &Api, queue: String) -> Result<Audited, Failure> {
    // indicatif hides the bar if stderr is no terminal.
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len} tasks, {elapsed}");
    bar.set_style(style.expect("the template is a constant that parses"));
    bar.set_message(queue.clone());
    let mut audited = Audited::default();
    let path = format!("/v1/queues/{queue}/verify");
    let mut cursor: Option<String> = None;
    loop {
        let request = json!({"max_seconds": PART_SECONDS, "cursor": cursor});
        let wait = Duration::from_secs(PART_SECONDS);
        let response = api.post(&path, request.to_string().into_bytes(), wait).await;
        let part: Part = client::decode(&response.inspect_err(|_| bar.finish_and_clear())?)?;
        audited.checked += part.checked;
        audited.problems_total += part.problems_total;
        audited.problems.extend(part.problems);
        bar.set_length(part.tasks.max(audited.checked));
        bar.set_position(audited.checked);
        cursor = part.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(Audited { queue, ..audited })
}

//! `leaseq doctor`.

use serde::{Deserialize, Serialize};

use super::connect::Connect;
use super::exit::{Exit, Failure};
use super::{Done, client, output};
use crate::app;
use crate::config::{Env, RedisUrl};
use crate::domain::checkup::{self, Check};

/// Check the service and its Redis, with advice for each problem
///
/// Asks the running service. With --redis-url it checks that Redis directly, so you can use it before you
/// start a service. Exits with 1 when a check failed; a warning is no failure.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Redis to check directly, without a service: redis://, rediss:// or redis+unix://
    #[arg(long, value_name = "URL", value_parser = RedisUrl::parse, conflicts_with_all = ["url", "api_key_file"])]
    redis_url: Option<RedisUrl>,
    /// Print the JSON response unchanged; with --redis-url, an object of the same form
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Serialize, Deserialize)]
struct Checkup {
    status: String,
    checks: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    status: String,
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl From<Check> for Line {
    fn from(check: Check) -> Self {
        Self {
            name: check.name.to_owned(),
            status: check.verdict.word().to_owned(),
            detail: check.detail,
            advice: check.advice.map(Into::into),
        }
    }
}

impl Doctor {
    pub(super) async fn run(self, env: &Env) -> Done {
        let (response, checkup) = match &self.redis_url {
            Some(url) => {
                let checkup = of_redis(url).await?;
                let response = serde_json::to_vec(&checkup)
                    .map_err(|error| Failure::new(Exit::Error, error.to_string()))?;
                (response.into(), checkup)
            }
            None => {
                let response = self.connect.api(env)?.get("/v1/doctor").await?;
                let checkup: Checkup = client::decode(&response)?;
                (response, checkup)
            }
        };
        let exit = if checkup.status == checkup::Verdict::Fail.word() {
            Exit::Error
        } else {
            Exit::Ok
        };
        if self.json {
            output::line(&response)?;
        } else {
            let rows = checkup.checks.into_iter().map(|line| {
                vec![
                    line.name,
                    line.status,
                    line.detail,
                    line.advice.unwrap_or_default(),
                ]
            });
            output::table(&["check", "status", "seen", "what to do"], rows.collect())?;
        }
        Ok(exit)
    }
}

/// Checks a Redis as `serve` does when it starts.
async fn of_redis(url: &RedisUrl) -> Result<Checkup, Failure> {
    let checks = app::check_redis(url).await.map_err(Failure::usage)?;
    Ok(Checkup {
        status: checkup::worst(&checks).word().to_owned(),
        checks: checks.into_iter().map(Line::from).collect(),
    })
}

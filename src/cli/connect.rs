//! The options of every client verb.

use std::path::PathBuf;

use super::client::Api;
use super::exit::Failure;
use crate::config::Env;

const DEFAULT_URL: &str = "http://127.0.0.1:8080";
/// A key has a few dozen characters. A bigger file is not a key file.
const KEY_FILE_BYTES_MAX: u64 = 4096;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Service")]
pub(super) struct Connect {
    /// Address of the service, or LEASEQ_URL; http://127.0.0.1:8080 by default
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the API key, or LEASEQ_API_KEY_FILE; the key itself may be in LEASEQ_API_KEY
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
}

impl Connect {
    /// # Errors
    /// If the URL or the key file is unusable.
    pub(super) fn api(&self, env: &Env) -> Result<Api, Failure> {
        let url = self
            .url
            .as_deref()
            .or_else(|| env.get("LEASEQ_URL"))
            .unwrap_or(DEFAULT_URL);
        let file = self
            .api_key_file
            .clone()
            // A flag overrides both variables. Among these, the one with the key itself wins.
            .or_else(|| match env.get("LEASEQ_API_KEY") {
                Some(_) => None,
                None => env.get("LEASEQ_API_KEY_FILE").map(PathBuf::from),
            });
        let key = match &file {
            Some(file) => Some(read_key(file)?),
            None => env.get("LEASEQ_API_KEY").map(|key| key.trim().to_owned()),
        };
        Api::new(url, key.as_deref())
    }
}

fn read_key(file: &std::path::Path) -> Result<String, Failure> {
    use std::io::Read;
    let mut key = String::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(KEY_FILE_BYTES_MAX).read_to_string(&mut key))
        .map_err(|error| {
            Failure::usage(format!(
                "the API key file {} cannot be read: {error}",
                file.display()
            ))
        })?;
    let key = key.trim();
    if key.is_empty() {
        return Err(Failure::usage(format!(
            "the API key file {} is empty",
            file.display()
        )));
    }
    Ok(key.to_owned())
}

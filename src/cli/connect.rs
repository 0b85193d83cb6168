//! The options that all client verbs share.

use std::path::PathBuf;

use super::client::Api;
use super::exit::Failure;
use crate::config::Env;

const DEFAULT_URL: &str = "http://127.0.0.1:8080";
/// The most that is read of a key file. A key has some dozens of characters.
const KEY_FILE_BYTES_MAX: u64 = 4096;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Service")]
pub(super) struct Connect {
    /// Address of the service; by default LEASEQ_URL, else http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the API key; by default LEASEQ_API_KEY (the key itself) or LEASEQ_API_KEY_FILE
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
}

impl Connect {
    /// Returns a client for the service.
    ///
    /// # Errors
    /// A URL or key file that cannot be used.
    pub(super) fn api(&self, env: &Env) -> Result<Api, Failure> {
        let url = self
            .url
            .as_deref()
            .or_else(|| env.get("LEASEQ_URL"))
            .unwrap_or(DEFAULT_URL);
        let file = self
            .api_key_file
            .clone()
            // A flag overrides both variables, and LEASEQ_API_KEY overrides LEASEQ_API_KEY_FILE.
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

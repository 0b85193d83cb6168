//! The address of an external Redis. Its password is never shown.

use std::fmt;

/// A checked Redis URL. Debug and Display hide password and query.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    url: String,
    shown: String,
    scheme: Scheme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `redis://host[:port][/db]`
    Tcp,
    /// `rediss://host[:port][/db]`
    Tls,
    /// `redis+unix:///path[?db=n]`
    Unix,
}

impl RedisUrl {
    /// Parses and checks a URL.
    ///
    /// # Errors
    /// A text that describes the mistake without repeating the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("is not a URL: it must begin with redis://, rediss:// or redis+unix://")?;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (kind, shown) = match scheme {
            "redis" => (Scheme::Tcp, host(rest)?),
            "rediss" if cfg!(feature = "tls") => (Scheme::Tls, host(rest)?),
            "rediss" => return Err("this binary was built without TLS, so rediss:// cannot be used".into()),
            "redis+unix" if rest.starts_with('/') && rest.len() > 1 => (Scheme::Unix, rest.to_owned()),
            "redis+unix" => return Err("needs an absolute path after redis+unix://".into()),
            "redis+sentinel" => {
                return Err("Sentinel is not supported yet: use the primary, as redis://host:port".into());
            }
            "redis+cluster" => {
                return Err("Redis Cluster is not supported yet: use one Redis, as redis://host:port".into());
            }
            _ => return Err("has an unknown scheme: use redis://, rediss:// or redis+unix://".into()),
        };
        let query = if query.is_some() { "?***" } else { "" };
        Ok(Self {
            url: text.to_owned(),
            shown: format!("{scheme}://{shown}{query}"),
            scheme: kind,
        })
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the URL with its password, for connecting only.
    pub fn expose(&self) -> &str {
        &self.url
    }
}

/// Checks `[user[:password]@]host[:port][/db]` and returns it without the password.
fn host(rest: &str) -> Result<String, String> {
    let (authority, db) = match rest.split_once('/') {
        Some((authority, db)) => (authority, db),
        None => (rest, ""),
    };
    // A password may contain an @; a host cannot.
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, authority),
    };
    let (name, port) = match address.rfind(':') {
        Some(at) if !address.ends_with(']') => (&address[..at], Some(&address[at + 1..])),
        _ => (address, None),
    };
    let bracketed = name.starts_with('[') && name.ends_with(']');
    if name.is_empty() || (name.contains(':') && !bracketed) || name.contains(char::is_whitespace) {
        return Err("has no host".into());
    }
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err("has a port that is not a number from 1 to 65535".into());
    }
    if !db.is_empty() && db.parse::<u16>().is_err() {
        return Err("has a database that is not a number".into());
    }
    let who = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
        Some((name, _)) => format!("{name}:***@"),
        None => String::new(),
    };
    let db = if db.is_empty() {
        String::new()
    } else {
        format!("/{db}")
    };
    Ok(format!("{who}{address}{db}"))
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "redis://user:hunter2@localhost:6379/1",
            "redis://:hunter2@localhost",
            "redis://:hunter2@x@localhost",
            "redis+unix:///run/redis.sock?pass=hunter2",
        ] {
            let url = RedisUrl::parse(url).unwrap();
            let shown = format!("{url} {url:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(url.expose().contains("hunter2"));
        }
        assert_eq!(
            RedisUrl::parse("redis://user:p@db.example:6380/2")
                .unwrap()
                .to_string(),
            "redis://user:***@db.example:6380/2"
        );
    }

    #[test]
    fn a_url_that_no_client_could_use_is_refused_without_repeating_it() {
        for bad in [
            "localhost:6379",
            "http://hunter2",
            "redis://",
            "redis://:hunter2@",
            "redis://host:0",
            "redis://host:hunter2",
            "redis://host/hunter2",
            "redis://::1:6379",
            "redis+unix://relative",
            "redis+sentinel://host/hunter2",
            "redis+cluster://host",
        ] {
            let problem = RedisUrl::parse(bad).unwrap_err();
            assert!(!problem.contains("hunter2"), "{bad}: {problem}");
        }
        for good in ["redis://[::1]:6379", "redis://h", "redis+unix:///s"] {
            assert!(RedisUrl::parse(good).is_ok(), "{good}");
        }
    }
}

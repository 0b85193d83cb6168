//! The origin rule: a web page must not reach a service that asks for no key.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::problem::{Code, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The requests that a service without keys refuses, depending on its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginRule {
    /// For a loopback address: the host must be a loopback name, too, because a page can point its own DNS
    /// name at 127.0.0.1.
    Loopback,
    /// For other addresses, which need an explicit flag: their names are unknown, but foreign pages are still
    /// refused.
    AnyHost,
}

impl OriginRule {
    pub fn of(bound: SocketAddr) -> Self {
        if bound.ip().is_loopback() {
            Self::Loopback
        } else {
            Self::AnyHost
        }
    }

    /// # Errors
    /// `origin_refused`, which names the header.
    pub(super) fn check(self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        // HTTP/2, and HTTP/1 with an absolute target, have the host in the URI.
        let host = match uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => headers.get(HOST).map(|host| host.to_str().unwrap_or("?")),
        };
        // Every browser sends a host.
        if self == Self::Loopback && host.is_some_and(|host| !is_loopback(host)) {
            return refuse("the host is not a loopback name");
        }
        if let Some(origin) = headers.get(ORIGIN)
            && !is_same(origin, host)
        {
            return refuse("the Origin differs from that of the service");
        }
        if headers
            .get(SEC_FETCH_SITE)
            .is_some_and(|site| site == "cross-site")
        {
            return refuse("Sec-Fetch-Site is cross-site");
        }
        Ok(())
    }
}

fn refuse(detail: &'static str) -> Result<(), Problem> {
    Err(Code::OriginRefused.because(detail))
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let name = name.strip_suffix('.').unwrap_or(name);
    bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        || name.eq_ignore_ascii_case("localhost")
        || name.len() > 10 && name.as_bytes()[name.len() - 10..].eq_ignore_ascii_case(b".localhost")
}

fn is_same(origin: &HeaderValue, host: Option<&str>) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let of_origin = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    matches!((of_origin, host), (Some(of_origin), Some(host)) if of_origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(rule: OriginRule, pairs: &[(&str, &str)]) -> bool {
        let pairs = pairs.iter();
        let headers = pairs
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        rule.check(&Uri::from_static("/v1/queues"), &headers).is_ok()
    }

    #[test]
    fn a_page_of_another_site_is_refused_and_programs_are_not() {
        let host = ("host", "localhost:8080");
        for rule in [OriginRule::Loopback, OriginRule::AnyHost] {
            assert!(allowed(rule, &[]));
            assert!(allowed(rule, &[host]));
            assert!(allowed(rule, &[host, ("origin", "http://localhost:8080")]));
            assert!(allowed(rule, &[host, ("sec-fetch-site", "same-origin")]));
            for foreign in [
                "http://evil.example",
                "http://localhost:3000",
                "null",
                "http://localhost",
            ] {
                assert!(!allowed(rule, &[host, ("origin", foreign)]), "{foreign}");
            }
            assert!(!allowed(rule, &[host, ("sec-fetch-site", "cross-site")]));
        }
    }

    #[test]
    fn a_name_that_points_at_loopback_is_no_loopback_name() {
        for good in [
            "localhost",
            "LOCALHOST:1",
            "a.localhost:80",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
        ] {
            assert!(allowed(OriginRule::Loopback, &[("host", good)]), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "",
            "[::2]",
        ] {
            assert!(!allowed(OriginRule::Loopback, &[("host", bad)]), "{bad}");
        }
        assert!(allowed(OriginRule::AnyHost, &[("host", "queue.internal")]));
    }

    #[test]
    fn the_rule_follows_the_address() {
        for (bound, rule) in [
            ("127.0.0.1:8080", OriginRule::Loopback),
            ("[::1]:8080", OriginRule::Loopback),
            ("0.0.0.0:8080", OriginRule::AnyHost),
        ] {
            assert_eq!(OriginRule::of(bound.parse().unwrap()), rule);
        }
    }
}

//! Who may ask the local API: no other website, no other machine by a borrowed name, nobody without the token.

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};

use super::address::Token;
use super::operator::Failure;

/// The checks before a request is looked at.
#[derive(Debug, Clone)]
pub struct Guard {
    token: Token,
    /// The address listened on.
    listens: IpAddr,
}

/// A refusal: the status for browsers, the sentence for people.
pub type Refusal = (StatusCode, Failure);

impl Guard {
    /// A guard of the server that listens on `listens`.
    pub fn new(token: Token, listens: IpAddr) -> Self {
        Self { token, listens }
    }

    /// Refuses a request that came under a foreign name or from a foreign page.
    ///
    /// A page on the internet can point a name of its own at this machine (DNS rebinding); it cannot make the
    /// browser send an address literal or `localhost` as the host. So only those are let in.
    pub fn check_source(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        if !self.is_own_host(host) {
            let failure =
                Failure::new("this API answers only to its own address, not to the name in the request");
            return Err((
                StatusCode::FORBIDDEN,
                failure.next("use http://127.0.0.1 and the port of the node"),
            ));
        }
        match headers.get(ORIGIN) {
            None => Ok(()),
            Some(origin) if origin.as_bytes() == format!("http://{host}").as_bytes() => Ok(()),
            Some(_) => {
                let failure = Failure::new("this API does not answer to pages of other origins");
                Err((StatusCode::FORBIDDEN, failure))
            }
        }
    }

    /// Refuses a request without the node's token.
    pub fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok());
        match given.and_then(|text| text.strip_prefix("Bearer ")) {
            Some(given) if self.token.accepts(given) => Ok(()),
            _ => {
                let failure =
                    Failure::new("the request has no token of this node, or that of an earlier run");
                Err((
                    StatusCode::UNAUTHORIZED,
                    failure.next("the token stands in api.json in the node's home"),
                ))
            }
        }
    }

    fn is_own_host(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        match name.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || !self.listens.is_loopback(),
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn guard(listens: &str) -> Guard {
        Guard::new(Token::random().expect("randomness"), listens.parse().expect("an address"))
    }

    fn headers(host: &'static str, origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn own_names_only() {
        let local = guard("127.0.0.1");
        for host in ["127.0.0.1:3211", "localhost:3211", "LOCALHOST", "[::1]:3211", "127.0.0.1"] {
            assert!(local.check_source(&headers(host, None)).is_ok(), "{host}");
        }
        for host in ["evil.example:3211", "127.0.0.1.evil.example", "192.168.1.9:3211", "", "localhost.evil"]
        {
            assert!(local.check_source(&headers(host, None)).is_err(), "{host}");
        }
        assert!(local.check_source(&HeaderMap::new()).is_err());
        let open = guard("0.0.0.0");
        assert!(open.check_source(&headers("192.168.1.9:3211", None)).is_ok());
        assert!(open.check_source(&headers("evil.example:3211", None)).is_err());
    }

    #[test]
    fn own_pages_only() {
        let guard = guard("127.0.0.1");
        let host = "127.0.0.1:3211";
        assert!(guard.check_source(&headers(host, Some("http://127.0.0.1:3211"))).is_ok());
        for origin in ["null", "http://evil.example", "http://127.0.0.1:9999", "https://127.0.0.1:3211", ""] {
            assert!(guard.check_source(&headers(host, Some(origin))).is_err(), "{origin}");
        }
    }

    #[test]
    fn token_or_nothing() {
        let guard = guard("127.0.0.1");
        let mut headers = HeaderMap::new();
        assert!(guard.check_token(&headers).is_err());
        for (value, ok) in [
            (guard.token.bearer(), true),
            (guard.token.as_str().to_owned(), false),
            (format!("Bearer {}0", guard.token.as_str()), false),
            ("Bearer ".to_owned(), false),
        ] {
            headers.insert(AUTHORIZATION, value.parse().expect("ascii"));
            assert_eq!(guard.check_token(&headers).is_ok(), ok, "{value}");
        }
    }
}

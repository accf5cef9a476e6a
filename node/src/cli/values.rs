//! Words of the command line as values: parsed once, here, so that nothing behind them need doubt them.

use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;
use std::{fmt, io};

use safelight_proto::vocabulary::{Role, Rule, Site};

/// Longest name of a node or a shoot, in bytes.
const MAX_NAME: usize = 255;

/// Longest life of an invite.
pub const MAX_EXPIRY: Duration = Duration::from_secs(24 * 3600);

/// A host name or address and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address, an IPv6 one without its brackets.
    pub host: String,
    /// Port; 0 for any free one.
    pub port: u16,
}

impl HostPort {
    /// The first address that the host name stands for. Asks the system's resolver, and blocks for it.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        (self.host.as_str(), self.port).to_socket_addrs()?.next().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{} stands for no address", self.host))
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// `HOST:PORT`, `[IPV6]:PORT`.
pub fn host_port(text: &str) -> Result<HostPort, String> {
    let wrong = || format!("'{text}' is not HOST:PORT, such as 127.0.0.1:3210");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(wrong)?,
        None if host.contains(':') => return Err(wrong()),
        None => host,
    };
    let fits = !host.is_empty() && !host.contains(char::is_whitespace);
    let port = port.parse().ok().filter(|_| fits).ok_or_else(wrong)?;
    Ok(HostPort { host: host.to_owned(), port })
}

/// `30d`, `24h`, `1s`, and what else humantime reads.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write a time such as 60s, 24h or 30d"))
}

/// The life of an invite.
pub fn expiry(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time < Duration::from_secs(1) => Err("the code would end before anybody could use it".into()),
        time if time > MAX_EXPIRY => Err("an invite holds for 24h at most".into()),
        time => Ok(time),
    }
}

/// The name of a node, with its spaces tidied.
pub fn name(text: &str) -> Result<String, String> {
    shoot(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The name of a shoot, as it was typed but for spaces around it.
pub fn shoot(text: &str) -> Result<String, String> {
    let name = text.trim();
    match name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        true => Err(format!("a name has 1 to {MAX_NAME} bytes and no control characters")),
        false => Ok(name.to_owned()),
    }
}

/// A site.
pub fn site(text: &str) -> Result<Site, String> {
    Site::new(text)
        .ok_or_else(|| format!("the name of a site has 1 to {} bytes and no control characters", Site::MAX))
}

/// A role.
pub fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|e| format!("{e}"))
}

/// A rule.
pub fn rule(text: &str) -> Result<Rule, String> {
    Rule::from_str(text).map_err(|e| e.to_string())
}

/// `2.0x` or `2`: a factor of at least one, as percent.
pub fn spend_percent(text: &str) -> Result<u32, String> {
    const MOST: f64 = 12.0;
    let wrong = || format!("'{text}' is no factor of storage; write 1.5x to {MOST}x");
    let factor: f64 = text.strip_suffix('x').unwrap_or(text).parse().map_err(|_| wrong())?;
    match (1.0..=MOST).contains(&factor) {
        true => Ok((factor * 100.0).round() as u32),
        false => Err(wrong()),
    }
}

/// A glob, checked and kept as it was typed.
pub fn glob(text: &str) -> Result<String, String> {
    globset::Glob::new(text).map(|_| text.to_owned()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for text in ["127.0.0.1:3210", "0.0.0.0:0", "[::1]:3210", "nas.local:65535"] {
            assert_eq!(host_port(text).map(|h| h.to_string()).as_deref(), Ok(text));
        }
        for text in
            ["", "3210", "host", "host:", ":1", "host:65536", "::1:3210", "[::1:3210", "a b:1", "host:-1"]
        {
            assert!(host_port(text).is_err(), "{text}");
        }
        let resolved = host_port("127.0.0.1:9").expect("valid").resolve().expect("a literal");
        assert_eq!(resolved, SocketAddr::from(([127, 0, 0, 1], 9)));
    }

    #[test]
    fn times() {
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86400)));
        assert_eq!(duration("1s"), Ok(Duration::from_secs(1)));
        assert!(duration("soon").is_err());
        assert!(expiry("25h").is_err() && expiry("0s").is_err() && expiry("24h").is_ok());
    }

    #[test]
    fn factors() {
        assert_eq!(spend_percent("2.0x"), Ok(200));
        assert_eq!(spend_percent("1.67"), Ok(167));
        for text in ["0.5x", "13x", "x", "NaN", "-2x", "inf"] {
            assert!(spend_percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(name("  Smith   wedding "), Ok("Smith wedding".into()));
        assert_eq!(shoot(" Smith  wedding "), Ok("Smith  wedding".into()));
        for text in ["", "  ", "a\u{7}b", &"x".repeat(256)] {
            assert!(name(text).is_err() && shoot(text).is_err(), "{text}");
        }
        assert!(glob("**/*.{CR3,xmp}").is_ok() && glob("[").is_err());
    }
}

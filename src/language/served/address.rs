//! The address of a server in whatever form people write it.

use std::fmt;
use std::net::IpAddr;

use crate::language::LanguageError;

/// Endings that people copy along with an address.
const ENDINGS: [&str; 3] = ["/chat/completions", "/completions", "/models"];

/// The base address of an OpenAI-compatible server, `http://localhost:8000/v1`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// With scheme and path, without a slash at the end.
    base: String,
    /// Where the host begins and ends in it.
    host: (usize, usize),
}

impl Address {
    /// Reads an address; scheme and `/v1` may be left out, and a slash or the path of a call may be at its end.
    ///
    /// # Errors
    /// [`LanguageError::Address`].
    pub fn parse(text: &str) -> Result<Self, LanguageError> {
        let failed = |reason| LanguageError::Address {
            reason,
            address: without_login(text.trim()),
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(failed("it is empty"));
        }
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && c.is_ascii();
        if !text.chars().all(is_plain) {
            return Err(failed("it has spaces or characters that no address has"));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => {
                let host = text.split(['/', '?', '#']).next().unwrap_or_default();
                // What is in the same room seldom has a certificate.
                let scheme = if is_local(host_of(host)) { "http" } else { "https" };
                (scheme.to_owned(), text)
            }
        };
        if scheme != "http" && scheme != "https" {
            return Err(failed("it begins neither with http:// nor with https://"));
        }
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(failed(
                "it has a user name or password in it, which would be shown and logged; leave that out",
            ));
        }
        let host = host_of(authority);
        if host.is_empty() || host == "[]" {
            return Err(failed("it has no host"));
        }
        let port = &authority[host.len()..];
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
            return Err(failed("its port is not a number from 1 to 65535"));
        }
        let mut path = path.trim_end_matches('/');
        for ending in ENDINGS {
            if let Some(shorter) = path.strip_suffix(ending) {
                path = shorter.trim_end_matches('/');
                break;
            }
        }
        let path = if path.is_empty() { "/v1" } else { path };
        let host_start = scheme.len() + 3;
        Ok(Self {
            host: (host_start, host_start + host.len()),
            base: format!("{scheme}://{authority}{path}"),
        })
    }

    /// The address of a call.
    pub(super) fn of(&self, call: &str) -> String {
        format!("{}/{call}", self.base)
    }

    /// The name or number of the computer.
    #[must_use]
    pub fn host(&self) -> &str {
        self.base.get(self.host.0..self.host.1).unwrap_or_default()
    }

    /// Whether nobody on the way can read what is sent.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.base.starts_with("https:")
    }

    /// Whether it leads to this computer.
    #[must_use]
    pub fn is_this_computer(&self) -> bool {
        is_loopback(self.host())
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.base
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.base, f)
    }
}

/// The host of a host with a port; numbers of version 6 stand in square brackets.
fn host_of(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.find(']').map_or("", |end| &authority[..=end]);
    }
    authority.split(':').next().unwrap_or_default()
}

fn number(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_loopback(host: &str) -> bool {
    let name = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    name || number(host).is_some_and(|number| number.is_loopback())
}

/// Whether a host is this computer, a bare number, or a name without dots.
fn is_local(host: &str) -> bool {
    is_loopback(host) || number(host).is_some() || !host.contains('.')
}

fn without_login(text: &str) -> String {
    let (before, rest) = text
        .split_once("://")
        .map_or(("", text), |(scheme, rest)| (scheme, rest));
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..authority_end].rfind('@') else {
        return text.to_owned();
    };
    let between = if before.is_empty() { "" } else { "://" };
    format!("{before}{between}…{}", &rest[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_address_leads_to_one() {
        for (text, expected) in [
            ("http://host:8000", "http://host:8000/v1"),
            ("http://host:8000/", "http://host:8000/v1"),
            (" http://host:8000/v1 ", "http://host:8000/v1"),
            ("http://host:8000/v1/", "http://host:8000/v1"),
            ("http://host:8000/v1//", "http://host:8000/v1"),
            ("http://host:8000/v1/chat/completions", "http://host:8000/v1"),
            ("http://host:8000/v1/models", "http://host:8000/v1"),
            (
                "HTTPS://api.example.com/llm/v1beta/",
                "https://api.example.com/llm/v1beta",
            ),
            ("localhost:8000", "http://localhost:8000/v1"),
            ("gpu7:30000", "http://gpu7:30000/v1"),
            ("127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
            ("[::1]:8000", "http://[::1]:8000/v1"),
            ("api.example.com", "https://api.example.com/v1"),
            ("http://host?key=1#x", "http://host/v1"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.as_str(), expected, "{text}");
            let call = address.of("models");
            assert!(call.ends_with("/models") && !call.contains("//m"), "{call}");
        }
        let hosts = [
            ("http://[::1]:8000", "[::1]", true),
            ("localhost", "localhost", true),
            ("http://192.168.0.7:1", "192.168.0.7", false),
            ("https://a.b", "a.b", false),
        ];
        for (text, host, is_this_computer) in hosts {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.host(), address.is_this_computer()),
                (host, is_this_computer)
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for text in [
            "",
            " ",
            "ftp://host",
            "http://",
            "http:///v1",
            "http://ho st",
            "http://host:0",
            "http://host:99999",
            "http://host:x",
            "http://[]",
            "http://höst",
            "file:///etc/passwd",
            "http://[::1",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(
                error.to_string().contains("no address of a server"),
                "{text}: {error}"
            );
        }
        for text in [
            "http://me:secret@host/v1",
            "me:secret@host",
            "https://secret@host",
        ] {
            let message = Address::parse(text).unwrap_err().to_string();
            assert!(
                !message.contains("secret") && message.contains("user name"),
                "{message}"
            );
        }
    }
}

//! URLs.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use url::{Host, Position, Url};

use super::{Kind, ValueError, domain};

/// Longest URL read, in bytes. Longer ones are no address of anything; vendors stop far below.
const LONGEST: usize = 65_536;

/// A URL with scheme and host lower case and the default port dropped; the original text is kept,
/// because vendors differ in what they match. Equality and order are those of the canonical text.
#[derive(Clone)]
pub struct UrlValue {
    /// The canonical text, and after it the original one where it differs: one allocation, because
    /// there are millions.
    text: Box<str>,
    canonical_end: u32,
    host_start: u32,
    host_end: u32,
}

impl UrlValue {
    /// Reads an absolute URL with a host. A user name and password are kept as part of it; an address
    /// as host is brought to its usual spelling, an IPv4-mapped one to IPv4.
    ///
    /// # Errors
    /// Texts without scheme or host, hosts that are neither name nor address, more than 65,536 bytes.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(invalid("longer than 65,536 bytes"));
        }
        // The URL standard repairs `http:host` and `http:///host`; no source means them.
        let Some((_, rest)) = text.split_once("://") else {
            return Err(invalid("no scheme"));
        };
        if rest.is_empty() || rest.starts_with(['/', '\\', '?', '#', ':']) {
            return Err(invalid("no host"));
        }
        let mut url = Url::parse(text).map_err(|error| match error {
            url::ParseError::EmptyHost => invalid("no host"),
            url::ParseError::InvalidPort => invalid("a bad port"),
            url::ParseError::RelativeUrlWithoutBase => invalid("no scheme"),
            _ => invalid("a bad host"),
        })?;
        set_canonical_host(&mut url)?;
        let host = host_range(&url);
        let canonical = url.as_str();
        let too_long = |_| invalid("longer than 65,536 bytes");
        let canonical_end = u32::try_from(canonical.len()).map_err(too_long)?;
        let host_start = u32::try_from(host.start).map_err(too_long)?;
        let host_end = u32::try_from(host.end).map_err(too_long)?;
        let text = if canonical == text {
            canonical.into()
        } else {
            [canonical, text].concat().into_boxed_str()
        };
        Ok(Self {
            text,
            canonical_end,
            host_start,
            host_end,
        })
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text[..self.canonical_end as usize]
    }

    /// The text as the source gave it.
    pub fn original(&self) -> &str {
        let original = &self.text[self.canonical_end as usize..];
        if original.is_empty() {
            self.as_str()
        } else {
            original
        }
    }

    /// The scheme, lower case, without `://`.
    pub fn scheme(&self) -> &str {
        self.as_str().split(':').next().unwrap_or_default()
    }

    /// The host: a canonical name, or an address literal without brackets.
    pub fn host(&self) -> &str {
        &self.text[self.host_start as usize..self.host_end as usize]
    }

    /// The host where it is an address literal.
    pub fn address(&self) -> Option<IpAddr> {
        let host = self.host();
        // A canonical name never ends in a digit-only label and never has a colon.
        let literal = host.contains(':') || host.ends_with(|last: char| last.is_ascii_digit());
        literal.then(|| host.parse().ok()).flatten()
    }

    /// What follows the host: port if any, path, query, fragment. Starts with `:`, `/`, `?`, `#`, or is
    /// empty.
    pub fn after_host(&self) -> &str {
        let rest = &self.as_str()[self.host_end as usize..];
        rest.strip_prefix(']').unwrap_or(rest)
    }
}

/// Where the host stands, without brackets.
fn host_range(url: &Url) -> Range<usize> {
    let start = url[..Position::BeforeHost].len();
    let end = url[..Position::AfterHost].len();
    if url.as_str()[start..end].starts_with('[') {
        start + 1..end - 1
    } else {
        start..end
    }
}

/// The parser lowers and maps the hosts of the web's own schemes only, keeps a trailing dot, and leaves
/// IPv4-mapped addresses in IPv6.
fn set_canonical_host(url: &mut Url) -> Result<(), ValueError> {
    enum New {
        Same,
        Address(IpAddr),
        Name(String),
    }
    let new = match url.host() {
        None => return Err(invalid("no host")),
        Some(Host::Ipv4(_)) => New::Same,
        Some(Host::Ipv6(address)) => match address.to_ipv4_mapped() {
            Some(address) => New::Address(IpAddr::V4(address)),
            None => New::Same,
        },
        Some(Host::Domain(name)) => match name.parse::<Ipv4Addr>() {
            // Only under other schemes: the text is the canonical one already.
            Ok(_) => New::Same,
            Err(_) => {
                let canonical = domain::canonical(name).map_err(|error| match error {
                    ValueError::Invalid { message, .. } => invalid(message),
                    other => other,
                })?;
                if canonical == name {
                    New::Same
                } else {
                    New::Name(canonical.into_owned())
                }
            }
        },
    };
    match new {
        New::Same => Ok(()),
        New::Address(address) => url.set_ip_host(address).map_err(|()| invalid("a bad host")),
        New::Name(name) => url.set_host(Some(&name)).map_err(|_| invalid("a bad host")),
    }
}

const fn invalid(message: &'static str) -> ValueError {
    ValueError::Invalid {
        kind: Kind::Url,
        message,
    }
}

impl fmt::Debug for UrlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for UrlValue {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for UrlValue {}

impl PartialOrd for UrlValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UrlValue {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for UrlValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

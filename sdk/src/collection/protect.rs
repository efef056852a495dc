//! What is never blocked, on every path.

use std::borrow::Cow;

use ipnet::IpNet;
use psl::Psl;

use super::rules::Rule;
use crate::indicator::{Domain, UrlValue, Value, split_port};

/// The place of a rule in the order of precedence.
pub(super) type RuleId = u16;

/// A network with the text of its rule.
macro_rules! special_purpose {
    ($($network:literal),* $(,)?) => {
        [$(($network, concat!("special-purpose ", $network))),*]
    };
}

/// IANA IPv4 Special-Purpose Address Registry, narrower entries inside wider ones left out.
const SPECIAL_PURPOSE_IPV4: [(&str, &str); 17] = special_purpose![
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
];

/// IANA IPv6 Special-Purpose Address Registry, narrower entries inside wider ones left out (`2001::/23`
/// has Teredo, benchmarking, AS112, ORCHID and DRIP in it), and the deprecated site-local block, which the
/// address space registry still reserves.
const SPECIAL_PURPOSE_IPV6: [(&str, &str); 16] = special_purpose![
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
];

/// Multicast in both families (RFC 5771, RFC 4291 §2.7).
const MULTICAST: [(&str, &str); 2] = [
    ("224.0.0.0/4", "multicast 224.0.0.0/4"),
    ("ff00::/8", "multicast ff00::/8"),
];

/// Settings of the built-in protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Refuse special-purpose addresses (IANA registries, both families). `false` only where every
    /// endpoint is on loopback: the caller checks that. Multicast is refused all the same.
    pub special_purpose: bool,
    /// Widest IPv4 network taken (default 8).
    pub widest_ipv4: u8,
    /// Widest IPv6 network taken (default 24).
    pub widest_ipv6: u8,
    /// Refuse bare public suffixes, private section included, and single labels (default true).
    pub public_suffixes: bool,
    /// The vendor's own management hosts as configured: names (with what is below them), addresses, or
    /// URLs, with or without a port.
    pub management_hosts: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            special_purpose: true,
            widest_ipv4: 8,
            widest_ipv6: 24,
            public_suffixes: true,
            management_hosts: Vec::new(),
        }
    }
}

/// The built-in protection, compiled.
#[derive(Clone, Debug)]
pub struct Protection {
    /// Values and the rule that keeps each off.
    pub(super) values: Vec<(Value, Cow<'static, str>)>,
    widest_ipv4: u8,
    widest_ipv6: u8,
    public_suffixes: bool,
    unreadable: Vec<String>,
}

impl Default for Protection {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}

impl Protection {
    /// Compiles the settings.
    pub fn new(settings: &Settings) -> Self {
        let mut values = Vec::new();
        let mut add = |table: &[(&'static str, &'static str)]| {
            let rule = |(network, text): &(&'static str, &'static str)| {
                (built_in(network), Cow::Borrowed(*text))
            };
            values.extend(table.iter().map(rule));
        };
        add(&MULTICAST);
        if settings.special_purpose {
            add(&SPECIAL_PURPOSE_IPV4);
            add(&SPECIAL_PURPOSE_IPV6);
        }
        let mut unreadable = Vec::new();
        for host in &settings.management_hosts {
            match management_host(host) {
                Some(value) => values.push((value, format!("management host {host}").into())),
                None => unreadable.push(host.clone()),
            }
        }
        Self {
            values,
            widest_ipv4: settings.widest_ipv4,
            widest_ipv6: settings.widest_ipv6,
            public_suffixes: settings.public_suffixes,
            unreadable,
        }
    }

    /// Management hosts that are neither name, address nor URL, and protect nothing therefore: a
    /// configuration error.
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// What refuses the value whatever it covers: its width, or that it is a suffix or a single label.
    pub(super) fn refuses(&self, value: &Value) -> Option<Rule> {
        let text = match value {
            Value::Ipv4(network) if network.prefix_len() < self.widest_ipv4 => {
                format!("wider than /{}", self.widest_ipv4).into()
            }
            Value::Ipv6(network) if network.prefix_len() < self.widest_ipv6 => {
                format!("wider than /{}", self.widest_ipv6).into()
            }
            Value::Domain(name) => self.refuses_name(name.as_str(), true)?,
            Value::Url(url) if url.address().is_none() => {
                self.refuses_name(url.host(), is_whole_host(url))?
            }
            _ => return None,
        };
        Some(Rule {
            protected: true,
            text,
        })
    }

    /// A page below a suffix that is also a host (`s3.amazonaws.com/…`) may be blocked, the host may not;
    /// a single label is a host of one's own whatever the page.
    fn refuses_name(&self, name: &str, whole: bool) -> Option<Cow<'static, str>> {
        if !self.public_suffixes {
            return None;
        }
        if !name.contains('.') {
            return Some(Cow::Borrowed("single label"));
        }
        if !whole {
            return None;
        }
        let suffix = psl::List.suffix(name.as_bytes())?;
        (suffix.is_known() && suffix.as_bytes().len() == name.len())
            .then(|| format!("public suffix {name}").into())
    }
}

fn is_whole_host(url: &UrlValue) -> bool {
    let rest = url.after_host();
    let path = rest
        .find(['/', '?', '#'])
        .map_or("", |start| &rest[start..]);
    let path = path.split('#').next().unwrap_or_default();
    matches!(path, "" | "/" | "?" | "/?")
}

/// Not through [`Value::parse`], which would make IPv4 of the IPv4-mapped block.
#[expect(
    clippy::expect_used,
    reason = "the tables are constant, and a test reads them"
)]
fn built_in(network: &str) -> Value {
    match network.parse().expect("a network") {
        IpNet::V4(network) => Value::Ipv4(network),
        IpNet::V6(network) => Value::Ipv6(network),
    }
}

fn management_host(host: &str) -> Option<Value> {
    let host = host.trim();
    if host.contains("://") {
        let url = UrlValue::parse(host).ok()?;
        return match url.address() {
            Some(address) => Some(Value::from(address)),
            None => Domain::parse(url.host()).ok().map(Value::Domain),
        };
    }
    let (host, _) = split_port(host);
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => Some(Value::from(address)),
        Err(_) => Domain::parse(host).ok().map(Value::Domain),
    }
}

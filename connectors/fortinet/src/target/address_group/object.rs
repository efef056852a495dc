//! What address objects and groups look like: shared by firewalls and managers.

use std::borrow::Cow;

use sdk::indicator::{Kind, Value};
use sdk::target::Rejection;

use crate::api::{AddressBody, AddressRow};

/// The three sorts of group. FQDN objects live in the IPv4 tables, in groups of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Family {
    /// IPv4 networks.
    Ipv4,
    /// IPv6 networks.
    Ipv6,
    /// Names.
    Fqdn,
}

impl Family {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Fqdn];

    /// Where a value goes; `None` where no object can stand for it.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Ipv4(_) => Some(Self::Ipv4),
            Value::Ipv6(_) => Some(Self::Ipv6),
            Value::Domain(_) => Some(Self::Fqdn),
            _ => None,
        }
    }

    /// The table of its objects.
    pub(crate) fn addresses(self) -> &'static str {
        match self {
            Self::Ipv4 | Self::Fqdn => "address",
            Self::Ipv6 => "address6",
        }
    }

    /// The table of its groups.
    pub(crate) fn groups(self) -> &'static str {
        match self {
            Self::Ipv4 | Self::Fqdn => "addrgrp",
            Self::Ipv6 => "addrgrp6",
        }
    }

    /// Its part of a group's name.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Ipv4 => "v4",
            Self::Ipv6 => "v6",
            Self::Fqdn => "fqdn",
        }
    }
}

/// What an object stands for, if it is one value of ours.
pub(crate) fn value_of(family: Family, row: &AddressRow) -> Option<Value> {
    match (row.kind.as_str(), family) {
        ("ipmask", Family::Ipv4 | Family::Fqdn) => {
            let (address, mask) = row.subnet.split_once(' ')?;
            let mask: std::net::Ipv4Addr = mask.parse().ok()?;
            let bits = u32::from(mask);
            let length = bits.leading_ones();
            (bits.count_ones() == length)
                .then(|| Value::parse(Kind::Ipv4, &format!("{address}/{length}")).ok())
                .flatten()
        }
        ("fqdn", Family::Ipv4 | Family::Fqdn) => Value::parse(Kind::Domain, &row.fqdn).ok(),
        ("ipprefix", Family::Ipv6) => Value::parse(Kind::Ipv6, &row.ip6).ok(),
        _ => None,
    }
}

/// The characters that FortiOS refuses as dangerous, and what ends a line, do not occur in marks; in a
/// person's words they become blanks.
pub(crate) fn comment(note: &str) -> Cow<'_, str> {
    let refused = |c: char| "<>()#\"'".contains(c) || c.is_control();
    if note.contains(refused) {
        Cow::Owned(
            note.chars()
                .map(|c| if refused(c) { ' ' } else { c })
                .collect(),
        )
    } else {
        Cow::Borrowed(note)
    }
}

/// A handle: the object's name, and the groups of ours that hold it.
pub(crate) fn handle(name: &str, groups: &[&str]) -> Box<str> {
    std::iter::once(name)
        .chain(groups.iter().copied())
        .collect::<Vec<_>>()
        .join("\n")
        .into()
}

pub(crate) fn read_handle(id: &str) -> (&str, Vec<&str>) {
    let mut parts = id.split('\n');
    (parts.next().unwrap_or_default(), parts.collect())
}

/// The name of our object for a value: it says which installation made it, so that two of them do not fight
/// over one object.
pub(crate) fn name_of(prefix: &str, installation: &str, value: &Value) -> String {
    let text = format!("{installation};{}:{value}", value.kind());
    let hash = blake3::hash(text.as_bytes()).to_hex();
    format!("{prefix}-{}-{}", value.kind(), &hash[..16])
}

/// What an object for a value is made of.
pub(crate) fn body_of<'a>(name: &'a str, value: &Value, comment: &'a str) -> AddressBody<'a> {
    let mut body = AddressBody {
        name,
        kind: "ipmask",
        subnet: None,
        ip6: None,
        fqdn: None,
        associated_interface: None,
        comment,
    };
    match value {
        Value::Ipv4(net) => body.subnet = Some(format!("{} {}", net.network(), net.netmask())),
        Value::Ipv6(net) => {
            body.kind = "ipprefix";
            body.ip6 = Some(net.to_string());
        }
        other => {
            body.kind = "fqdn";
            body.fqdn = Some(other.to_string());
        }
    }
    body
}

/// The values that objects can stand for.
pub(crate) fn accept(value: &Value) -> Result<Value, Rejection> {
    match value {
        Value::Domain(domain) if domain.as_str().len() > 255 => Err(Rejection::unsupported(
            "FQDN objects take names of up to 255 characters",
        )),
        Value::Ipv4(_) | Value::Ipv6(_) | Value::Domain(_) => Ok(value.clone()),
        _ => Err(Rejection::unsupported(
            "address objects stand for addresses and names only",
        )),
    }
}

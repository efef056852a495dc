//! Indicators: one canonical value with its validity, confidence and origin. An [`Indicator`] that
//! exists is valid and canonical; two spellings of one thing are one value.

mod domain;
mod hash;
mod network;
mod order;
mod refang;
mod url;

#[cfg(test)]
mod tests;

use std::fmt;

use chrono::{DateTime, Utc};
use ipnet::{Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use domain::Domain;
pub use refang::{refang, split_port};
pub use url::UrlValue;

/// The kinds of indicator that Cordon handles.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// IPv4 networks; a host is a `/32`.
    Ipv4,
    /// IPv6 networks; a host is a `/128`.
    Ipv6,
    /// Host names.
    Domain,
    /// URLs.
    Url,
    /// MD5 of a file.
    Md5,
    /// SHA-1 of a file.
    Sha1,
    /// SHA-256 of a file.
    Sha256,
}

impl Kind {
    /// Every kind, in canonical order.
    pub const ALL: [Self; 7] = [
        Self::Ipv4,
        Self::Ipv6,
        Self::Domain,
        Self::Url,
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
    ];

    /// The name used in reports and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A canonical value. The order (kind, then value) is the order of every plan and report.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// A masked network.
    Ipv4(Ipv4Net),
    /// A masked network; never IPv4-mapped.
    Ipv6(Ipv6Net),
    /// Lower case, A-labels, no trailing dot.
    Domain(Domain),
    /// Scheme and host lower case, default port dropped.
    Url(UrlValue),
    /// Raw bytes.
    Md5([u8; 16]),
    /// Raw bytes.
    Sha1([u8; 20]),
    /// Raw bytes.
    Sha256([u8; 32]),
}

/// Why a text is not a value. `message` is lower case, without the text itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It is not of the kind that was asked for.
    #[error("not a valid {kind}: {message}")]
    Invalid {
        /// The kind that was asked for.
        kind: Kind,
        /// What is wrong.
        message: &'static str,
    },
    /// It is of a known kind that Cordon does not block, for instance `e-mail address`.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// It is none of the kinds known.
    #[error("not an indicator")]
    Unrecognised,
}

impl Value {
    /// Reads a value of a known kind. White space around it is ignored; defanged text is *not*
    /// accepted here ([`refang`] first): vendors and STIX patterns do not defang.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, ValueError> {
        let text = text.trim();
        match kind {
            // An address may come under the other family's name: IPv4-mapped IPv6 is IPv4.
            Kind::Ipv4 | Kind::Ipv6 => {
                let value = network::parse(text, kind)?;
                match (kind, &value) {
                    (Kind::Ipv4, Self::Ipv6(_)) => Err(ValueError::Invalid {
                        kind,
                        message: "an IPv6 address",
                    }),
                    (Kind::Ipv6, Self::Ipv4(_)) if !text.contains(':') => {
                        Err(ValueError::Invalid {
                            kind,
                            message: "an IPv4 address",
                        })
                    }
                    _ => Ok(value),
                }
            }
            Kind::Domain => Domain::parse(text).map(Self::Domain),
            Kind::Url => UrlValue::parse(text).map(Self::Url),
            Kind::Md5 => hash::parse(text, kind).map(Self::Md5),
            Kind::Sha1 => hash::parse(text, kind).map(Self::Sha1),
            Kind::Sha256 => hash::parse(text, kind).map(Self::Sha256),
        }
    }

    /// Reads a value whose kind the text alone tells, as in a plain list: address or network, hash by
    /// length, URL by scheme, otherwise a domain. Expects refanged text without a port.
    pub fn detect(text: &str) -> Result<Self, ValueError> {
        refang::detect(text)
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ipv4(_) => Kind::Ipv4,
            Self::Ipv6(_) => Kind::Ipv6,
            Self::Domain(_) => Kind::Domain,
            Self::Url(_) => Kind::Url,
            Self::Md5(_) => Kind::Md5,
            Self::Sha1(_) => Kind::Sha1,
            Self::Sha256(_) => Kind::Sha256,
        }
    }
}

/// The canonical text: addresses without a prefix length where they are one host.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(net) if net.prefix_len() == 32 => write!(f, "{}", net.addr()),
            Self::Ipv4(net) => write!(f, "{net}"),
            Self::Ipv6(net) if net.prefix_len() == 128 => write!(f, "{}", net.addr()),
            Self::Ipv6(net) => write!(f, "{net}"),
            Self::Domain(domain) => f.write_str(domain.as_str()),
            Self::Url(url) => f.write_str(url.as_str()),
            Self::Md5(bytes) => hash::write_hex(f, bytes),
            Self::Sha1(bytes) => hash::write_hex(f, bytes),
            Self::Sha256(bytes) => hash::write_hex(f, bytes),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.kind())
    }
}

/// When an indicator holds: `from ≤ t < until`. `None` is without bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Validity {
    /// First instant.
    pub from: Option<DateTime<Utc>>,
    /// First instant after it.
    pub until: Option<DateTime<Utc>>,
}

/// Where an indicator comes from inside its source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A STIX id `indicator--<uuid>`, kept in 16 bytes because there are millions.
    Stix(u128),
    /// Any other id.
    Id(Box<str>),
    /// The line of a list, counted from 1.
    Line(u32),
    /// An argument of an action.
    Argument,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stix(id) => write!(f, "indicator--{}", uuid::Uuid::from_u128(*id)),
            Self::Id(id) => f.write_str(id),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Argument => f.write_str("argument"),
        }
    }
}

/// One atomic observable as a source gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indicator {
    /// What to block.
    pub value: Value,
    /// In an exclude list, a domain stands for itself alone and not for what is below it
    /// (`=example.com` in a text list, `string` warninglists).
    pub exact: bool,
    /// Withdrawn by its source.
    pub revoked: bool,
    /// 0 to 100; for lists with counts, the count. Absent ranks as 0.
    pub confidence: Option<u16>,
    /// When it holds.
    pub validity: Validity,
    /// STIX `modified`: which version of the object this is.
    pub modified: Option<DateTime<Utc>>,
    /// Where it stands in its source.
    pub origin: Origin,
}

impl Indicator {
    /// An indicator without dates, confidence or id, as an argument or a bare list gives it.
    pub fn bare(value: Value, origin: Origin) -> Self {
        Self {
            value,
            exact: false,
            revoked: false,
            confidence: None,
            validity: Validity::default(),
            modified: None,
            origin,
        }
    }
}

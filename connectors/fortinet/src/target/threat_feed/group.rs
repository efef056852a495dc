//! The four types of feed, and how each writes its lines.

use sdk::indicator::{Kind, Value};

use super::{OLD_LIMIT, SHARED_QUOTA};
use crate::target::connection::Version;

/// The four types of feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::target) enum Group {
    Ip,
    Domain,
    Url,
    Hash,
}

impl Group {
    pub(in crate::target) const ALL: [Self; 4] = [Self::Ip, Self::Domain, Self::Url, Self::Hash];

    pub(in crate::target) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Ipv4 | Kind::Ipv6 => Self::Ip,
            Kind::Domain => Self::Domain,
            Kind::Url => Self::Url,
            Kind::Md5 | Kind::Sha1 | Kind::Sha256 => Self::Hash,
        }
    }

    pub(in crate::target) fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Ip => &[Kind::Ipv4, Kind::Ipv6],
            Self::Domain => &[Kind::Domain],
            Self::Url => &[Kind::Url],
            Self::Hash => &[Kind::Md5, Kind::Sha1, Kind::Sha256],
        }
    }

    /// The firewall's word for it.
    pub(in crate::target) fn feed_type(self) -> &'static str {
        match self {
            Self::Ip => "address",
            Self::Domain => "domain",
            Self::Url => "category",
            Self::Hash => "malware",
        }
    }

    /// Where an administrator refers to it.
    pub(in crate::target) fn place(self) -> &'static str {
        match self {
            Self::Ip => "name it as source or destination of a deny policy",
            Self::Domain => "block it in a DNS filter profile that a policy uses",
            Self::Url => "block it in a web filter profile that a policy uses",
            Self::Hash => {
                "choose it in an antivirus profile that a policy uses (not in quick-scan mode)"
            }
        }
    }

    /// Entries that fit where the firewall does not say: the smallest models' documented number; for
    /// hashes none is documented from 7.4.4 on, and the old one is kept.
    pub(in crate::target) fn documented_limit(self, version: Version) -> usize {
        match self {
            _ if version < SHARED_QUOTA => OLD_LIMIT,
            Self::Ip => 300_000,
            Self::Domain => 1_000_000,
            Self::Url => 150_000,
            Self::Hash => OLD_LIMIT,
        }
    }

    /// Reads a line; ranges, wildcards and what else a person may have put there are nobody's value.
    pub(in crate::target) fn read(self, line: &str) -> Option<Value> {
        let text = match self {
            // A description may follow a hash.
            Self::Hash => line.split_whitespace().next()?,
            _ => line,
        };
        self.kinds()
            .iter()
            .find_map(|kind| Value::parse(*kind, text).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_by_type() {
        let read = |group: Group, line: &str| group.read(line).map(|value| value.to_string());
        assert_eq!(read(Group::Ip, "1.2.3.4/24").as_deref(), Some("1.2.3.0/24"));
        assert_eq!(read(Group::Ip, "1.2.3.4-1.2.3.9"), None);
        assert_eq!(read(Group::Domain, "mail.*.example.com"), None);
        let hash = "D41D8CD98F00B204E9800998ECF8427E empty file";
        assert_eq!(
            read(Group::Hash, hash).as_deref(),
            Some("d41d8cd98f00b204e9800998ecf8427e")
        );
    }
}

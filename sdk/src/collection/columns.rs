//! Which column of a table holds what: by its header where there is one, otherwise by content.

use crate::indicator::Kind;

/// Where things stand in a row; indexes count from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    /// Where values stand, each with the kind that its header names.
    pub(super) values: Vec<(usize, Expected)>,
    /// A STIX pattern, which goes before `values`.
    pub(super) pattern: Option<usize>,
    pub(super) pattern_type: Option<usize>,
    /// What kind a row's value is of.
    pub(super) kind: Option<usize>,
    pub(super) valid_from: Option<usize>,
    pub(super) valid_until: Option<usize>,
    pub(super) confidence: Option<usize>,
    pub(super) modified: Option<usize>,
    pub(super) revoked: Option<usize>,
    pub(super) id: Option<usize>,
}

/// What a column or a type cell says of the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Nothing.
    Anything,
    /// An address of either family.
    Address,
    /// This kind.
    Kind(Kind),
    /// A hash, its length decides.
    Hash,
    /// A known kind that is not supported.
    Unsupported(&'static str),
}

/// Column names that say nothing of the kind; the first that is there is taken.
const GENERIC: [&str; 10] = [
    "indicator",
    "ioc",
    "indicators",
    "iocs",
    "indicator_value",
    "ioc_value",
    "observable",
    "observable_value",
    "artifact",
    "value",
];
const VALID_FROM: [&str; 6] = [
    "valid_from",
    "validfrom",
    "creation_date",
    "start_date",
    "start_of_validity",
    "active_from",
];
const VALID_UNTIL: [&str; 13] = [
    "valid_until",
    "validuntil",
    "end_of_validity",
    "valid_to",
    "expiration_date",
    "expiration",
    "expires",
    "expires_at",
    "expiry",
    "expiry_date",
    "end_date",
    "validity_end",
    "active_until",
];
const CONFIDENCE: [&str; 4] = ["confidence", "confidence_level", "score", "count"];

impl Columns {
    /// From a header row; `None` if the row names no column of values.
    pub(super) fn from_header<'a>(cells: impl Iterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<String> = cells.map(normalise).collect();
        let first = |wanted: &[&str]| {
            wanted
                .iter()
                .find_map(|name| names.iter().position(|cell| cell == name))
        };
        let mut values: Vec<(usize, Expected)> = first(&GENERIC)
            .map(|index| (index, Expected::Anything))
            .into_iter()
            .collect();
        if values.is_empty() {
            values = names
                .iter()
                .enumerate()
                .filter_map(|(index, name)| match expected(name)? {
                    Expected::Unsupported(_) => None,
                    kind => Some((index, kind)),
                })
                .collect();
        }
        let pattern = first(&["pattern", "stix_pattern"]);
        if values.is_empty() && pattern.is_none() {
            return None;
        }
        Some(Self {
            values,
            pattern,
            pattern_type: first(&["pattern_type"]),
            kind: first(&[
                "type",
                "kind",
                "ioc_type",
                "indicator_type",
                "observable_type",
            ]),
            valid_from: first(&VALID_FROM),
            valid_until: first(&VALID_UNTIL),
            confidence: first(&CONFIDENCE),
            modified: first(&["modified", "modified_at"]),
            revoked: first(&["revoked"]),
            id: first(&["id", "indicator_id", "stix_id"]),
        })
    }

    /// By content, from some rows: the first column in which most cells are values. Dates without a
    /// header are not guessed at: nothing says whether they mean "seen" or "valid".
    pub(super) fn from_content(
        rows: &[Vec<String>],
        is_value: impl Fn(&str) -> bool,
    ) -> Option<Self> {
        let width = rows.iter().map(Vec::len).max()?;
        let count = |index: usize, test: &dyn Fn(&str) -> bool| {
            rows.iter()
                .filter(|row| row.get(index).is_some_and(|cell| test(cell.trim())))
                .count()
        };
        let value = (0..width).find(|index| count(*index, &is_value) * 2 > rows.len())?;
        let is_number = |cell: &str| cell.parse::<u16>().is_ok();
        // A value and a number beside it: the number says how sure its source is (ipsum's list count).
        let confidence = (width == 2)
            .then_some(1 - value.min(1))
            .filter(|index| count(*index, &is_number) == rows.len());
        Some(Self {
            values: vec![(value, Expected::Anything)],
            confidence,
            ..Self::default()
        })
    }
}

/// Lower case, everything but letters and digits as one underscore.
fn normalise(cell: &str) -> String {
    let mut name = String::with_capacity(cell.len());
    for character in cell.trim().trim_start_matches('#').trim().chars() {
        if character.is_alphanumeric() {
            name.extend(character.to_lowercase());
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    name.truncate(name.trim_end_matches('_').len());
    name
}

/// What a type cell or a column name says of the kind; `None` if it says nothing that is known.
pub(super) fn expected(name: &str) -> Option<Expected> {
    let name = normalise(name);
    let expected = match name.as_str() {
        "ip" | "ips" | "ip_address" | "ipaddress" | "ip_addr" | "address" | "ip_dst" | "ip_src"
        | "dst_ip" | "src_ip" | "ip_port" | "ip_dst_port" | "ip_src_port" | "cidr" | "network"
        | "subnet" | "netblock" | "ip_range" | "ipv4" | "ipv4_addr" | "ipv4_address" | "ipv6"
        | "ipv6_addr" | "ipv6_address" => Expected::Address,
        "domain" | "domains" | "domain_name" | "hostname" | "host" | "fqdn" | "hostnames" => {
            Expected::Kind(Kind::Domain)
        }
        "url" | "urls" | "uri" => Expected::Kind(Kind::Url),
        "md5" | "md5_hash" | "hash_md5" | "filehash_md5" | "file_hash_md5" => {
            Expected::Kind(Kind::Md5)
        }
        "sha1" | "sha_1" | "sha1_hash" | "hash_sha1" | "filehash_sha1" | "file_hash_sha1" => {
            Expected::Kind(Kind::Sha1)
        }
        "sha256" | "sha_256" | "sha256_hash" | "hash_sha256" | "filehash_sha256"
        | "file_hash_sha256" => Expected::Kind(Kind::Sha256),
        "hash" | "hashes" | "file_hash" | "filehash" | "file" => Expected::Hash,
        "sha512" | "sha_512" | "sha512_hash" => Expected::Unsupported("SHA-512"),
        "sha384" | "sha_384" => Expected::Unsupported("SHA-384"),
        "sha224" | "sha_224" => Expected::Unsupported("SHA-224"),
        "ssdeep" | "imphash" | "tlsh" | "authentihash" | "ja3" | "ja3s" | "jarm" => {
            Expected::Unsupported("fingerprint")
        }
        "email" | "e_mail" | "email_addr" | "email_address" | "email_src" | "email_dst"
        | "mail" => Expected::Unsupported("e-mail address"),
        "filename" | "file_name" | "filepath" | "file_path" => Expected::Unsupported("file name"),
        "mutex" => Expected::Unsupported("mutex"),
        "registry" | "registry_key" | "regkey" => Expected::Unsupported("registry key"),
        "user_agent" => Expected::Unsupported("user agent"),
        "asn" | "as" | "autonomous_system" => Expected::Unsupported("autonomous system"),
        "yara" | "sigma" | "snort" => Expected::Unsupported("rule"),
        "cve" | "vulnerability" => Expected::Unsupported("vulnerability"),
        _ => return None,
    };
    Some(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_seen_in_published_lists() {
        let columns = |header: &str| Columns::from_header(header.split(','));
        let emotet = columns("Indicator,Kill chain,Creation date,End of validity,Context").unwrap();
        assert_eq!(emotet.values, [(0, Expected::Anything)]);
        assert_eq!((emotet.valid_from, emotet.valid_until), (Some(2), Some(3)));
        let fakebat = columns("IOC, Valid From, Valid Until, Link").unwrap();
        assert_eq!(
            (fakebat.valid_from, fakebat.valid_until),
            (Some(1), Some(2))
        );
        assert_eq!(fakebat.values, [(0, Expected::Anything)]);
        let raccoon = columns("type,ioc").unwrap();
        assert_eq!((raccoon.kind, raccoon.values[0].0), (Some(0), 1));
        let typed = columns("date,ip,sha-256,comment").unwrap();
        assert_eq!(
            typed.values,
            [(1, Expected::Address), (2, Expected::Kind(Kind::Sha256))]
        );
        assert_eq!(columns("1.2.3.4,5"), None);
        assert_eq!(columns("first name,last name"), None);
    }

    #[test]
    fn a_number_beside_a_value_is_its_confidence() {
        let rows = |text: &str| -> Vec<Vec<String>> {
            text.lines()
                .map(|line| line.split(' ').map(str::to_owned).collect())
                .collect()
        };
        let is_value = |cell: &str| cell.contains('.');
        let columns = Columns::from_content(&rows("1.2.3.4 9\n1.2.3.5 8"), is_value).unwrap();
        assert_eq!((columns.values[0].0, columns.confidence), (0, Some(1)));
        let columns = Columns::from_content(&rows("x 1.2.3.4\ny 1.2.3.5"), is_value).unwrap();
        assert_eq!((columns.values[0].0, columns.confidence), (1, None));
        assert_eq!(Columns::from_content(&rows("x y\nz u"), is_value), None);
    }
}

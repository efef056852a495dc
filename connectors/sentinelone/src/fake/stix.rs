//! What an import makes of a STIX object.

use serde_json::{Value as Json, json};

/// The patterns that are documented. IPv6 is not among them, though the console has a type for it.
const PATHS: [(&str, &str); 6] = [
    ("file:hashes.MD5", "MD5"),
    ("file:hashes.SHA-1", "SHA1"),
    ("file:hashes.SHA-256", "SHA256"),
    ("ipv4-addr:value", "IPV4"),
    ("domain-name:value", "DNS"),
    ("url:value", "URL"),
];

/// An indicator as a row to store; `None` for everything that the console leaves out.
pub(super) fn row(object: &Json) -> Option<Json> {
    if object["type"] != "indicator" {
        return None;
    }
    let pattern = object["pattern"].as_str()?;
    let (kind, value) = comparison(pattern)?;
    let mut row = json!({
        "source": "STIX",
        "type": kind,
        "value": value,
        "method": "EQUALS",
        "externalId": object["id"],
        "pattern": pattern,
        "patternType": "stix",
    });
    for (field, property) in [
        ("name", "name"),
        ("description", "description"),
        ("creationTime", "created"),
        ("validUntil", "valid_until"),
    ] {
        if let Some(value) = object.get(property) {
            row[field] = value.clone();
        }
    }
    Some(row)
}

/// The type and value of a pattern that is one comparison.
fn comparison(pattern: &str) -> Option<(&'static str, String)> {
    let inside = pattern.trim().strip_prefix('[')?.strip_suffix(']')?;
    let (path, literal) = inside.split_once('=')?;
    // A hyphen in a path is quoted in STIX, and is not in the vendor's list.
    let path = path.trim().replace('\'', "");
    let (_, kind) = PATHS.iter().find(|(known, _)| *known == path)?;
    let literal = literal.trim().strip_prefix('\'')?;
    let mut value = String::new();
    let mut characters = literal.chars();
    loop {
        match characters.next()? {
            '\\' => value.push(characters.next()?),
            '\'' => break,
            other => value.push(other),
        }
    }
    // Something follows: more comparisons.
    characters.next().is_none().then_some((*kind, value))
}

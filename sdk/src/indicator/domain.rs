//! Host names.

use std::borrow::Cow;

use super::{Kind, ValueError};

/// Longest name, in ASCII and without the trailing dot (RFC 1035 §2.3.4, as text).
const LONGEST_NAME: usize = 253;
/// Longest label (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// A canonical host name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Box<str>);

impl Domain {
    /// Reads a name: lower case, IDNA A-labels, no trailing dot, underscore labels allowed, at least two
    /// labels not required here (protection refuses single labels).
    ///
    /// # Errors
    /// Wildcards, empty or too long labels, names longer than 253 characters, addresses, and whatever
    /// IDNA refuses.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        canonical(text.trim()).map(|name| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn invalid(message: &'static str) -> ValueError {
    ValueError::Invalid {
        kind: Kind::Domain,
        message,
    }
}

/// The canonical form of a name; borrowed where the text is canonical already.
pub(super) fn canonical(text: &str) -> Result<Cow<'_, str>, ValueError> {
    // No ASCII text below four times the longest name can be within bounds, and IDNA is not linear in
    // what it is given.
    if text.len() > 4 * LONGEST_NAME {
        return Err(invalid("longer than 253 characters"));
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.contains('*') {
        return Err(invalid("a wildcard"));
    }
    let name = if needs_idna(text) {
        let name = idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::URL)
            .map_err(|_| invalid("not a name that IDNA allows"))?;
        // IDNA maps other full stops (U+3002) to the ASCII one.
        match name {
            Cow::Borrowed(name) => Cow::Borrowed(name.strip_suffix('.').unwrap_or(name)),
            Cow::Owned(mut name) => {
                if name.ends_with('.') {
                    name.pop();
                }
                Cow::Owned(name)
            }
        }
    } else if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    };
    check(&name)?;
    Ok(name)
}

/// Plain ASCII without A-labels is its own A-label form; A-labels are checked, for two spellings of one
/// U-label must not pass as two names.
fn needs_idna(text: &str) -> bool {
    !text.is_ascii()
        || text
            .split('.')
            .any(|label| label.len() >= 4 && label.as_bytes()[..4].eq_ignore_ascii_case(b"xn--"))
}

fn check(name: &str) -> Result<(), ValueError> {
    if name.is_empty() {
        return Err(invalid("empty"));
    }
    if name.len() > LONGEST_NAME {
        return Err(invalid("longer than 253 characters"));
    }
    let mut last = "";
    for label in name.split('.') {
        if label.is_empty() {
            return Err(invalid("an empty label"));
        }
        if label.len() > LONGEST_LABEL {
            return Err(invalid("a label longer than 63 characters"));
        }
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if !label.bytes().all(allowed) {
            return Err(invalid("a character that no name has"));
        }
        last = label;
    }
    // What ends in a number is read as an address by resolvers and browsers (WHATWG URL, "ends in a
    // number"), whatever stands before it.
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if number {
        return Err(invalid("an address, or a name that ends in a number"));
    }
    Ok(())
}

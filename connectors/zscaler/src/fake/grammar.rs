//! What an entry may look like (URL format guidelines), and what it matches.

use std::net::Ipv4Addr;

use sdk::indicator::{Kind, Value};

/// Whether a URL list takes a text (item 13).
pub(super) fn takes(text: &str, ipv4: bool) -> bool {
    let length = text.chars().count();
    if length == 0 || length > 1024 || !text.is_ascii() {
        return false;
    }
    if text
        .bytes()
        .any(|byte| byte.is_ascii_uppercase() || byte <= b' ' || byte == 0x7f)
    {
        return false;
    }
    if text.contains("://") || text.starts_with('*') {
        return false;
    }
    let end = text.find(['/', '?']).unwrap_or(text.len());
    let (authority, rest) = text.split_at(end);
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    if host.len() > 255 {
        return false;
    }
    if host.parse::<Ipv4Addr>().is_ok() {
        // A network in the notation with a slash.
        let network = rest
            .strip_prefix('/')
            .is_some_and(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= 32));
        return !network && (ipv4 || !rest.is_empty() || port.is_some());
    }
    let labels: Vec<&str> = host.strip_prefix('.').unwrap_or(host).split('.').collect();
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    if labels
        .iter()
        .any(|label| label.is_empty() || label.len() > 63 || !label.bytes().all(plain))
    {
        return false;
    }
    // A bare top-level domain, or an underscore in the last two labels.
    labels.len() >= 2
        && !labels[labels.len() - 2..]
            .iter()
            .any(|label| label.contains('_'))
}

/// Whether a category's range list takes a text.
pub(super) fn is_range(text: &str) -> bool {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    address.parse::<Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 32)
}

/// Whether an entry matches a URL without its scheme (item 21).
pub(super) fn matches(entry: &str, url: &str) -> bool {
    let Some(name) = entry.strip_prefix('.') else {
        return url
            .strip_prefix(entry)
            .is_some_and(|right| right.is_empty() || right.starts_with(['/', '?', ':']));
    };
    let end = name.find('/').unwrap_or(name.len());
    let (domain, path) = name.split_at(end);
    let host_end = url.find(['/', '?', ':']).unwrap_or(url.len());
    let (host, rest) = url.split_at(host_end);
    let below = host == domain
        || host
            .strip_suffix(domain)
            .and_then(|left| left.strip_suffix('.'))
            .is_some_and(|left| left.split('.').count() <= 5);
    below && rest.starts_with(path)
}

/// The single value that an entry of a URL list is; a wildcard is none.
pub(super) fn value(text: &str) -> Option<Value> {
    if text.starts_with('.') {
        return None;
    }
    if text.contains(['/', '?', ':']) {
        return Value::parse(Kind::Url, &format!("http://{text}")).ok();
    }
    let kinds = [Kind::Ipv4, Kind::Domain];
    kinds.iter().find_map(|kind| Value::parse(*kind, text).ok())
}

/// The text under which an administrator enters a value.
pub(super) fn entered(value: &Value) -> String {
    let text = value.to_string();
    match text.split_once("://") {
        Some((_, rest)) => rest.trim_end_matches('/').to_ascii_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_13_what_is_refused() {
        let label = "a".repeat(64);
        let long = format!("a.com/{}", "x".repeat(1024));
        let long_label = format!("{label}.com");
        for text in [
            "http://a.com",
            "A.com",
            "b\u{fc}cher.de",
            "a_b.com",
            "a.b_c.com",
            "x.a_b.c",
            "com",
            ".com",
            "*.a.com",
            long.as_str(),
            long_label.as_str(),
            "2001:db8::1",
            "1.2.3.0/24",
            "",
            "a b.com",
            "a..com",
        ] {
            assert!(!takes(text, true), "{text}");
        }
        for text in [
            "a.com",
            ".a.com",
            "x_y.a.com",
            "a.com/x_Y".to_lowercase().as_str(),
            "a.com:8080/x",
            "1.2.3.4",
            "a.com/?x=1",
        ] {
            assert!(takes(text, true), "{text}");
        }
        assert!(!takes("1.2.3.4", false));
        assert!(takes("1.2.3.4/x", false));
    }

    #[test]
    fn item_21_wildcards_go_five_levels_down() {
        assert!(matches(".evil.com", "evil.com"));
        assert!(matches(".evil.com", "a.b.c.d.e.evil.com/x"));
        assert!(!matches(".evil.com", "f.a.b.c.d.e.evil.com"));
        assert!(matches("evil.com", "evil.com/x"));
        assert!(!matches("evil.com", "a.evil.com"));
        assert!(!matches("evil.com", "evil.community"));
    }
}

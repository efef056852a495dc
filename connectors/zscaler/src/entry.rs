//! How a value stands in Zscaler's URL lists: `host[:port][/path]`, lower case, ASCII, without scheme
//! (URL format guidelines). Without a leading dot exactly the host matches, and whatever stands right of the
//! text.

use std::collections::HashSet;

use sdk::indicator::{Kind, Value};
use sdk::target::Rejection;

/// Longest entry in characters.
const LONGEST: usize = 1_024;

/// The form in which a list returns a value, or why it takes none.
pub(crate) fn accept(value: &Value) -> Result<Value, Rejection> {
    match value {
        Value::Domain(name) => {
            check_host(name.as_str())?;
            Ok(value.clone())
        }
        Value::Url(url) => {
            if !["http", "https", "ftp"].contains(&url.scheme()) {
                return Err(Rejection::unsupported(
                    "a web proxy sees URLs of http, https and ftp only",
                ));
            }
            let authority = url.as_str()[url.scheme().len() + 3..]
                .split(['/', '?', '#'])
                .next();
            if authority.is_some_and(|authority| authority.contains('@')) {
                return Err(Rejection::unsupported(
                    "a URL with a user name in it has no form in Zscaler's lists",
                ));
            }
            let host = url.host();
            if host.contains(':') {
                return Err(Rejection::unsupported("Zscaler's lists take no IPv6"));
            }
            if url.address().is_none() {
                check_host(host)?;
            }
            // What follows `#` never leaves the browser.
            let rest = url.after_host().split('#').next().unwrap_or_default();
            let mut text = format!("{host}{rest}").to_ascii_lowercase();
            // Whether a slash at the end is kept when stored is not documented.
            if !rest.contains('?') {
                text.truncate(text.trim_end_matches('/').len());
            }
            if text.len() > LONGEST {
                return Err(Rejection::unsupported(
                    "Zscaler's lists take entries of up to 1024 characters",
                ));
            }
            parse(&text).ok_or(Rejection::unsupported("it has no form in Zscaler's lists"))
        }
        Value::Ipv4(network) if network.prefix_len() == 32 => Ok(value.clone()),
        Value::Ipv4(_) => Err(Rejection::unsupported(
            "a network in a URL list is only a text that nothing matches",
        )),
        Value::Ipv6(_) => Err(Rejection::unsupported("Zscaler's lists take no IPv6")),
        _ => Err(Rejection::unsupported("Zscaler's lists take no hashes")),
    }
}

/// No bare top-level domain, no underscore in the last two labels.
fn check_host(host: &str) -> Result<(), Rejection> {
    let mut labels = host.rsplit('.');
    let top = labels.next().unwrap_or_default();
    let Some(second) = labels.next() else {
        return Err(Rejection::unsupported(
            "Zscaler's lists take no name of a single label",
        ));
    };
    if top.contains('_') || second.contains('_') {
        return Err(Rejection::unsupported(
            "Zscaler's lists take no underscore in the last two labels of a name",
        ));
    }
    Ok(())
}

/// The text of an accepted value.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Url(url) => {
            let text = url.as_str();
            let text = text.strip_prefix("http://").unwrap_or(text);
            if text.contains('?') {
                text.to_owned()
            } else {
                text.trim_end_matches('/').to_owned()
            }
        }
        other => other.to_string(),
    }
}

/// The value that an entry of a list stands for; `None` for what no indicator can be equal to, for instance
/// a leading dot, which stands for many names.
pub(crate) fn read(text: &str) -> Option<Value> {
    let text = text.trim().to_ascii_lowercase();
    if text.contains('?') {
        parse(&text)
    } else {
        parse(text.trim_end_matches('/'))
    }
}

/// Whether an entry stands as we would have written it. Another spelling of a value whose own is there too is somebody
/// else's; alone it may be ours, should ZIA spell entries anew.
pub(crate) fn is_ours_to_tell(value: &Value, text: &str, written: &HashSet<String>) -> bool {
    let own = self::text(value);
    own == text || !written.contains(&own)
}

fn parse(text: &str) -> Option<Value> {
    if text.contains(['/', '?', ':']) {
        return Value::parse(Kind::Url, &format!("http://{text}")).ok();
    }
    Value::parse(Kind::Ipv4, text)
        .or_else(|_| Value::parse(Kind::Domain, text))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(kind: Kind, given: &str) -> Result<String, Rejection> {
        let accepted = accept(&Value::parse(kind, given).unwrap())?;
        let text = text(&accepted);
        assert_eq!(
            read(&text).as_ref(),
            Some(&accepted),
            "{given} comes back as itself"
        );
        assert_eq!(
            accept(&accepted).as_ref(),
            Ok(&accepted),
            "{given} is canonical"
        );
        Ok(text)
    }

    #[test]
    fn values_take_the_form_of_the_list() {
        for (given, expected) in [
            (
                "https://Evil.example.org/Load/X.bin",
                "evil.example.org/load/x.bin",
            ),
            ("http://evil.example.org/dir/", "evil.example.org/dir"),
            ("https://evil.example.org", "evil.example.org"),
            ("https://evil.example.org:8443/a", "evil.example.org:8443/a"),
            ("https://evil.example.org:8443/", "evil.example.org:8443"),
            ("http://evil.example.org:80/a", "evil.example.org/a"),
            (
                "http://evil.example.org/a?B=c#frag",
                "evil.example.org/a?b=c",
            ),
            ("http://evil.example.org?x=1", "evil.example.org/?x=1"),
            ("http://evil.example.org/?x=/", "evil.example.org/?x=/"),
            ("http://45.83.1.2/a", "45.83.1.2/a"),
            ("http://45.83.1.2/", "45.83.1.2"),
            (
                "http://b\u{fc}cher.example.org/\u{fc}",
                "xn--bcher-kva.example.org/%c3%bc",
            ),
            ("http://a_b.evil.example.org/", "a_b.evil.example.org"),
        ] {
            assert_eq!(stored(Kind::Url, given).unwrap(), expected, "{given}");
        }
        assert_eq!(
            stored(Kind::Domain, "Evil.Example.org").unwrap(),
            "evil.example.org"
        );
        assert_eq!(stored(Kind::Ipv4, "45.83.1.2").unwrap(), "45.83.1.2");
    }

    #[test]
    fn what_the_list_cannot_hold_is_refused() {
        for (kind, given) in [
            (Kind::Url, "http://user@evil.example.org/a"),
            (Kind::Url, "http://[2a03::1]/a"),
            (Kind::Url, "tcp://evil.example.org/a"),
            (Kind::Url, "http://localhost/a"),
            (Kind::Url, "http://bad_name.org/a"),
            (Kind::Domain, "single"),
            (Kind::Domain, "evil.bad_name.org"),
            (Kind::Ipv4, "45.83.0.0/24"),
            (Kind::Ipv6, "2a03::1"),
        ] {
            assert!(stored(kind, given).is_err(), "{given}");
        }
        let long = format!("http://evil.example.org/{}", "x".repeat(1_024));
        assert!(stored(Kind::Url, &long).is_err());
    }

    #[test]
    fn entries_of_others_are_read_as_what_they_are() {
        let read = |text: &str| read(text).map(|value| (value.kind(), value.to_string()));
        assert_eq!(
            read(".evil.example.org"),
            None,
            "a wildcard is no single name"
        );
        assert_eq!(read("45.83.1.2").map(|(kind, _)| kind), Some(Kind::Ipv4));
        assert_eq!(
            read("45.83.0.0/24").map(|(kind, _)| kind),
            Some(Kind::Url),
            "a literal text"
        );
        assert_eq!(
            read("evil.example.org/").map(|(kind, _)| kind),
            Some(Kind::Domain)
        );
    }
}

//! One external dynamic list: which values it holds, and how its lines are written.

use sdk::feed::Entries;
use sdk::indicator::{Kind, UrlValue, Value};
use sdk::target::Rejection;

/// Longest line that the device reads.
const LONGEST_LINE: usize = 255;

/// The sorts of list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Ip,
    Domain,
    Url,
}

impl Sort {
    pub(super) const ALL: [Self; 3] = [Self::Ip, Self::Domain, Self::Url];

    /// The sort of list that a kind goes to.
    pub(super) fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Ipv4 | Kind::Ipv6 => Some(Self::Ip),
            Kind::Domain => Some(Self::Domain),
            Kind::Url => Some(Self::Url),
            _ => None,
        }
    }

    pub(super) const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Ip => &[Kind::Ipv4, Kind::Ipv6],
            Self::Domain => &[Kind::Domain],
            Self::Url => &[Kind::Url],
        }
    }

    /// Its name in the device's configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Domain => "domain",
            Self::Url => "url",
        }
    }

    /// A line that blocks nothing that exists. An empty list is not taken: the device would keep the old one.
    const fn placeholder(self) -> &'static str {
        match self {
            Self::Ip => "192.0.2.255/32",
            Self::Domain => "cordon-placeholder.invalid",
            Self::Url => "cordon-placeholder.invalid/",
        }
    }

    /// How a list's text is made.
    pub(super) fn render(self) -> fn(&Entries) -> String {
        match self {
            Self::Ip => |entries| render(Self::Ip, entries),
            Self::Domain => |entries| render(Self::Domain, entries),
            Self::Url => |entries| render(Self::Url, entries),
        }
    }
}

fn render(sort: Sort, entries: &Entries) -> String {
    let mut lines: Vec<String> = entries.keys().filter_map(line).collect();
    if lines.is_empty() {
        lines.push(sort.placeholder().to_owned());
    }
    lines.sort_unstable();
    lines.dedup();
    lines.push(String::new());
    lines.join("\n")
}

/// The line for a value; `None` for what [`accept`] does not take.
pub(super) fn line(value: &Value) -> Option<String> {
    match value {
        Value::Ipv4(_) | Value::Ipv6(_) => Some(value.to_string()),
        Value::Domain(name) => Some(name.as_str().to_owned()),
        Value::Url(url) => {
            let text = format!("{}{}", url.host(), path(url));
            is_safe(&text).then_some(text)
        }
        _ => None,
    }
}

/// What follows host and port, without a fragment, which no request carries.
fn path(url: &UrlValue) -> &str {
    let rest = url.after_host();
    let start = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let rest = &rest[start..];
    rest.split('#').next().unwrap_or_default()
}

/// The form in which a value is listed, or why it is not.
pub(super) fn accept(value: &Value) -> Result<Value, Rejection> {
    match value {
        Value::Ipv4(_) | Value::Ipv6(_) | Value::Domain(_) => Ok(value.clone()),
        Value::Url(url) => {
            if url.host().contains(':') {
                return Err(Rejection::unsupported(
                    "a URL list holds no IPv6 address as host",
                ));
            }
            let path = path(url);
            let text = format!("{}{path}", url.host());
            if text.len() > LONGEST_LINE {
                return Err(Rejection::unsupported(
                    "a URL list holds lines of at most 255 characters",
                ));
            }
            if !is_safe(&text) {
                return Err(Rejection::unsupported(
                    "a URL with characters that a URL list reads as something else (`*`, `^`, blanks and the like)",
                ));
            }
            // Neither port nor user name is part of what the device matches.
            let plain = format!("{}://{text}", url.scheme());
            Value::parse(Kind::Url, &plain).map_err(|_| {
                Rejection::unsupported("a URL that is none without its port and user name")
            })
        }
        _ => Err(Rejection::unsupported(
            "lists hold addresses, names and URLs",
        )),
    }
}

/// Whether a line is literal in every token: on some versions an invalid one stops every commit.
fn is_safe(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/?&=;+%@:,!$()".contains(&byte);
    text.len() <= LONGEST_LINE && text.contains('/') && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Value {
        Value::parse(Kind::Url, text).unwrap()
    }

    #[test]
    fn urls_lose_what_is_not_matched() {
        for (given, kept, shown) in [
            ("http://x.com", "http://x.com/", "x.com/"),
            (
                "https://user:pass@x.com:8443/a?b=1#c",
                "https://x.com/a?b=1",
                "x.com/a?b=1",
            ),
            (
                "http://45.83.0.1:8080/x.bin",
                "http://45.83.0.1/x.bin",
                "45.83.0.1/x.bin",
            ),
        ] {
            let accepted = accept(&url(given)).unwrap();
            assert_eq!(accepted.to_string(), kept);
            assert_eq!(line(&accepted).unwrap(), shown);
            assert_eq!(accept(&accepted).as_ref(), Ok(&accepted));
        }
    }

    #[test]
    fn urls_that_would_mean_something_else_are_refused() {
        let long = format!("http://x.com/{}", "a".repeat(250));
        for bad in [
            "http://x.com/*",
            "http://x.com/a*b",
            "http://x.com/?q=^",
            "http://x.com/?a|b",
            "http://[2001:4860::1]/",
            &long,
        ] {
            assert!(accept(&url(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_text_is_empty_and_no_line_is_twice() {
        for sort in Sort::ALL {
            let text = sort.render()(&Entries::new());
            assert!(text.ends_with('\n') && text.len() > 5);
        }
        let mut entries = Entries::new();
        for text in ["http://x.com/a", "https://x.com/a", "http://b.com/"] {
            entries.insert(url(text), String::new());
        }
        assert_eq!(Sort::Url.render()(&entries), "b.com/\nx.com/a\n");
    }
}

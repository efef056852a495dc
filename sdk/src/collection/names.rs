//! Rules on names and URLs: what covers a value, and what lies below it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::protect::RuleId;
use crate::indicator::UrlValue;

/// Rules on host names.
#[derive(Clone, Debug, Default)]
pub(super) struct NameRules {
    rules: HashMap<Box<str>, Scopes>,
    below: Reversed,
}

/// Which rule a name stands in, alone or with what is below it.
#[derive(Clone, Copy, Debug, Default)]
struct Scopes {
    alone: Option<RuleId>,
    with_below: Option<RuleId>,
}

impl NameRules {
    /// Adds a name. Rules are added in order of precedence; the first keeps a name.
    pub(super) fn add(&mut self, name: &str, exact: bool, rule: RuleId) {
        let scopes = self.rules.entry(name.into()).or_default();
        let scope = if exact {
            &mut scopes.alone
        } else {
            &mut scopes.with_below
        };
        scope.get_or_insert(rule);
        self.below.add(name, rule);
    }

    /// To be called after the last addition.
    pub(super) fn finish(&mut self) {
        self.below.finish();
    }

    /// The first rule in precedence that covers the name.
    pub(super) fn covering(&self, name: &str) -> Option<RuleId> {
        if self.rules.is_empty() {
            return None;
        }
        let alone = self.rules.get(name).and_then(|scopes| scopes.alone);
        let with_below = |name| {
            self.rules
                .get(name)
                .and_then(|scopes: &Scopes| scopes.with_below)
        };
        let above = lineage(name).filter_map(with_below).min();
        alone.into_iter().chain(above).min()
    }

    /// A rule on a name strictly below this one.
    pub(super) fn below(&self, name: &str) -> Option<RuleId> {
        self.below.find(name, false)
    }
}

/// The name, its parent, and so on up to the top-level domain.
fn lineage(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        name.split_once('.').map(|(_, parent)| parent)
    })
}

/// Names in an order that puts what is below a name right after it: labels reversed, each followed by a
/// full stop.
#[derive(Clone, Debug, Default)]
struct Reversed(Vec<(Box<str>, RuleId)>);

impl Reversed {
    fn add(&mut self, name: &str, rule: RuleId) {
        self.0.push((reversed(name).into_boxed_str(), rule));
    }

    fn finish(&mut self) {
        self.0.sort_unstable();
    }

    /// A rule on the name itself.
    fn exactly(&self, name: &str) -> Option<RuleId> {
        let wanted = reversed(name);
        let start = self.0.partition_point(|(key, _)| **key < *wanted);
        let (key, rule) = self.0.get(start)?;
        (**key == *wanted).then_some(*rule)
    }

    /// A rule on a name below, or on the name itself if `at` says so.
    fn find(&self, name: &str, at: bool) -> Option<RuleId> {
        if self.0.is_empty() {
            return None;
        }
        let prefix = reversed(name);
        let wanted = |key: &str| at || key.len() > prefix.len();
        let start = self
            .0
            .partition_point(|(key, _)| **key < *prefix || (**key == *prefix && !at));
        let (key, rule) = self.0.get(start)?;
        (key.starts_with(&prefix) && wanted(key)).then_some(*rule)
    }
}

fn reversed(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 1);
    for label in name.rsplit('.') {
        text.push_str(label);
        text.push('.');
    }
    text
}

/// Rules on URLs. User names, passwords and fragments do not tell two of them apart: the first are not
/// part of what is asked for, the last never leaves the browser.
#[derive(Clone, Debug, Default)]
pub(super) struct UrlRules {
    /// Sorted.
    keys: Vec<(Box<str>, RuleId)>,
    /// Sorted, as loosely as the loosest vendor reads a URL.
    loose: Vec<(Box<str>, RuleId)>,
    hosts: Reversed,
}

impl UrlRules {
    /// Adds a URL.
    pub(super) fn add(&mut self, url: &UrlValue, rule: RuleId) {
        let key = key(url);
        self.loose.push((loose(url).into(), rule));
        self.keys.push((key.into(), rule));
        if url.address().is_none() {
            self.hosts.add(url.host(), rule);
        }
    }

    /// To be called after the last addition.
    pub(super) fn finish(&mut self) {
        self.keys.sort_unstable();
        self.loose.sort_unstable();
        self.hosts.finish();
    }

    /// A rule on the URL, or on a shorter path above it.
    pub(super) fn covering(&self, url: &UrlValue) -> Option<RuleId> {
        over(&self.keys, &key(url))
    }

    /// A rule that a vendor would hit which matches this URL and whatever begins like it, in the loosest way that any
    /// vendor may read it: whatever the scheme, the port, upper or lower case, and what is asked for after `?`.
    pub(super) fn hit(&self, url: &UrlValue) -> Option<RuleId> {
        if self.loose.is_empty() {
            return None;
        }
        let entry = loose(url);
        let start = entry.split('?').next().unwrap_or_default();
        let next = self.loose.partition_point(|(rule, _)| **rule < *start);
        let longer = self.loose.get(next);
        longer
            .filter(|(rule, _)| rule.starts_with(start))
            .map(|(_, rule)| *rule)
            .or_else(|| over(&self.loose, &entry))
    }

    /// A rule on a URL whose host is the name itself.
    pub(super) fn on_host(&self, name: &str) -> Option<RuleId> {
        self.hosts.exactly(name)
    }

    /// A rule on a URL whose host is the name or below it.
    pub(super) fn on_hosts_below(&self, name: &str) -> Option<RuleId> {
        self.hosts.find(name, true)
    }
}

/// A rule on a key or on a path above it, among sorted keys.
fn over(keys: &[(Box<str>, RuleId)], key: &str) -> Option<RuleId> {
    if keys.is_empty() {
        return None;
    }
    // Whatever covers the key is a prefix of it, and the greatest prefix is next to where the key
    // would stand, or is a prefix of what stands there: each step is one search and shortens the key.
    let mut prefix = key.as_bytes();
    loop {
        let after = keys.partition_point(|(rule, _)| rule.as_bytes() <= prefix);
        let (above, rule) = keys.get(after.checked_sub(1)?)?;
        let above = above.as_bytes();
        let common = above.iter().zip(prefix).take_while(|(a, b)| a == b).count();
        if common == above.len() {
            if leads(above, key.as_bytes()) {
                return Some(*rule);
            }
            prefix = &prefix[..common.checked_sub(1)?];
        } else {
            prefix = &prefix[..common];
        }
    }
}

/// Whether `above` is the key or a path above it. A query is the end of a path: nothing is below it.
fn leads(above: &[u8], key: &[u8]) -> bool {
    let rest = &key[above.len()..];
    match rest.first() {
        None => true,
        Some(_) if above.contains(&b'?') => false,
        Some(next) => above.ends_with(b"/") || matches!(next, b'/' | b'?'),
    }
}

/// What tells URLs apart: scheme, host, port, path, query.
fn key(url: &UrlValue) -> Cow<'_, str> {
    let (host, rest) = (url.host(), url.after_host());
    let end = rest.find('#').unwrap_or(rest.len());
    let text = url.as_str();
    let brackets = if host.contains(':') { 2 } else { 0 };
    let plain = url.scheme().len() + "://".len() + host.len() + brackets + rest.len();
    if plain == text.len() {
        return Cow::Borrowed(&text[..text.len() - (rest.len() - end)]);
    }
    let rest = &rest[..end];
    Cow::Owned(if brackets > 0 {
        format!("{}://[{host}]{rest}", url.scheme())
    } else {
        format!("{}://{host}{rest}", url.scheme())
    })
}

/// What is left of a URL for a vendor that matches neither scheme nor port, and no case.
fn loose(url: &UrlValue) -> String {
    let rest = url.after_host();
    let path = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let path = rest[path..].split('#').next().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{}{slash}{path}", url.host()).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> UrlValue {
        UrlValue::parse(text).expect("url")
    }

    #[test]
    fn a_name_stands_for_what_is_below_unless_exact() {
        let mut rules = NameRules::default();
        rules.add("example.com", false, 1);
        rules.add("alone.example.net", true, 2);
        rules.add("www.example.com", false, 0);
        rules.finish();
        assert_eq!(rules.covering("example.com"), Some(1));
        assert_eq!(rules.covering("a.b.example.com"), Some(1));
        assert_eq!(rules.covering("a.www.example.com"), Some(0));
        assert_eq!(rules.covering("badexample.com"), None);
        assert_eq!(rules.covering("com"), None);
        assert_eq!(rules.covering("alone.example.net"), Some(2));
        assert_eq!(rules.covering("a.alone.example.net"), None);
        assert_eq!(rules.below("com"), Some(1));
        assert_eq!(rules.below("example.com"), Some(0));
        assert_eq!(rules.below("example.net"), Some(2));
        assert_eq!(rules.below("alone.example.net"), None);
        assert_eq!(rules.below("ample.com"), None);
    }

    #[test]
    fn a_url_stands_for_longer_paths() {
        let mut rules = UrlRules::default();
        for (rule, text) in [
            "http://a.example/x",
            "http://a.example/dir/",
            "http://q.example/x?id=1",
            "https://all.example/",
            "http://[2001:db8::1]/x",
            "http://a.example/x-y",
        ]
        .into_iter()
        .enumerate()
        {
            rules.add(&url(text), rule.try_into().expect("few"));
        }
        rules.finish();
        for (text, rule) in [
            ("http://a.example/x", Some(0)),
            ("http://a.example/x/", Some(0)),
            ("http://a.example/x/y/z?q", Some(0)),
            ("http://a.example/x?q", Some(0)),
            ("http://a.example/x#top", Some(0)),
            ("http://me@a.example/x/y", Some(0)),
            ("http://a.example/x-y/z", Some(5)),
            ("http://a.example/x-yz", None),
            ("http://a.example/xy", None),
            ("http://a.example/", None),
            ("https://a.example/x", None),
            ("http://a.example:81/x", None),
            ("http://a.example/dir/f", Some(1)),
            ("http://a.example/dir", None),
            ("http://q.example/x?id=1", Some(2)),
            ("http://q.example/x?id=1#top", Some(2)),
            ("http://q.example/x?id=12", None),
            ("http://q.example/x", None),
            ("https://all.example/any?thing", Some(3)),
            ("http://[2001:db8::1]/x/y", Some(4)),
            ("http://[2001:db8::2]/x/y", None),
        ] {
            assert_eq!(rules.covering(&url(text)), rule, "{text}");
        }
    }

    #[test]
    fn what_an_entry_would_hit_besides_itself() {
        let mut rules = UrlRules::default();
        rules.add(&url("http://www.a.example/x/Y?q=1&r=2"), 7);
        rules.add(&url("https://b.example:8443/dir/file.pdf"), 8);
        rules.add(&url("https://c.example/open"), 9);
        rules.finish();
        for (text, rule) in [
            ("http://www.a.example/", 7),
            ("https://www.a.example/x", 7),
            ("http://www.a.example/x/", 7),
            ("http://www.a.example/x/y", 7),
            ("http://www.a.example/X/y?q=1", 7),
            ("https://me@www.a.example/x/y?q=1&r=2#top", 7),
            // What follows `?` may not be matched.
            ("http://www.a.example/x/y?q=9", 7),
            // Without an ending, what begins like it.
            ("http://b.example/dir/f", 8),
            ("http://b.example/dir/file", 8),
            ("http://b.example:81/dir/file.pdf", 8),
            // Below a rule of another scheme, port or case.
            ("http://c.example/open/x", 9),
            ("https://c.example:444/OPEN/x?y", 9),
        ] {
            assert_eq!(rules.hit(&url(text)), Some(rule), "{text}");
        }
        for text in [
            "http://a.example/",
            "http://www.a.example/x/z",
            "http://www.a.example/x/yy",
            "http://www.a.example/x/y/",
            "http://b.example/dir/file.pdf.exe",
            "http://b.example/dirs",
            "http://c.example/opening",
        ] {
            assert_eq!(rules.hit(&url(text)), None, "{text}");
        }
        assert_eq!(rules.on_hosts_below("a.example"), Some(7));
        assert_eq!(rules.on_hosts_below("www.a.example"), Some(7));
        assert_eq!(rules.on_hosts_below("x.www.a.example"), None);
    }
}

//! External dynamic lists as the device sees them: fetched, read by its rules, matched.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::indicator::{Kind, Value};

use super::publisher::{Lost, Publisher};
use super::registered::Address;
use super::schema;
use super::xml::Node;

/// Entries of IP lists in all.
const MOST_ADDRESSES: usize = 50_000;

/// A list's last good content.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) lines: Vec<String>,
    fetched: Option<DateTime<Utc>>,
}

/// The lists of one virtual system.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    pub(super) contents: BTreeMap<String, Content>,
    pub(super) publisher: Publisher,
}

/// What decides how a fetch is taken.
pub(super) struct Taking {
    /// The CAs of the list's certificate profile; `None` where it has none, and nothing is verified.
    pub(super) trusted: Option<Vec<String>>,
    pub(super) empty_clears: bool,
    pub(super) comments_are_empty: bool,
    pub(super) refusal_stops: bool,
    pub(super) version: (u32, u32, u32),
}

impl Lists {
    /// Fetches one list. `Err`: what the system log calls it, and what the job says; the old content stays, unless the
    /// device stops enforcing a list that is refused to it.
    pub(super) fn fetch(
        &mut self,
        list: &Node,
        taking: &Taking,
        now: DateTime<Utc>,
    ) -> Result<bool, (&'static str, String)> {
        let name = list.attribute("name").unwrap_or_default().to_owned();
        let kind = definition(list);
        let url = kind
            .and_then(|kind| kind.text_of("url"))
            .unwrap_or_default();
        let trusted = taking.trusted.as_deref();
        // Credentials are for a server that is known.
        let login = kind
            .filter(|_| trusted.is_some() && url.starts_with("https://"))
            .and_then(login);
        let text = match self.publisher.fetch(url, trusted, login.as_deref()) {
            Ok(text) => text,
            Err(lost) => {
                let event = match lost {
                    Lost::Certificate => "critical: tls-edl-auth-failure",
                    Lost::Refused => "critical: edl-cli-auth-failure",
                    Lost::Nothing => "medium",
                };
                let told = if lost != Lost::Nothing && taking.refusal_stops {
                    self.contents.remove(&name);
                    "Unable to fetch external list. Authentication failed."
                } else {
                    "Unable to fetch external list. Using old copy for refresh."
                };
                return Err((event, told.to_owned()));
            }
        };
        let lines: Vec<String> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        let comments_alone = lines.iter().all(|line| line.starts_with('#'));
        let is_empty = lines.is_empty() || (comments_alone && taking.comments_are_empty);
        if is_empty && !taking.empty_clears {
            let told = "external list is empty. Using old copy for refresh.";
            return Err(("medium", told.to_owned()));
        }
        let poison = kind.is_some_and(|kind| kind.name == "url")
            && vulnerable(taking.version)
            && lines.iter().any(|line| poisons(line));
        self.contents.insert(
            name,
            Content {
                lines,
                fetched: Some(now),
            },
        );
        Ok(poison)
    }

    /// The lists whose interval is over.
    pub(super) fn due(&self, lists: &[Node], now: DateTime<Utc>) -> Vec<Node> {
        lists
            .iter()
            .filter(|list| {
                let interval = match definition(list).and_then(|kind| kind.child("recurring")) {
                    Some(recurring) if recurring.child("five-minute").is_some() => {
                        TimeDelta::minutes(5)
                    }
                    Some(recurring) if recurring.child("daily").is_some() => TimeDelta::days(1),
                    _ => TimeDelta::hours(1),
                };
                let name = list.attribute("name").unwrap_or_default();
                self.contents
                    .get(name)
                    .and_then(|content| content.fetched)
                    .is_none_or(|fetched| now - fetched >= interval)
            })
            .cloned()
            .collect()
    }

    /// What the lists in use block, in their order: value, and the line.
    pub(super) fn blocked(&self, vsys: &Node) -> Vec<(Value, String)> {
        let mut blocked = Vec::new();
        let mut addresses = 0;
        for list in schema::used_lists(vsys) {
            let Some(kind) = definition(list) else {
                continue;
            };
            let excepted: Vec<&str> = kind
                .child("exception-list")
                .map_or(Vec::new(), Node::members);
            let Some(content) = list
                .attribute("name")
                .and_then(|name| self.contents.get(name))
            else {
                continue;
            };
            let valid = content
                .lines
                .iter()
                .filter(|line| !excepted.contains(&line.as_str()))
                .filter_map(|line| Some((read(&kind.name, line)?, line.clone())));
            if kind.name == "ip" {
                for entry in valid {
                    addresses += 1;
                    if addresses <= MOST_ADDRESSES {
                        blocked.push(entry);
                    }
                }
            } else {
                blocked.extend(valid);
            }
        }
        blocked
    }
}

/// What a list is: its type, with everything that is set for it.
fn definition(list: &Node) -> Option<&Node> {
    list.child("type")?.children.first()
}

/// The certificate profile that a list names.
pub(super) fn certificate_profile(list: &Node) -> Option<&str> {
    let name = definition(list)?.text_of("certificate-profile")?;
    (name != "None").then_some(name)
}

/// What the device logs in with, as `name:password`.
fn login(definition: &Node) -> Option<String> {
    let login = definition.child("auth")?;
    let password = login.text_of("password").unwrap_or_default();
    Some(format!("{}:{password}", login.text_of("username")?))
}

/// One line of a list; `None` where it is skipped.
fn read(kind: &str, line: &str) -> Option<Value> {
    let item = line.split_whitespace().next()?;
    if item.starts_with('#') || item.len() > 255 {
        return None;
    }
    match kind {
        "ip" => {
            let family = if item.contains(':') {
                Kind::Ipv6
            } else {
                Kind::Ipv4
            };
            // A range blocks, and is no value by itself.
            if item.contains('-') {
                Address::read(item, (10, 0))?;
                return None;
            }
            Value::parse(family, item).ok()
        }
        "domain" => {
            if item.contains(['/', ':', '*']) || item.parse::<std::net::IpAddr>().is_ok() {
                return None;
            }
            Value::parse(Kind::Domain, item).ok()
        }
        _ => {
            if item.contains("://") || !tokens_are_valid(item) {
                return None;
            }
            Value::parse(Kind::Url, &format!("http://{item}")).ok()
        }
    }
}

/// A token is literal, or `*`, or `^`.
fn tokens_are_valid(line: &str) -> bool {
    let tokens: Vec<&str> = line.split(['.', '/', '?', '&', '=', ';', '+']).collect();
    let whole = tokens
        .iter()
        .all(|token| !token.contains(['*', '^']) || matches!(*token, "*" | "^"));
    let stars = tokens.windows(2).all(|pair| pair != ["*", "*"]);
    let carets = tokens
        .windows(10)
        .all(|run| run.iter().any(|token| *token != "^"));
    whole && stars && carets
}

/// CVE-2021-3048.
fn vulnerable(version: (u32, u32, u32)) -> bool {
    match version {
        (9, 0, patch) => patch < 14,
        (9, 1, patch) => patch < 9,
        (10, 0, patch) => patch < 5,
        _ => false,
    }
}

fn poisons(line: &str) -> bool {
    line.split_whitespace()
        .next()
        .is_some_and(|item| !tokens_are_valid(item))
}

/// How a URL list's entry matches, by the vendor's token rules. `append`: whether a bare host gets an ending token.
pub(super) fn url_matches(entry: &str, url: &str, append: bool) -> bool {
    let mut entry = entry.to_ascii_lowercase();
    if append && !entry.contains('/') {
        entry.push('/');
    }
    let separators = ['.', '/', '?', '&', '=', ';', '+'];
    let pieces = |text: &str| -> Vec<String> {
        let mut pieces = vec![String::new()];
        for character in text.chars() {
            if separators.contains(&character) {
                pieces.push(character.to_string());
                pieces.push(String::new());
            } else if let Some(last) = pieces.last_mut() {
                last.push(character);
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    };
    let mut url = url.to_ascii_lowercase();
    if !url.contains('/') {
        url.push('/');
    }
    let (entry, url) = (pieces(&entry), pieces(&url));
    fits(&entry, &url, &separators)
}

fn fits(entry: &[String], url: &[String], separators: &[char]) -> bool {
    let is_separator = |piece: &String| piece.len() == 1 && piece.starts_with(separators);
    match (entry.split_first(), url.split_first()) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some((first, rest)), Some((piece, after))) => match first.as_str() {
            "*" => {
                (1..=url.len()).any(|taken| fits(rest, &url[taken..], separators))
                    && !is_separator(piece)
            }
            "^" => !is_separator(piece) && fits(rest, after, separators),
            literal => literal == piece && fits(rest, after, separators),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_match_by_token() {
        assert!(url_matches("x.com", "x.com.evil.test/", false));
        assert!(!url_matches("x.com", "x.com.evil.test/", true));
        assert!(!url_matches("x.com/", "x.com.evil.test/", false));
        assert!(url_matches("X.com/", "x.com/path", false));
        assert!(url_matches("*.x.com/", "a.b.x.com/", false));
        assert!(!url_matches("*.x.com/", "x.com/", false));
        assert!(url_matches("^.x.com/", "a.x.com/", false));
        assert!(!url_matches("^.x.com/", "a.b.x.com/", false));
        assert!(url_matches("x.com/a/b.exe", "x.com/a/b.exe?c=1", false));
        assert!(!url_matches("x.com/a/b.exe", "x.com/a/c.exe", false));
    }

    #[test]
    fn lines_of_another_kind_are_skipped() {
        assert!(read("ip", "45.83.0.1 # why").is_some());
        for line in ["example.org", "300.1.1.1", "# 45.83.0.1"] {
            assert!(read("ip", line).is_none(), "{line}");
        }
        assert!(read("domain", "a.example.org").is_some());
        for line in ["45.83.0.1", "a.example.org/x", "http://a.example.org"] {
            assert!(read("domain", line).is_none(), "{line}");
        }
        assert!(read("url", "a.example.org/x").is_some());
        for line in [
            "http://a.example.org/",
            "exa*.org/",
            "*.*.org/",
            &"a".repeat(256),
        ] {
            assert!(read("url", line).is_none(), "{line}");
        }
    }
}

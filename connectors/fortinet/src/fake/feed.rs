//! The content of threat feeds, and what of it the device acts on.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use sdk::fake::Switches;
use serde_json::{Value as Json, json};

use super::device::Device;
use super::profile::position;

/// One line of a feed.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) text: String,
    /// Put there by a person.
    pub(super) by_hand: bool,
    /// Whether a feed of its type takes it: looked at once, because every page counts them all.
    valid: bool,
}

impl Line {
    pub(super) fn new(feed_type: &str, text: impl Into<String>, by_hand: bool) -> Self {
        let text = text.into();
        Self {
            valid: is_valid(feed_type, &text),
            text,
            by_hand,
        }
    }
}

/// Feed contents by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Feeds(pub(super) BTreeMap<String, Vec<Line>>);

/// Whether a line is one that a feed of this type takes.
fn is_valid(feed_type: &str, line: &str) -> bool {
    let is_host = |text: &str| {
        !text.is_empty()
            && text.contains('.')
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || "-_.*".contains(c))
    };
    match feed_type {
        "address" => {
            if let Some((address, length)) = line.split_once('/') {
                let most = match address.parse::<IpAddr>() {
                    Ok(IpAddr::V4(_)) => 32,
                    Ok(IpAddr::V6(_)) => 128,
                    Err(_) => return false,
                };
                return length.parse::<u8>().is_ok_and(|length| length <= most);
            }
            if let Some((from, to)) = line.split_once('-') {
                return from.parse::<IpAddr>().is_ok() && to.parse::<IpAddr>().is_ok();
            }
            line.parse::<IpAddr>().is_ok()
        }
        "domain" => is_host(line),
        "category" => {
            let rest = line.split_once("://").map_or(line, |(_, rest)| rest);
            !rest.is_empty()
                && !rest.contains(char::is_whitespace)
                && (rest.contains('.') || rest.starts_with('['))
        }
        "malware" => {
            let hash = line.split_whitespace().next().unwrap_or_default();
            matches!(hash.len(), 32 | 40 | 64) && hash.chars().all(|c| c.is_ascii_hexdigit())
        }
        _ => false,
    }
}

pub(super) fn is_comment(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

impl Device {
    /// Feeds that were deleted take their content with them.
    pub(super) fn drop_feed_content(&mut self, vdom: &str) {
        if let Some(vdom) = self.vdoms.get_mut(vdom) {
            let names: Vec<String> = vdom
                .tables
                .table("system/external-resource")
                .iter()
                .map(|row| row.name().to_owned())
                .collect();
            vdom.feeds.0.retain(|name, _| names.contains(name));
        }
    }

    /// A feed whose type may have changed reads its lines anew.
    pub(super) fn read_feed_again(&mut self, vdom: &str, feed: &str) {
        let Some(held) = self.vdoms.get_mut(vdom) else {
            return;
        };
        let row = held.tables.row("system/external-resource", feed);
        if let (Some(row), Some(lines)) = (row, held.feeds.0.get_mut(feed)) {
            for line in lines {
                line.valid = is_valid(row.text("type"), &line.text);
            }
        }
    }

    pub(super) fn feed_limit(&self, feed_type: &str) -> usize {
        self.feed_limits
            .get(feed_type)
            .copied()
            .unwrap_or_else(|| self.profile.feed_limit(feed_type))
    }

    /// How many lines of a feed fit: the quota of its type, less what feeds before it take where they
    /// share one (VDOMs by name, then the order of the table).
    pub(super) fn room(&self, vdom: &str, feed: &str, feed_type: &str) -> usize {
        let limit = self.feed_limit(feed_type);
        if !self.profile.shares_quota() {
            return limit;
        }
        let mut left = limit;
        for (name, held) in &self.vdoms {
            for row in held.tables.table("system/external-resource") {
                if row.text("type") != feed_type {
                    continue;
                }
                if name == vdom && row.name() == feed {
                    return left;
                }
                let lines = held.feeds.0.get(row.name()).map_or(0, Vec::len);
                left = left.saturating_sub(lines);
            }
        }
        left
    }

    /// The lines that act.
    pub(super) fn acting(&self, vdom: &str, feed: &str) -> Vec<Line> {
        let Some(held) = self.vdom(vdom) else {
            return Vec::new();
        };
        let Some(row) = held.tables.row("system/external-resource", feed) else {
            return Vec::new();
        };
        if row.text("status") == "disable" {
            return Vec::new();
        }
        let room = self.room(vdom, feed, row.text("type"));
        let lines = held.feeds.0.get(feed).map_or(&[][..], Vec::as_slice);
        lines
            .iter()
            .take(room)
            .filter(|line| line.valid)
            .cloned()
            .collect()
    }

    /// `entry-list`: `None` where there is no such feed.
    pub(super) fn entry_list(
        &self,
        vdom: &str,
        feed: &str,
        start: usize,
        count: Option<usize>,
        brief: bool,
    ) -> Option<(Json, usize, usize)> {
        let held = self.vdom(vdom)?;
        let row = held.tables.row("system/external-resource", feed)?;
        let lines = held.feeds.0.get(feed).map_or(&[][..], Vec::as_slice);
        let room = self.room(vdom, feed, row.text("type"));
        let accepted = lines.len().min(room);
        let all = position(&self.switches, "overflow-entries") == "all";
        let visible = if all { lines.len() } else { accepted };
        let (start, count) = if position(&self.switches, "entry-list-paging") == "ignored" {
            (0, visible)
        } else {
            // Zero is the same as not saying.
            let count = count.filter(|count| *count > 0).unwrap_or(visible);
            (start.min(visible), count.min(self.entry_page))
        };
        let page: Vec<Json> = lines[start..visible]
            .iter()
            .take(if brief { 0 } else { count })
            .map(|line| json!({ "entry": line.text, "valid": line.valid }))
            .collect();
        let invalid = lines.iter().filter(|line| !line.valid).count();
        let pull = held.pulls.get(feed);
        let status = match pull.and_then(|pull| pull.failure) {
            _ if row.text("status") == "disable" => "disable",
            Some(_) => "error",
            None => "success",
        };
        let next = start + page.len();
        let mut results = json!({
            "status": status,
            "resource_file_status": "downloaded",
            "entries": page,
            "valid_count": lines.len() - invalid,
            "invalid_count": invalid,
            "overflow": lines.len() > accepted,
        });
        if let Some(code) = pull.and_then(|pull| pull.failure) {
            results["error"] = json!("the list cannot be fetched");
            results["http_status_code"] = json!(code);
        }
        if self.profile.tells_limits() {
            results["accepted_count"] = json!(accepted);
            results["accepted_limit"] = json!(self.feed_limit(row.text("type")));
        }
        Some((results, visible, next))
    }

    /// One command of `dynamic`.
    pub(super) fn push(&mut self, vdom: &str, command: &Json, switches: &Switches) -> Json {
        let name = command
            .get("name")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let verb = command
            .get("command")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let answer = |status: &str, error: Option<&str>, invalid: &[String]| {
            let mut answer = json!({ "name": name, "command": verb, "status": status, "invalidEntries": invalid });
            if let Some(error) = error {
                answer["error"] = json!(error);
            }
            answer
        };
        let Some(held) = self.vdoms.get_mut(vdom) else {
            return answer("error", Some("no such VDOM"), &[]);
        };
        let Some(row) = held.tables.row("system/external-resource", name) else {
            return answer("error", Some("external resource not found"), &[]);
        };
        if row.text("update-method") != "push" {
            return answer(
                "error",
                Some("external resource does not take pushed entries"),
                &[],
            );
        }
        let feed_type = row.text("type").to_owned();
        let Some(entries) = command.get("entries").and_then(Json::as_array) else {
            return answer("error", Some("entries are missing"), &[]);
        };
        let entries: Vec<String> = entries
            .iter()
            .filter_map(Json::as_str)
            .filter(|line| !is_comment(line))
            .map(str::to_owned)
            .collect();
        let (valid, mut invalid): (Vec<String>, Vec<String>) = entries
            .into_iter()
            .partition(|line| is_valid(&feed_type, line));
        let lines = held.feeds.0.entry(name.to_owned()).or_default();
        let new_line = |text: String| Line::new(&feed_type, text, false);
        match verb {
            "snapshot" => *lines = valid.into_iter().map(new_line).collect(),
            "add" => {
                let known: HashSet<String> = lines.iter().map(|line| line.text.clone()).collect();
                let policy = position(switches, "push-duplicate-add");
                if policy == "command-error" && valid.iter().any(|text| known.contains(text)) {
                    return answer("error", Some("entry already exists"), &[]);
                }
                for text in valid {
                    if policy == "duplicated" || !known.contains(&text) {
                        lines.push(new_line(text));
                    }
                }
            }
            "remove" => {
                let policy = position(switches, "push-missing-remove");
                let known: HashSet<String> = lines.iter().map(|line| line.text.clone()).collect();
                let missing: Vec<String> = valid
                    .iter()
                    .filter(|text| !known.contains(*text))
                    .cloned()
                    .collect();
                if policy == "command-error" && !missing.is_empty() {
                    return answer("error", Some("entry not found"), &[]);
                }
                if policy == "invalid-entry" {
                    invalid.extend(missing);
                }
                let gone: HashSet<&String> = valid.iter().collect();
                lines.retain(|line| !gone.contains(&line.text));
            }
            _ => return answer("error", Some("unknown command"), &[]),
        }
        answer("success", None, &invalid)
    }
}

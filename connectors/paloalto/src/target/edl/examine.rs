//! What `check` looks at: whether the device has the lists, of the right sort, pulling what we publish, used and not too
//! long.

use sdk::Result;
use sdk::target::{Facts, Finding, Level};

use super::list::Sort;
use super::{Edl, List};
use crate::api;
use crate::api::xml::{Element, literal};
use crate::target::connection::parse_version;
use crate::target::rules;

pub(super) async fn examine(edl: &Edl, facts: &Facts) -> Result<Vec<Finding>> {
    let mut findings = edl.connection.examine(facts).await?;
    if let Some(version) = facts.version.as_deref().and_then(parse_version)
        && stops_at_bad_lines(version)
    {
        findings.push(Finding {
            level: Level::Warning,
            subject: "version".into(),
            message:
                "this version stops committing at invalid URL lines (CVE-2021-3048); ours are valid"
                    .to_owned(),
            hint: Some("update the device: other lists may hold such lines".to_owned()),
        });
    }
    for list in &edl.lists {
        findings.push(list.feed.examine().await);
        if !one(edl, list, facts, &mut findings).await? {
            findings.push(Finding {
                level: Level::Warning,
                subject: "external dynamic lists".into(),
                message: "they cannot be read with this administrator's rights".to_owned(),
                hint: Some("add the right XML API: Configuration to have them checked".to_owned()),
            });
            break;
        }
    }
    Ok(findings)
}

/// Findings about one list; `false` where the configuration may not be read.
async fn one(edl: &Edl, list: &List, facts: &Facts, findings: &mut Vec<Finding>) -> Result<bool> {
    let (name, sort) = (list.feed.name(), list.sort.name());
    let mut find = |level, message: String, hint: Option<String>| {
        findings.push(Finding {
            level,
            subject: "external dynamic list".into(),
            message,
            hint,
        });
    };
    let mut found = None;
    for prefix in [
        edl.connection.place.part.path(),
        "/config/shared".to_owned(),
    ] {
        let Some(literal) = literal(name) else {
            break;
        };
        let xpath = format!("{prefix}/external-list/entry[@name={literal}]");
        let request = api::read_config(&edl.connection.place, true, &xpath);
        let answer = edl
            .connection
            .ask(request, "external dynamic lists")
            .await?;
        if answer.code == Some(16) {
            return Ok(false);
        }
        if let Some(entry) = answer.root.at(&["result", "entry"]) {
            found = Some(entry.clone());
            break;
        }
    }
    let Some(entry) = found else {
        find(
            Level::Missing,
            format!("the device has no list {name}: it pulls nothing"),
            Some(format!(
                "make an external dynamic list {name} of type {sort} that points at {name}.txt, use it in a rule, commit; unless Panorama pushes it, which is not shown here"
            )),
        );
        return Ok(true);
    };
    let Some(definition) = entry.at(&["type", sort]) else {
        let other = entry.child("type").and_then(|kind| kind.children.first());
        let other = other.map_or("unknown", |kind| kind.name.as_str());
        find(
            Level::Missing,
            format!("{name} is a list of type {other}, not {sort}: its lines are skipped"),
            Some(format!(
                "make it one of type {sort}, or set `lists.{sort}` to another"
            )),
        );
        return Ok(true);
    };
    let url = shown(definition.text_at(&["url"]).unwrap_or_default());
    if url.ends_with(&format!("/{name}.txt")) {
        find(
            Level::Ok,
            format!("{name} pulls {url}, {}", interval(definition)),
            None,
        );
    } else {
        find(
            Level::Warning,
            format!("{name} pulls {url}, which does not end in /{name}.txt"),
            Some("look whether that is what we publish".to_owned()),
        );
    }
    let unverified = definition
        .text_at(&["certificate-profile"])
        .is_none_or(|profile| profile == "None");
    if url.starts_with("https://") && unverified {
        find(
            Level::Warning,
            format!("{name} has no certificate profile: the device does not check who serves it"),
            Some("set one".to_owned()),
        );
    }
    if definition.text_at(&["expand-domain"]) == Some("yes") {
        find(
            Level::Warning,
            format!(
                "{name} expands domains: names below each are blocked too, excluded ones among them"
            ),
            Some("turn off its expansion to subdomains".to_owned()),
        );
    }
    let entries = list.feed.read().await?.entries.len();
    let limit = facts
        .capacity
        .iter()
        .find(|pool| {
            pool.kinds
                .iter()
                .any(|kind| Sort::of(*kind) == Some(list.sort))
        })
        .map_or(usize::MAX, |pool| pool.limit);
    let excess = entries > limit;
    find(
        if excess { Level::Warning } else { Level::Ok },
        format!("{name} holds {entries} of {limit} entries of all lists of its type"),
        excess.then(|| "the device skips the rest, and tells it in its system log only".to_owned()),
    );
    findings.push(used(edl, list).await?);
    Ok(true)
}

/// Whether anything enforces the list. Profiles are not read: where they name lists differs by version and is not
/// documented to us.
async fn used(edl: &Edl, list: &List) -> Result<Finding> {
    let name = list.feed.name();
    let (kind, hint) = match list.sort {
        Sort::Ip => return rules::using(&edl.connection, &[name], rules::ADDRESSES).await,
        Sort::Url => {
            let found = rules::using(&edl.connection, &[name], rules::CATEGORY).await?;
            if found.level == Level::Ok {
                return Ok(found);
            }
            (
                "a URL filtering profile",
                "use it in a URL filtering profile, or as category of a deny rule: no such rule was found",
            )
        }
        Sort::Domain => (
            "an anti-spyware profile",
            "use it in an anti-spyware profile of an allow rule, with action block or sinkhole",
        ),
    };
    Ok(Finding {
        level: Level::Warning,
        subject: "profile".into(),
        message: format!("whether {kind} uses {name} is not looked at"),
        hint: Some(hint.to_owned()),
    })
}

/// A source without the secrets that may stand in it: name and password before its host, and its query. All up to the
/// last `@` goes, because not everybody encodes a password.
fn shown(url: &str) -> String {
    let without_login = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        (_, None) => url.to_owned(),
    };
    let end = without_login.find('?').unwrap_or(without_login.len());
    without_login[..end].to_owned()
}

fn interval(definition: &Element) -> &str {
    definition
        .child("recurring")
        .and_then(|recurring| recurring.children.first())
        .map_or("hourly", |interval| interval.name.as_str())
}

/// CVE-2021-3048: fixed in 9.0.14, 9.1.9 and 10.0.5.
fn stops_at_bad_lines(version: (u32, u32, u32)) -> bool {
    match version {
        (9, 0, patch) => patch < 14,
        (9, 1, patch) => patch < 9,
        (10, 0, patch) => patch < 5,
        _ => false,
    }
}

//! What `check` looks at: groups, rules, locks, what is pending.

use sdk::Result;
use sdk::target::{Facts, Finding, Level};

use super::Objects;
use super::view::View;
use crate::api::Part;
use crate::target::rules;

pub(super) async fn examine(objects: &Objects, facts: &Facts) -> Result<Vec<Finding>> {
    let connection = &objects.connection;
    let names = &objects.names;
    let mut findings = connection.examine(facts).await?;
    let view = View::load(connection, names, &objects.administrator).await?;
    findings.push(Finding {
        level: Level::Ok,
        subject: "rights".into(),
        message: "configuration and operational requests are allowed; Commit shows only when something is committed"
            .to_owned(),
        hint: None,
    });
    findings.push(match view.lock.as_deref() {
        Some(holder) if holder != objects.administrator => Finding {
            level: Level::Warning,
            subject: "commit lock".into(),
            message: format!("{holder} holds it: nothing can be committed meanwhile"),
            hint: Some("have it released".to_owned()),
        },
        _ => Finding {
            level: Level::Ok,
            subject: "commit lock".into(),
            message: "nobody else holds it".to_owned(),
            hint: None,
        },
    });
    if view.active.is_some() {
        let ours = view.pending(names, &objects.administrator).len();
        findings.push(Finding {
            level: if ours == 0 { Level::Ok } else { Level::Warning },
            subject: "pending changes".into(),
            message: format!("{ours} objects of ours wait for a commit; changes of others are never committed by us"),
            hint: None,
        });
    }
    if matches!(names.part(), Part::Group(_)) {
        let owed = objects.owed(&view).await?.told();
        findings.push(Finding {
            level: if owed.is_none() {
                Level::Ok
            } else {
                Level::Warning
            },
            subject: "push".into(),
            message: owed.unwrap_or_else(|| "nothing of ours waits for a push".to_owned()),
            hint: None,
        });
    }
    let active = view.active();
    if active.groups.is_empty() {
        findings.push(Finding {
            level: Level::Missing,
            subject: "address group".into(),
            message: format!(
                "there is no active group {}: nothing is blocked",
                names.group(1)
            ),
            hint: Some(format!(
                "it is made with the first addition; then use {} in a deny rule and commit",
                names.group(1)
            )),
        });
        return Ok(findings);
    }
    for (number, group) in &active.groups {
        let name = names.group(*number);
        findings.push(Finding {
            level: Level::Ok,
            subject: "address group".into(),
            message: format!(
                "{name} has {} of {} members",
                group.members.len(),
                objects.group_size
            ),
            hint: None,
        });
        findings.push(rules::using(connection, &[&name], rules::ADDRESSES).await?);
    }
    Ok(findings)
}

//! What `check` looks at: room, the dynamic address groups that filter on our tags, the rules that use them.

use sdk::Result;
use sdk::target::{Facts, Finding, Level};

use super::codec::Slot;
use super::{Tags, table};
use crate::api;
use crate::target::rules;

pub(super) async fn examine(tags: &Tags, facts: &Facts) -> Result<Vec<Finding>> {
    let connection = &tags.connection;
    let mut findings = connection.examine(facts).await?;
    findings.push(Finding {
        level: Level::Ok,
        subject: "rights".into(),
        message:
            "operational requests are allowed; User-ID Agent shows only when something is written"
                .to_owned(),
        hint: None,
    });
    let count = table::count(connection).await?;
    findings.push(match facts.capacity.first().map(|pool| pool.limit) {
        Some(limit) => Finding {
            level: if count * 10 < limit * 9 {
                Level::Ok
            } else {
                Level::Warning
            },
            subject: "capacity".into(),
            message: format!("{count} of {limit} registered addresses, others' included"),
            hint: None,
        },
        None => Finding {
            level: Level::Warning,
            subject: "capacity".into(),
            message: format!(
                "{count} registered addresses; the limit of this model is not known to us"
            ),
            hint: Some("set `capacity` to it".to_owned()),
        },
    });
    let command =
        "<show><object><dynamic-address-group><all></all></dynamic-address-group></object></show>";
    let answer = connection
        .ask(
            api::show(&connection.place, command),
            "dynamic address groups",
        )
        .await?;
    let slots = Slot::BOTH.map(|slot| slot.tag(&tags.base));
    let filter = format!("'{}' or '{}'", slots[0], slots[1]);
    let mut groups: Vec<(&str, bool)> = Vec::new();
    for entry in answer
        .root
        .at(&["result", "dyn-addr-grp"])
        .into_iter()
        .flat_map(|list| list.all("entry"))
    {
        let (Some(name), Some(text)) = (entry.text_at(&["group-name"]), entry.text_at(&["filter"]))
        else {
            continue;
        };
        let names = slots
            .clone()
            .map(|slot| text.contains(&format!("'{slot}'")));
        if names.contains(&true) {
            groups.push((name, !names.contains(&false)));
        }
    }
    let whole: Vec<&str> = groups
        .iter()
        .filter(|(_, both)| *both)
        .map(|(name, _)| *name)
        .collect();
    if whole.is_empty() {
        let half = groups.first().map(|(name, _)| *name);
        findings.push(Finding {
            level: Level::Missing,
            subject: "dynamic address group".into(),
            message: match half {
                Some(name) => format!("the filter of {name} names only one of our two tags"),
                None => "no dynamic address group filters on our tags: nothing is blocked".to_owned(),
            },
            hint: Some(format!("make a dynamic address group with the filter {filter}, use it in a deny rule, commit")),
        });
        return Ok(findings);
    }
    findings.push(Finding {
        level: Level::Ok,
        subject: "dynamic address group".into(),
        message: format!("{} filters on our tags", whole.join(", ")),
        hint: None,
    });
    findings.push(rules::using(connection, &whole, rules::ADDRESSES).await?);
    Ok(findings)
}

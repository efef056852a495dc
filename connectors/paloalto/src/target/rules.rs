//! Which rules use a group or a list, as far as the device's own configuration shows.

use sdk::Result;
use sdk::target::{Finding, Level};

use super::connection::Connection;
use crate::api::xml::Element;
use crate::api::{self, Part};

/// Where a rule names addresses.
pub(super) const ADDRESSES: &[&str] = &["source", "destination"];

/// Where a rule names lists of URLs.
pub(super) const CATEGORY: &[&str] = &["category"];

/// Whether an active rule that denies names one of these in one of `fields`. Rules that Panorama pushed do not stand in
/// a device's own configuration, nor those of its parents in a device group, so their absence proves nothing.
pub(super) async fn using(
    connection: &Connection,
    names: &[&str],
    fields: &[&str],
) -> Result<Finding> {
    let told = |level, message: String, hint: Option<&str>| Finding {
        level,
        subject: "rule".into(),
        message,
        hint: hint.map(str::to_owned),
    };
    let (place, rulebases, hint): (_, &[&str], _) = match connection.place.part {
        Part::Group(_) => (
            "device group",
            &["pre-rulebase", "post-rulebase"],
            "make one, commit and push, unless a rule of a device group above uses it, which is not shown here",
        ),
        Part::System(_) => (
            "device",
            &["rulebase"],
            "make one and commit, unless a rule that Panorama pushes uses it, which is not shown here",
        ),
    };
    let mut denying: Vec<String> = Vec::new();
    for rulebase in rulebases {
        let path = connection.place.part.path();
        let xpath = format!("{path}/{rulebase}/security/rules");
        let request = api::read_config(&connection.place, true, &xpath);
        let answer = connection.ask(request, "security rules").await?;
        if !answer.is_success() && answer.code == Some(16) {
            return Ok(told(
                Level::Warning,
                "the rules cannot be read with this administrator's rights".to_owned(),
                Some("look whether a deny rule uses it, or add the right XML API: Configuration"),
            ));
        }
        let rules = answer
            .root
            .at(&["result", "rules"])
            .map_or(&[][..], |rules| rules.children.as_slice());
        let naming = rules.iter().filter(|rule| {
            denies(rule)
                && fields.iter().any(|field| {
                    rule.child(field)
                        .is_some_and(|field| field.members().any(|member| names.contains(&member)))
                })
        });
        denying.extend(naming.filter_map(|rule| rule.attribute("name").map(str::to_owned)));
    }
    Ok(if denying.is_empty() {
        told(
            Level::Warning,
            format!("no deny rule of this {place} uses {}", names.join(", ")),
            Some(hint),
        )
    } else {
        told(
            Level::Ok,
            format!("{} denies by {}", denying.join(", "), names.join(", ")),
            None,
        )
    })
}

fn denies(rule: &Element) -> bool {
    let action = rule.text_at(&["action"]).unwrap_or_default();
    let disabled = rule.text_at(&["disabled"]) == Some("yes");
    !disabled && (matches!(action, "deny" | "drop") || action.starts_with("reset"))
}

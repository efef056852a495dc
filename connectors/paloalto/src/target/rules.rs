//! Which rules use a group or a list, as far as the device's own configuration shows.

use sdk::Result;
use sdk::target::{Finding, Level};

use super::connection::Connection;
use crate::api::xml::Element;
use crate::api::{self, Part};

/// Whether an active rule that denies names one of these as source or destination. Rules that Panorama pushed do not
/// stand in the device's own configuration, so their absence proves nothing.
pub(super) async fn using(connection: &Connection, names: &[&str]) -> Result<Finding> {
    let xpath = format!("{}/rulebase/security/rules", connection.place.part.path());
    let told = |level, message: String, hint: Option<&str>| Finding {
        level,
        subject: "rule".into(),
        message,
        hint: hint.map(str::to_owned),
    };
    if matches!(connection.place.part, Part::Group(_)) {
        return Ok(told(
            Level::Warning,
            format!(
                "whether a rule of the device group uses {} is not looked at",
                names.join(", ")
            ),
            Some("use it in a deny rule of the device group, commit, push"),
        ));
    }
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
    let denying: Vec<&str> = rules
        .iter()
        .filter(|rule| denies(rule))
        .filter(|rule| {
            ["source", "destination"].iter().any(|side| {
                rule.child(side)
                    .is_some_and(|side| side.members().any(|member| names.contains(&member)))
            })
        })
        .filter_map(|rule| rule.attribute("name"))
        .collect();
    Ok(if denying.is_empty() {
        told(
            Level::Warning,
            format!("no deny rule of this device uses {}", names.join(", ")),
            Some(
                "make one and commit, unless a rule that Panorama pushes uses it, which is not shown here",
            ),
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

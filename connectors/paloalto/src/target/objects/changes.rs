//! Changes of the candidate configuration, all or none.

use sdk::indicator::Value;

use super::names::Names;
use super::view::Object;
use crate::api::Answer;
use crate::api::xml::{escape, literal};

/// An address that blocks nothing that exists: a group cannot be empty.
const HARMLESS: &str = "192.0.2.255/32";

/// Actions of one call, each with a number by which the answer names the one that was refused.
#[derive(Debug, Default)]
pub(super) struct Changes {
    text: String,
    /// The row that each action belongs to.
    rows: Vec<Option<usize>>,
}

impl Changes {
    fn action(&mut self, name: &str, xpath: &str, body: &str, row: Option<usize>) {
        self.rows.push(row);
        let id = self.rows.len();
        self.text.push_str(&format!(
            "<{name} id=\"{id}\" xpath=\"{}\">{body}</{name}>",
            escape(xpath)
        ));
    }

    /// Makes sure that the tag is there; one that is, is left as it is.
    pub(super) fn tag(&mut self, names: &Names) {
        let body = format!("<entry name=\"{}\"/>", escape(&names.tag));
        self.action("set", &format!("{}/tag", names.path()), &body, None);
    }

    /// Makes sure that the placeholder is there.
    pub(super) fn placeholder(&mut self, names: &Names) {
        let body = format!(
            "<entry name=\"{}\"><ip-netmask>{HARMLESS}</ip-netmask><description>keeps a group of Cordon from being empty; blocks nothing</description></entry>",
            escape(names.placeholder())
        );
        self.action("set", &format!("{}/address", names.path()), &body, None);
    }

    /// Writes objects: name, value, description.
    pub(super) fn objects<'a>(
        &mut self,
        names: &Names,
        objects: impl Iterator<Item = (&'a str, &'a Value, &'a str)>,
    ) {
        let mut body = String::new();
        for (name, value, description) in objects {
            body.push_str(&entry(
                name,
                value,
                description,
                std::slice::from_ref(&names.tag),
            ));
        }
        if !body.is_empty() {
            self.action("set", &format!("{}/address", names.path()), &body, None);
        }
    }

    /// Puts an object back as it was.
    pub(super) fn restore(&mut self, names: &Names, name: &str, object: &Object) {
        let (Some(value), Some(xpath)) = (&object.value, names.object_path(name)) else {
            return;
        };
        let body = entry(name, value, &object.description, &object.tags);
        self.action("edit", &xpath, &body, None);
    }

    /// Adds members to a group of ours.
    pub(super) fn members<'a>(
        &mut self,
        names: &Names,
        group: u32,
        members: impl Iterator<Item = &'a str>,
    ) {
        let body: String = members
            .map(|member| format!("<member>{}</member>", escape(member)))
            .collect();
        if !body.is_empty() {
            self.action(
                "set",
                &format!("{}/static", names.group_path(group)),
                &body,
                None,
            );
        }
    }

    /// Takes a member from a group of ours.
    pub(super) fn leave(&mut self, names: &Names, group: u32, member: &str, row: Option<usize>) {
        if let Some(literal) = literal(member) {
            let xpath = format!(
                "{}/static/member[text()={literal}]",
                names.group_path(group)
            );
            self.action("delete", &xpath, "", row);
        }
    }

    /// Deletes an object.
    pub(super) fn delete(&mut self, names: &Names, name: &str, row: Option<usize>) {
        if let Some(xpath) = names.object_path(name) {
            self.action("delete", &xpath, "", row);
        }
    }

    /// Deletes a group of ours.
    pub(super) fn delete_group(&mut self, names: &Names, group: u32) {
        self.action("delete", &names.group_path(group), "", None);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn element(&self) -> String {
        format!("<multi-config>{}</multi-config>", self.text)
    }

    /// The action that an answer says was refused: its row, its code, its words.
    pub(super) fn refused(&self, answer: &Answer) -> Option<(usize, Option<u16>, String)> {
        let nested = answer
            .root
            .all("response")
            .find(|nested| nested.attribute("status") == Some("error"))?;
        let id: usize = nested.attribute("id")?.parse().ok()?;
        let row = (*self.rows.get(id.checked_sub(1)?)?)?;
        let code = nested.attribute("code").and_then(|code| code.parse().ok());
        Some((row, code, answer.text()))
    }
}

fn entry(name: &str, value: &Value, description: &str, tags: &[String]) -> String {
    let address = match value {
        Value::Domain(name) => format!("<fqdn>{}</fqdn>", escape(name.as_str())),
        value => format!("<ip-netmask>{}</ip-netmask>", escape(&value.to_string())),
    };
    let description = if description.is_empty() {
        String::new()
    } else {
        format!("<description>{}</description>", escape(description))
    };
    let tags: String = tags
        .iter()
        .map(|tag| format!("<member>{}</member>", escape(tag)))
        .collect();
    let tags = if tags.is_empty() {
        String::new()
    } else {
        format!("<tag>{tags}</tag>")
    };
    format!(
        "<entry name=\"{}\">{address}{description}{tags}</entry>",
        escape(name)
    )
}

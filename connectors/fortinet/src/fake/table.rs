//! The configuration tables of one VDOM: rows, references between them, and the rules of every write.

use std::collections::BTreeMap;

use sdk::fake::Switches;
use serde_json::{Map, Value as Json, json};

use super::profile::{Profile, position};
use super::schema;
use super::wire::text_of;

/// Most members of one group.
const GROUP_MEMBERS: usize = 600;

/// A row and who made it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Its name, or its number where the table has numbers.
    key: String,
    pub(super) fields: Map<String, Json>,
    /// Made by a person, not through the API.
    pub(super) by_hand: bool,
}

impl Row {
    pub(super) fn name(&self) -> &str {
        &self.key
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.fields
            .get(field)
            .and_then(Json::as_str)
            .unwrap_or_default()
    }

    /// The rows of a child table.
    pub(super) fn children(&self, child: &str) -> &[Json] {
        self.fields
            .get(child)
            .and_then(Json::as_array)
            .map_or(&[], Vec::as_slice)
    }

    pub(super) fn members(&self) -> Vec<String> {
        self.children("member").iter().map(key).collect()
    }

    pub(super) fn set_members(&mut self, names: &[String]) {
        let rows = names
            .iter()
            .map(|name| json!({ "name": name, "q_origin_key": name }))
            .collect();
        self.fields.insert("member".to_owned(), Json::Array(rows));
    }
}

/// The key of a child row.
pub(super) fn key(row: &Json) -> String {
    text_of(&row["q_origin_key"])
}

/// A refused write.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) error: Option<i64>,
    pub(super) cli_error: Option<String>,
}

impl Refused {
    pub(super) fn new(status: u16, error: i64) -> Self {
        Self {
            status,
            error: Some(error),
            cli_error: None,
        }
    }

    pub(super) fn bare(status: u16) -> Self {
        Self {
            status,
            error: None,
            cli_error: None,
        }
    }

    pub(super) fn says(mut self, words: impl Into<String>) -> Self {
        self.cli_error = Some(words.into());
        self
    }
}

/// The tables of one VDOM.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) rows: BTreeMap<String, Vec<Row>>,
    pub(super) revisions: BTreeMap<String, u64>,
    /// What firewall policies and profiles refer to: table and name.
    pub(super) policies: Vec<(String, String)>,
    /// A deny policy names every group that begins so, as soon as it exists.
    pub(super) deny_prefix: Option<String>,
    /// Most rows of an address table.
    pub(super) address_limit: usize,
}

/// The rules that a write goes by.
pub(super) struct Rules<'a> {
    pub(super) profile: &'a Profile,
    pub(super) switches: &'a Switches,
    pub(super) by_hand: bool,
}

impl Rules<'_> {
    fn code(&self, switch: &str) -> i64 {
        position(self.switches, switch).parse().unwrap_or(-651)
    }

    fn status(&self, switch: &str) -> u16 {
        position(self.switches, switch).parse().unwrap_or(500)
    }

    fn field(&self, table: &str, key: &str, value: &Json) -> Result<Json, Refused> {
        schema::checked(table, key, value, self.profile, self.code("too-long-code"))
            .map_err(|(code, words)| Refused::new(500, code).says(words))
    }

    fn child_row(&self, child: &str, row: &Json) -> Result<Json, Refused> {
        schema::child_row(child, row, self.profile, self.code("too-long-code"))
            .map_err(|(code, words)| Refused::new(500, code).says(words))
    }
}

impl Tables {
    pub(super) fn table(&self, table: &str) -> &[Row] {
        self.rows.get(table).map_or(&[], Vec::as_slice)
    }

    pub(super) fn row(&self, table: &str, name: &str) -> Option<&Row> {
        self.table(table).iter().find(|row| row.name() == name)
    }

    pub(super) fn row_mut(&mut self, table: &str, name: &str) -> Option<&mut Row> {
        self.rows
            .get_mut(table)?
            .iter_mut()
            .find(|row| row.name() == name)
    }

    pub(super) fn revision(&self, table: &str) -> String {
        format!("{:032x}", self.revisions.get(table).copied().unwrap_or(0))
    }

    fn changed(&mut self, table: &str) {
        *self.revisions.entry(table.to_owned()).or_default() += 1;
    }

    /// Whether a policy uses a row: by itself, or as a member of a group that one uses.
    pub(super) fn is_used(&self, table: &str, name: &str) -> bool {
        self.users(table, name)
            .iter()
            .any(|(user, by, _)| user == "firewall/policy" || self.is_used(user, by))
    }

    /// What refers to a row, as (table, name, attribute).
    pub(super) fn users(&self, table: &str, name: &str) -> Vec<(String, String, &'static str)> {
        let mut users = Vec::new();
        for group in ["firewall/addrgrp", "firewall/addrgrp6"] {
            if !schema::member_tables(group).contains(&table) {
                continue;
            }
            for row in self.table(group) {
                if row.members().iter().any(|member| member == name) {
                    users.push((group.to_owned(), row.name().to_owned(), "member"));
                }
            }
        }
        for (index, (used, by_name)) in self.policies.iter().enumerate() {
            if used == table && by_name == name {
                users.push((
                    "firewall/policy".to_owned(),
                    (index + 1).to_string(),
                    "dstaddr",
                ));
            }
        }
        if table.starts_with("firewall/addrgrp")
            && self
                .deny_prefix
                .as_deref()
                .is_some_and(|prefix| name.starts_with(prefix))
        {
            users.push(("firewall/policy".to_owned(), "999".to_owned(), "dstaddr"));
        }
        users
    }

    /// Checks the members of a group as they would be after a write.
    fn check_members(
        &self,
        table: &str,
        names: &[String],
        rules: &Rules<'_>,
    ) -> Result<(), Refused> {
        if names.len() > GROUP_MEMBERS {
            return Err(Refused::new(500, -4));
        }
        if names.is_empty() && !rules.profile.allows_empty_groups() {
            let code = rules.code("empty-group-code");
            return Err(
                Refused::new(500, code).says(format!("member is empty\nReturn code {code}"))
            );
        }
        for name in names {
            let known = schema::member_tables(table)
                .iter()
                .any(|source| self.row(source, name).is_some());
            if !known {
                return Err(
                    Refused::new(500, -3).says(format!("entry {name} not found\nReturn code -3"))
                );
            }
        }
        Ok(())
    }

    /// Creates a row; gives back its key.
    pub(super) fn create(
        &mut self,
        table: &str,
        body: &Json,
        rules: &Rules<'_>,
    ) -> Result<String, Refused> {
        let fields = body.as_object().ok_or_else(|| Refused::new(424, -651))?;
        let name = match fields.get(schema::key_of(table)).map(text_of) {
            Some(name) if !name.is_empty() => name,
            Some(_) => return Err(Refused::new(500, -20)),
            None => return Err(Refused::bare(424)),
        };
        let mut row = schema::defaults(table, rules.profile);
        for (key, value) in fields {
            row.insert(key.clone(), rules.field(table, key, value)?);
        }
        if self.row(table, &name).is_some() {
            return Err(Refused::new(rules.status("duplicate-status"), -5));
        }
        self.check_namespace(table, &name)?;
        if table.starts_with("firewall/address") && self.table(table).len() >= self.address_limit {
            return Err(Refused::new(500, -4));
        }
        let given = json!(row.get(schema::key_of(table)));
        row.insert("q_origin_key".to_owned(), given);
        let row = Row {
            key: name.clone(),
            fields: row,
            by_hand: rules.by_hand,
        };
        if table.starts_with("firewall/addrgrp") {
            self.check_members(table, &row.members(), rules)?;
        }
        if table == "system/external-resource" {
            self.check_category(&row)?;
        }
        self.rows.entry(table.to_owned()).or_default().push(row);
        self.changed(table);
        Ok(name)
    }

    fn check_namespace(&self, table: &str, name: &str) -> Result<(), Refused> {
        let (others, code): (&str, i64) = match table {
            "firewall/address" => ("firewall/addrgrp", -163),
            "firewall/addrgrp" => ("firewall/address", -163),
            "firewall/address6" => ("firewall/addrgrp6", -163),
            "firewall/addrgrp6" => ("firewall/address6", -163),
            _ => return Ok(()),
        };
        if self.row(others, name).is_some() {
            return Err(Refused::new(500, code));
        }
        if self.row("firewall/vip", name).is_some() {
            let code = if table.starts_with("firewall/addrgrp") {
                -165
            } else {
                -164
            };
            return Err(Refused::new(500, code));
        }
        Ok(())
    }

    fn check_category(&self, row: &Row) -> Result<(), Refused> {
        if !matches!(row.text("type"), "category" | "domain") {
            return Ok(());
        }
        let category = row
            .fields
            .get("category")
            .and_then(Json::as_i64)
            .unwrap_or(0);
        let taken = self.table("system/external-resource").iter().any(|other| {
            matches!(other.text("type"), "category" | "domain")
                && other.fields.get("category").and_then(Json::as_i64) == Some(category)
        });
        if !(192..=221).contains(&category) || taken {
            return Err(Refused::new(500, -651).says("category is not free\nReturn code -651"));
        }
        Ok(())
    }

    /// Changes some fields of a row; a child table that is sent replaces the one held. Gives back the
    /// name and whether anything changed.
    pub(super) fn update(
        &mut self,
        table: &str,
        name: &str,
        body: &Json,
        rules: &Rules<'_>,
    ) -> Result<(String, bool), Refused> {
        let fields = body.as_object().ok_or_else(|| Refused::new(424, -651))?;
        let before = self
            .row(table, name)
            .ok_or_else(|| Refused::bare(404))?
            .clone();
        let mut after = before.clone();
        for (key, value) in fields {
            after
                .fields
                .insert(key.clone(), rules.field(table, key, value)?);
        }
        let given = json!(after.fields.get(schema::key_of(table)));
        let new_name = text_of(&given);
        if new_name.is_empty() {
            return Err(Refused::new(500, -20));
        }
        if new_name != name {
            if self.row(table, &new_name).is_some() {
                return Err(Refused::new(rules.status("duplicate-status"), -5));
            }
            self.check_namespace(table, &new_name)?;
            after.key.clone_from(&new_name);
            after.fields.insert("q_origin_key".to_owned(), given);
        }
        if fields.contains_key("member") {
            self.check_members(table, &after.members(), rules)?;
        }
        let changed = after.fields != before.fields;
        if changed {
            if let Some(row) = self.row_mut(table, name) {
                *row = after;
            }
            self.changed(table);
        }
        Ok((new_name, changed))
    }

    /// Deletes a row.
    pub(super) fn delete(
        &mut self,
        table: &str,
        name: &str,
        rules: &Rules<'_>,
    ) -> Result<(), Refused> {
        if self.row(table, name).is_none() {
            return Err(Refused::bare(404));
        }
        let users = self.users(table, name).len();
        if users > 0 {
            return Err(Refused::new(rules.status("in-use-status"), -23).says(format!(
                "This entry is currently used by other {users} entries\nCommand fail. Return code -23"
            )));
        }
        self.forget(table, name);
        Ok(())
    }

    /// Takes a row out without any check.
    pub(super) fn forget(&mut self, table: &str, name: &str) {
        if let Some(rows) = self.rows.get_mut(table) {
            rows.retain(|row| row.name() != name);
        }
        self.changed(table);
    }

    /// `DELETE` on the collection: everything that nothing refers to goes.
    pub(super) fn purge(&mut self, table: &str) {
        let unused: Vec<String> = self
            .table(table)
            .iter()
            .map(|row| row.name().to_owned())
            .filter(|name| self.users(table, name).is_empty())
            .collect();
        for name in unused {
            self.forget(table, &name);
        }
    }

    /// Adds one row to a child table; gives back its key.
    pub(super) fn add_child(
        &mut self,
        table: &str,
        name: &str,
        child: &str,
        body: &Json,
        rules: &Rules<'_>,
    ) -> Result<String, Refused> {
        let mut rows = self.children(table, name, child)?;
        let child_table = format!("{table}/{child}");
        if body.get(schema::key_of(&child_table)).is_none() {
            return Err(Refused::bare(424));
        }
        let row = rules.child_row(&child_table, body)?;
        let added = key(&row);
        if rows.iter().any(|row| key(row) == added) {
            return if position(rules.switches, "child-duplicate") == "unchanged" {
                Ok(added)
            } else {
                Err(Refused::new(rules.status("duplicate-status"), -5))
            };
        }
        rows.push(row);
        self.put_children(table, name, child, rows, rules)?;
        Ok(added)
    }

    /// Takes one row out of a child table.
    pub(super) fn remove_child(
        &mut self,
        table: &str,
        name: &str,
        child: &str,
        removed: &str,
        rules: &Rules<'_>,
    ) -> Result<(), Refused> {
        let mut rows = self.children(table, name, child)?;
        let before = rows.len();
        rows.retain(|row| key(row) != removed);
        if rows.len() == before {
            return Err(Refused::bare(404));
        }
        self.put_children(table, name, child, rows, rules)
    }

    /// `DELETE` on the child table: all its rows go.
    pub(super) fn clear_children(
        &mut self,
        table: &str,
        name: &str,
        child: &str,
        rules: &Rules<'_>,
    ) -> Result<(), Refused> {
        self.children(table, name, child)?;
        self.put_children(table, name, child, Vec::new(), rules)
    }

    fn children(&self, table: &str, name: &str, child: &str) -> Result<Vec<Json>, Refused> {
        let row = self.row(table, name).ok_or_else(|| Refused::bare(404))?;
        Ok(row.children(child).to_vec())
    }

    fn put_children(
        &mut self,
        table: &str,
        name: &str,
        child: &str,
        rows: Vec<Json>,
        rules: &Rules<'_>,
    ) -> Result<(), Refused> {
        if child == "member" {
            let names: Vec<String> = rows.iter().map(key).collect();
            self.check_members(table, &names, rules)?;
        }
        if let Some(row) = self.row_mut(table, name) {
            row.fields.insert(child.to_owned(), Json::Array(rows));
        }
        self.changed(table);
        Ok(())
    }
}

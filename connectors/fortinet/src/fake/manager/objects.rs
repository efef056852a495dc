//! Address objects and groups in the ADOM.

use serde_json::{Map, Value as Json, json};

use super::{BAD_DATA, BAD_URL, MISSING, Manager, Mode, Refusal};
use crate::fake::table::{Refused, Row, Rules, Tables};

/// What the manager keeps of a firewall here.
pub(super) const TABLES: [&str; 4] = [
    "firewall/address",
    "firewall/address6",
    "firewall/addrgrp",
    "firewall/addrgrp6",
];

/// A refusal in the manager's numbers.
fn refusal(refused: &Refused) -> Refusal {
    match (refused.status, refused.error) {
        (_, Some(-5 | -15)) => (-2, "Object already exists"),
        (_, Some(-23)) => (-10_015, "used"),
        (404, _) => MISSING,
        _ => BAD_DATA,
    }
}

/// Attributes as the firewall's tables have them: addresses may come as an array of address and mask, and
/// members as names.
fn as_row(data: &Json) -> Result<Json, Refusal> {
    let fields = data.as_object().ok_or(BAD_DATA)?;
    let mut row = Map::new();
    for (key, value) in fields {
        let value = match (key.as_str(), value) {
            ("subnet", Json::Array(words)) => {
                let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
                json!(words.join(" "))
            }
            ("member", Json::String(name)) => json!([{ "name": name }]),
            ("member", Json::Array(names)) => {
                let names: Vec<Json> = names.iter().map(|name| json!({ "name": name })).collect();
                Json::Array(names)
            }
            _ => value.clone(),
        };
        row.insert(key.clone(), value);
    }
    Ok(Json::Object(row))
}

/// A row as the manager tells it.
fn told(row: &Row, fields: Option<&Vec<Json>>) -> Json {
    let wanted = |key: &str| {
        fields.is_none_or(|fields| fields.iter().any(|field| field.as_str() == Some(key)))
    };
    let mut told = Map::new();
    for (key, value) in &row.fields {
        if !wanted(key) && key != "name" || key == "q_origin_key" {
            continue;
        }
        let value = match key.as_str() {
            "subnet" => json!(row.text("subnet").split(' ').collect::<Vec<_>>()),
            "member" => json!(row.members()),
            _ => value.clone(),
        };
        told.insert(key.clone(), value);
    }
    Json::Object(told)
}

impl Manager {
    /// The tables that a session sees: its own draft under its lock.
    fn seen(&self, session: &str) -> &Tables {
        match &self.draft {
            Some(draft) if self.holder.as_deref() == Some(session) => draft,
            _ => &self.tables,
        }
    }

    pub(super) fn object(
        &mut self,
        session: &str,
        method: &str,
        rest: &[&str],
        parameter: &Json,
    ) -> Result<Json, Refusal> {
        let [table, below @ ..] = rest else {
            return Err(BAD_URL);
        };
        let table = format!("firewall/{table}");
        if !TABLES.contains(&table.as_str()) {
            return Err(BAD_URL);
        }
        let data = parameter.get("data");
        if method == "get" {
            let fields = parameter.get("fields").and_then(Json::as_array);
            let seen = self.seen(session);
            return match below {
                [] => Ok(seen
                    .table(&table)
                    .iter()
                    .map(|row| told(row, fields))
                    .collect()),
                [name] => seen
                    .row(&table, name)
                    .map(|row| told(row, fields))
                    .ok_or(MISSING),
                _ => Err(BAD_URL),
            };
        }
        self.may_write()?;
        self.needs_lock(session)?;
        let (profile, switches) = (self.profile, self.switches.clone());
        let rules = Rules {
            profile: &profile,
            switches: &switches,
            by_hand: false,
        };
        let tables = match (&mut self.draft, self.mode) {
            (Some(draft), Mode::Normal) => draft,
            _ => &mut self.tables,
        };
        let is_group = table.starts_with("firewall/addrgrp");
        match (method, below) {
            ("add" | "set", []) => {
                let data = data.ok_or(BAD_DATA)?;
                let rows = match data {
                    Json::Array(rows) => rows.clone(),
                    one => vec![one.clone()],
                };
                for row in rows {
                    let row = as_row(&row)?;
                    let name = row.get("name").and_then(Json::as_str).ok_or(BAD_DATA)?;
                    // `set` writes over what is there.
                    if method == "set" && tables.row(&table, name).is_some() {
                        let name = name.to_owned();
                        tables
                            .update(&table, &name, &row, &rules)
                            .map_err(|refused| refusal(&refused))?;
                        continue;
                    }
                    tables
                        .create(&table, &row, &rules)
                        .map_err(|refused| refusal(&refused))?;
                }
                Ok(Json::Null)
            }
            ("update" | "set", [name]) => tables
                .update(&table, name, &as_row(data.ok_or(BAD_DATA)?)?, &rules)
                .map(|_| Json::Null)
                .map_err(|refused| refusal(&refused)),
            ("delete", [name]) => tables
                .delete(&table, name, &rules)
                .map(|()| Json::Null)
                .map_err(|refused| refusal(&refused)),
            ("add" | "delete", [group, "member"]) if is_group => {
                let names = data.and_then(Json::as_array).ok_or(BAD_DATA)?;
                let names: Vec<&str> = names
                    .iter()
                    .map(Json::as_str)
                    .collect::<Option<_>>()
                    .ok_or(BAD_DATA)?;
                let mut members = tables.row(&table, group).ok_or(MISSING)?.members();
                if method == "add" {
                    for name in names {
                        if !members.iter().any(|member| member == name) {
                            members.push(name.to_owned());
                        }
                    }
                } else {
                    members.retain(|member| !names.contains(&member.as_str()));
                }
                let rows: Vec<Json> = members.iter().map(|name| json!({ "name": name })).collect();
                tables
                    .update(&table, group, &json!({ "member": rows }), &rules)
                    .map(|_| Json::Null)
                    .map_err(|refused| refusal(&refused))
            }
            _ => Err(BAD_URL),
        }
    }
}
